"""Preview the pushes of an automation, saved or not, for real users; nothing is sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from push_blaster.adapters.audiences.frozen_audiences import read_rows
from push_blaster.adapters.delivery.message_size import find_excess, measure
from push_blaster.adapters.devices.known_languages import with_languages
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.adapters.executions.execution_view import (
    select_last_audience,
    select_last_own_audience,
)
from push_blaster.adapters.transports.described_content import describe_content
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.automations.content import given
from push_blaster.domain.automations.experiment import is_in_test, name_draw
from push_blaster.domain.delivery.ledger import Refusal
from push_blaster.domain.delivery.push_template import PushTexts, Wordings, render_row
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.use_cases.audiences.check_audience import preview_message
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.delivery.find_opted_out import refuse_opted_out


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedMessage:
    """A push as one user would get it, or why the user would get nothing.

    Units: `sizes` are bytes, by the kind of device. With an experiment, `in_test` says whether the
    user is in the test of the next slot; if not, the user gets the variant that wins.
    """

    user_id: UUID
    variant: str | None = None
    in_test: bool | None = None
    texts: PushTexts | None = None
    faults: tuple[str, ...] = ()
    sizes: dict[str, int] | None = None

    @property
    def content(self) -> Mapping[str, Any] | None:
        """The content besides the texts, under its JSON names; None if there is no message."""
        if self.texts is None:
            return None
        content = self.texts.content
        return {**describe_content(content), **given(data=dict(content.data))}


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPreview:
    """A push, the columns of the audience that it was last frozen for, and its messages.

    Shape: `faults` are those of the push itself, for every user. `opted_out` counts the users of
    the messages who do not want the push.
    """

    position: int
    push: Push
    columns: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    messages: tuple[PreviewedMessage, ...] = ()
    opted_out: int = 0


def preview_pushes(
    context: WebContext,
    automation: Automation,
    user_ids: Sequence[UUID],
    limit: int,
    now: datetime,
) -> list[PushPreview]:
    """Return each push as the users of its last frozen audience would get it.

    Shape: for `user_ids`, or else for the first rows; at most `limit` users.
    """
    slots = next_slots(automation.schedule, now, 1)
    previews = [
        _mark_opted_out(
            context, automation, _preview(context, automation, position, user_ids, limit), now
        )
        for position in range(1, len(automation.pushes) + 1)
    ]
    return [_mark_tests(automation, one, slots[0].at) for one in previews] if slots else previews


def _mark_tests(automation: Automation, preview: PushPreview, slot: datetime) -> PushPreview:
    """Return the preview with the users who test its variants at `slot`."""
    push = preview.push
    if push.experiment is None:
        return preview
    draw = name_draw(slot)
    messages = (
        replace(m, in_test=is_in_test(push.experiment, automation.id, push.id, draw, m.user_id))
        for m in preview.messages
    )
    return replace(preview, messages=tuple(messages))


def _mark_opted_out(
    context: WebContext, automation: Automation, preview: PushPreview, now: datetime
) -> PushPreview:
    """Return the preview with the users who do not want the push, as the send decides it."""
    users = [message.user_id for message in preview.messages]
    with context.database.transaction() as connection:
        opt_outs = select_opt_outs_of(connection, users, now)
    refused = refuse_opted_out(opt_outs, automation, preview.push.layer_id)
    messages = (
        replace(m, faults=(*m.faults, f"has {refused[m.user_id].reason}"))
        if m.user_id in refused
        else m
        for m in preview.messages
    )
    return replace(preview, messages=tuple(messages), opted_out=len(refused))


def _preview(
    context: WebContext, automation: Automation, position: int, user_ids: Sequence[UUID], limit: int
) -> PushPreview:
    push = automation.pushes[position - 1]
    try:
        wordings = Wordings(automation.id, push)
    except MalformedPlaceholderError as error:
        return PushPreview(position=position, push=push, faults=(str(error),))
    path, columns = _find_audience(context, automation, position)
    if path is None:
        none = "There is no frozen audience yet; a run with the mode test-dry-run makes one."
        return PushPreview(position=position, push=push, faults=(none,))
    wanted = user_ids[:limit]
    rows = list(islice(_pick(path, set(wanted)) if wanted else read_rows(path), limit))
    if wordings.needs_language:
        with context.database.transaction() as connection:
            rows = with_languages(connection, rows)
    strangers = [user_id for user_id in wanted if user_id not in {row.user_id for row in rows}]
    unknown = [f"The audience has no column {name}." for name in wordings.find_unknown(columns)]
    return PushPreview(
        position=position,
        push=push,
        columns=columns,
        faults=tuple(unknown),
        messages=(
            *(_fill_in(context.limits, wordings, row) for row in rows),
            *(PreviewedMessage(user_id=u, faults=("is not in the audience",)) for u in strangers),
        ),
    )


def _find_audience(
    context: WebContext, automation: Automation, position: int
) -> tuple[Path | None, tuple[str, ...]]:
    name = automation.pushes[position - 1].audience_name
    with context.database.transaction() as connection:
        last = select_last_own_audience(connection, automation.id, position)
        last = last or select_last_audience(connection, automation.script_id or "", name)
    path = context.data_folder / last.file if last else None
    return (path, last.columns) if last and path and path.exists() else (None, ())


def _pick(path: Path, wanted: Collection[UUID]) -> list[AudienceRow]:
    """Return the rows of the wanted users, without keeping the others in memory."""
    return list(islice((r for r in read_rows(path) if r.user_id in wanted), len(wanted)))


def _fill_in(limits: Limits, wordings: Wordings, row: AudienceRow) -> PreviewedMessage:
    variant, template = wordings.choose(row.user_id)
    missing = template.find_missing(row.variables)
    if missing:
        faults = tuple(f"has no value for {name}" for name in missing)
        return PreviewedMessage(user_id=row.user_id, variant=variant, faults=faults)
    texts = render_row(limits.links, template, row)
    if isinstance(texts, Refusal):
        return PreviewedMessage(user_id=row.user_id, variant=variant, faults=(texts.reason,))
    message = preview_message(row, texts)
    excess = find_excess(message)
    return PreviewedMessage(
        user_id=row.user_id,
        variant=variant,
        texts=texts,
        faults=(f"is too long: {excess}",) if excess else (),
        sizes=measure(message),
    )
