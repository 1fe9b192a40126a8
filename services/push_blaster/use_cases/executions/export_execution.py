"""Export an execution as CSV, safe to be opened in a spreadsheet."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.csv_cells import Rows, write_csv
from push_blaster.adapters.executions.execution_view import select_phases
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.funnel import JSON_NAMES

_COUNTS: Final = (
    "generated",
    "valid",
    "distinct",
    "excluded",
    "eligible",
    "no_token",
    "sent",
    "would_send",
    "failed",
    "in_doubt",
    "not_sent",
)


class Part(StrEnum):
    """The parts of an execution that can be exported."""

    SUMMARY = "summary"
    PHASES = "phases"
    PUSHES = "pushes"
    ALL = "all"


def export_execution(database: Database, execution: Execution, part: Part) -> str:
    """Return the CSV; all parts are one below the other, with an empty line between."""
    tables: Mapping[Part, Callable[[], Rows]] = {
        Part.SUMMARY: lambda: _summary(execution),
        Part.PHASES: lambda: _phases(database, execution),
        Part.PUSHES: lambda: _pushes(database, execution),
    }
    wanted = tables.keys() if part is Part.ALL else [part]
    return "\r\n".join(write_csv(tables[one]()) for one in wanted)


def file_name(execution: Execution) -> str:
    """Return a name for the file: automation, day, and the end of the id."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", execution.automation.name).strip("-") or "execution"
    mark = re.sub(r"[^A-Za-z0-9]+", "", execution.id)[-8:]
    return f"{name[:60]}_{execution.created_at:%Y-%m-%d}_{mark}.csv"


def _summary(execution: Execution) -> Rows:
    yield "field", "value"
    yield "executionId", execution.id
    yield "automationId", execution.automation.id
    yield "automationName", execution.automation.name
    yield "mode", execution.mode
    yield "status", execution.phase
    yield "slot", execution.slot.isoformat()
    yield "startTime", execution.created_at.isoformat()
    yield "endTime", execution.ended_at.isoformat() if execution.ended_at else None
    yield "reason", execution.reason


def _phases(database: Database, execution: Execution) -> Rows:
    with database.transaction() as connection:
        entered = select_phases(connection, [execution.id]).get(execution.id, [])
    yield "phase", "enteredAt"
    yield from ((phase, at.isoformat()) for phase, at in entered)


def _pushes(database: Database, execution: Execution) -> Rows:
    with database.transaction() as connection:
        funnels = select_funnels(connection, [execution.id])[execution.id]
    names = (JSON_NAMES[name] for name in _COUNTS)
    yield "position", "title", "layerId", "audienceName", "status", *names
    for push, progress in zip(execution.automation.pushes, execution.pushes, strict=False):
        counts = (getattr(funnels[progress.position], name) for name in _COUNTS)
        audience = push.audience_name
        yield progress.position, push.title, push.layer_id, audience, progress.status, *counts
