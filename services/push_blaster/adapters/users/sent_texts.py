"""The texts that a user really got: made anew from the frozen audience, as the send made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.audiences.frozen_audiences import find_row
from push_blaster.adapters.devices.known_languages import with_languages
from push_blaster.adapters.executions.execution_view import select_readable
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.delivery.push_template import PushTexts, Wordings
from push_blaster.domain.delivery.template import (
    MalformedPlaceholderError,
    MissingVariableError,
)
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.users.timeline import Texts, TimelineEntry, UserPush

_GONE: Final = (
    "The file of the audience is gone, so the text has its placeholders and not the values that "
    "this user got."
)
#: A batch: the execution, the position and the number.
_Batch = tuple[str, int, int]


def fill_texts(
    connection: Connection, data_folder: Path, user_id: UUID, entries: Sequence[TimelineEntry]
) -> list[TimelineEntry]:
    """Return the entries with the texts that the user got, or would have got, where a file says."""
    pushes = [one.push for one in entries if one.push and one.push.texts is Texts.WRITTEN]
    if not pushes:
        return list(entries)
    ids = sorted({push.execution_id for push in pushes})
    files = _Files(
        connection,
        data_folder,
        user_id,
        {execution.id: execution for execution in select_readable(connection, ids)},
        _select_places(connection, pushes),
    )
    return [files.fill(entry) for entry in entries]


def _select_places(
    connection: Connection, pushes: Sequence[UserPush]
) -> dict[_Batch, tuple[int, int]]:
    """Return where the batch of each push begins in its file, and how many rows it has."""
    sql = """
        SELECT b.execution_id, b.position, b.batch, b.start_offset, b.row_count
          FROM unnest(%(ids)s::text[], %(positions)s::int[], %(batches)s::int[])
               AS v (execution_id, position, batch)
          JOIN send_batches b USING (execution_id, position, batch)
    """
    own = [push for push in pushes if not push.is_test]
    values = {
        "ids": [push.execution_id for push in own],
        "positions": [push.position for push in own],
        "batches": [push.batch for push in own],
    }
    return {
        (id_, position, batch): (start, rows)
        for id_, position, batch, start, rows in fetch_all(connection, sql, values)
    }


@dataclass(frozen=True, slots=True)
class _Files:
    """The frozen audiences of some executions, in which the rows of a user are looked up."""

    connection: Connection
    data_folder: Path
    user_id: UUID
    executions: Mapping[str, Execution]
    places: Mapping[_Batch, tuple[int, int]]

    def fill(self, entry: TimelineEntry) -> TimelineEntry:
        """Return the entry with the texts of the user; with a note if the file is gone."""
        push = entry.push
        if push is None or push.texts is Texts.PERSONAL:
            return entry
        texts = self._render(push)
        if texts is None:
            notes = (*entry.notes, _GONE) if "[[" in push.title + push.body else entry.notes
            return replace(entry, notes=notes)
        sent = replace(
            push,
            title=texts.title,
            body=texts.body,
            deep_link=texts.deep_link,
            texts=Texts.PERSONAL,
        )
        return replace(entry, push=sent)

    def _render(self, push: UserPush) -> PushTexts | None:
        """Return the texts by the row of the user; None if there is no such row any more."""
        execution = self.executions.get(push.execution_id)
        row = self._find_row(execution, push) if execution else None
        if execution is None or row is None:
            return None
        worded = execution.word_push(push.position, self.user_id)
        try:
            _, template = Wordings(execution.automation.id, worded).choose(self.user_id)
            if template.needs_language:
                (row,) = with_languages(self.connection, [row])
            return template.render(row.variables)
        except (MalformedPlaceholderError, MissingVariableError):
            return None

    def _find_row(self, execution: Execution, push: UserPush) -> AudienceRow | None:
        audience = next(
            (one.audience for one in execution.pushes if one.position == push.position), None
        )
        place = self.places.get((push.execution_id, push.position, push.batch))
        if audience is None or place is None or push.is_test:
            return None
        return find_row(self.data_folder / audience.file, *place, self.user_id)
