"""States stand in SQL as literals and in Python as enums: both have to be the same ones."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from chassis.bearer_auth import Role
from chassis.postgres import Database
from chassis.rows import fetch_all
from push_blaster.domain.audiences.script_run import RunState
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.delivery.message import Outcome
from push_blaster.domain.devices.device import DeviceKind
from push_blaster.domain.engagement.event import EventKind
from push_blaster.domain.executions.execution import LogLevel, PushStatus, Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.safeguards import Severity, ViolationType
from push_blaster.domain.operations.alert import AlertEvent, NoticeTable

SERVICE: Final = Path(__file__).parents[3] / "services" / "push_blaster"
#: The states that a column may have; `state` is one of the ledger, or of a script's run; `kind` is
#: that of a device, or of a version of an automation.
OF_COLUMN: Final[Mapping[str, frozenset[str]]] = {
    "phase": frozenset(Phase),
    "mode": frozenset(Mode),
    "status": frozenset(PushStatus) | {"running"},
    "trigger": frozenset(Trigger),
    "state": frozenset(LedgerState) | frozenset(RunState),
    "severity": frozenset(Severity),
    "type": frozenset(ViolationType),
    "event": frozenset(AlertEvent) | frozenset(EventKind),
    "kind": frozenset(DeviceKind) | {"deleted"},
    "level": frozenset(LogLevel),
}
#: Words in quotes that are no states: names, types and values of JSON, a zone, kinds of reports,
#: a metric, the table of a notice.
OTHERS: Final = {
    *("destinations", "pushSequence", "audienceName", "default", "description", "number", "UTC"),
    *("push", "test", "device", "registered", "named", "doubted", "dead", "opt-out"),
    *("erased-users", "UTF8", "hex", "block_size", "sampled", "all"),
    *("secret", "until", "event", "conversion", "converted", "isArchived", "true"),
    *NoticeTable,
}

_COMPARED: Final = re.compile(r"(\w+)\s*(?:=|<>)\s*'([^']*)'|(\w+)\s+(?:NOT )?IN\s*\(([^()]*)\)")
_WORD: Final = re.compile(r"'([A-Za-z][\w-]*)'")


def _read_sql() -> Iterator[tuple[str, str]]:
    """Yield module and text of whatever looks like SQL, where values are filled in as `?`."""
    for path in sorted(SERVICE.rglob("*.py")):
        if "migrations" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        in_others = {id(part) for node in ast.walk(tree) for part in _parts(node)}
        for node in ast.walk(tree):
            text = None if id(node) in in_others else _text(node)
            if text and re.search(r"\b(SELECT|UPDATE|INSERT INTO|DELETE FROM|FROM|WHERE)\b", text):
                yield path.name, text


def _parts(node: ast.AST) -> Iterable[ast.AST]:
    return node.values if isinstance(node, ast.JoinedStr) else ()


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "?" for part in node.values)
    return None


def _compared(text: str) -> Iterator[tuple[str, str]]:
    for equal, word, among, words in _COMPARED.findall(text):
        yield from [(equal, word)] if word else [(among, one) for one in _WORD.findall(words)]


def test_what_sql_compares_a_column_with_is_a_state_of_it() -> None:
    strange = [
        (module, column, word)
        for module, text in _read_sql()
        for column, word in _compared(text)
        if column in OF_COLUMN and word not in OF_COLUMN[column]
    ]

    assert strange == []


def test_every_word_in_quotes_is_a_state_or_known() -> None:
    known = OTHERS.union(*OF_COLUMN.values())
    strange = {
        (module, word)
        for module, text in _read_sql()
        for word in _WORD.findall(text)
        if word not in known
    }

    assert strange == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("WHERE d.state = 'sent'", [("state", "sent")]),
        ("WHERE phase NOT IN ('missed', 'skipped')", [("phase", "missed"), ("phase", "skipped")]),
        ("WHERE mode <> 'live'", [("mode", "live")]),
    ],
)
def test_comparisons_are_found(text: str, found: list[tuple[str, str]]) -> None:
    assert list(_compared(text)) == found


def test_every_outcome_that_is_written_down_is_a_state_of_the_ledger() -> None:
    assert set(map(str, Outcome)) - {Outcome.NOT_SENT} <= set(map(str, LedgerState))


@pytest.mark.parametrize(
    ("constraint", "states"),
    [
        ("deliveries_state_check", set(LedgerState) - {LedgerState.AWAITS_WINDOW}),
        ("executions_phase_check", set(Phase)),
        ("executions_trigger_check", set(Trigger)),
        ("execution_pushes_status_check", set(PushStatus)),
        ("execution_log_level_check", set(LogLevel)),
        ("violations_severity_check", set(Severity)),
        ("devices_kind_check", set(DeviceKind)),
        ("script_runs_state_check", set(RunState)),
        ("tokens_role_check", {role.name.lower() for role in Role}),
    ],
)
def test_the_database_takes_exactly_the_states_of_the_enum(
    database: Database, constraint: str, states: set[str]
) -> None:
    sql = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    with database.transaction() as connection:
        ((definition,),) = fetch_all(connection, sql, (constraint,))

    assert set(_WORD.findall(definition)) == set(map(str, states))
