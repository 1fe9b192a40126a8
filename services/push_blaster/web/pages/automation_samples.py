"""What messages look like: a push filled in with rows of the last audience that it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chassis.postgres import Connection
from push_blaster.adapters.execution_view import select_last_audience
from push_blaster.adapters.frozen_audiences import read_batch
from push_blaster.domain.automation import Automation, Push
from push_blaster.domain.push_template import PushTexts, compile_push
from push_blaster.domain.template import MalformedPlaceholderError, MissingVariableError

ROWS: Final = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """A push as one user would get it; `fault` says why nobody would."""

    push: Push
    texts: PushTexts
    columns: tuple[str, ...]
    fault: str | None = None


def read_samples(connection: Connection, data_folder: Path, automation: Automation) -> list[Sample]:
    """Return every push of `automation`, with a real row where there has been one."""
    samples = []
    for push in automation.pushes:
        last = select_last_audience(connection, automation.script_id or "", push.audience_name)
        path = data_folder / last[0] if last else None
        rows = read_batch(path, 0, ROWS) if path and path.exists() else []
        columns = last[1] if last else ()
        samples.append(fill_sample(push, [row.variables for row in rows], columns))
    return samples


def fill_sample(push: Push, rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...]) -> Sample:
    """Return the push as the first of `rows` that has all its variables would get it."""
    bare = PushTexts(push.title, push.body, push.deep_link)
    try:
        template = compile_push(push)
    except MalformedPlaceholderError as error:
        return Sample(push, bare, columns, str(error))
    unknown = template.find_unknown(columns) if columns else []
    if unknown:
        return Sample(push, bare, columns, f"The audience has no column {', '.join(unknown)}.")
    for row in rows:
        try:
            return Sample(push, template.render(row), columns)
        except MissingVariableError:
            continue
    return Sample(push, bare, columns)
