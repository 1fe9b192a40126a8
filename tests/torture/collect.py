"""Read the evidence from both databases and from what was written down."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from cadence_service.domain.cadence import CadenceRule
from chassis.clock import utc_now
from push_blaster.domain.message import display_tag
from tests.journeys.stack import Stack
from tests.torture.crowd import Crowd
from tests.torture.evidence import Address, Evidence, ExecutionSeen, PushSeen, Row

#: The layer on which cadence records tests.
TEST_LAYER: Final = 4


def collect(crowd: Crowd) -> Evidence:
    """Return everything that is known when all has come to rest."""
    stack = crowd.stack
    snapshots = dict(stack.ledger("SELECT id, snapshot FROM executions"))
    executions = _read_executions(stack, snapshots)
    ledger = tuple(_read_ledger(stack, snapshots))
    recorded, unexplained = _read_recorded(stack, executions, [row.address for row in ledger])
    return Evidence(
        executions=executions,
        ledger=ledger,
        accepted=tuple(crowd.world.accepted),
        recorded=recorded,
        unexplained=unexplained,
        rules=tuple(_read_rules(stack)),
        answered=frozenset(crowd.journal.answered),
        slots=tuple(crowd.journal.find_owed(utc_now())),
        one_slot=dict(crowd.journal.one_slot),
        stopped=dict(crowd.journal.stopped),
    )


def read_logs(stack: Stack) -> dict[str, list[str]]:
    """Return what each execution says of itself, to find out what happened."""
    logs: dict[str, list[str]] = defaultdict(list)
    for id_, at, stage, message in stack.ledger(
        "SELECT execution_id, at, stage, message FROM execution_log ORDER BY execution_id, seq"
    ):
        logs[id_].append(f"{at:%H:%M:%S.%f} {stage}: {message}")
    return logs


def _read_executions(
    stack: Stack, snapshots: Mapping[str, Mapping[str, Any]]
) -> dict[str, ExecutionSeen]:
    statuses: dict[str, list[str]] = {}
    for id_, status in stack.ledger(
        "SELECT execution_id, status FROM execution_pushes ORDER BY execution_id, position"
    ):
        statuses.setdefault(id_, []).append(status)
    return {
        row[0]: ExecutionSeen(
            id=row[0],
            automation_id=row[1],
            phase=row[2],
            is_scheduled=row[3] == "schedule",
            is_uncapped=row[4],
            slot=row[5],
            has_ended=row[6],
            window=_minutes(snapshots[row[0]]["settings"]["cancellationWindowMinutes"]),
            users=_users(snapshots[row[0]]),
            pushes=tuple(_pushes(snapshots[row[0]], statuses.get(row[0], []))),
        )
        for row in stack.ledger(
            "SELECT id, automation_id, phase, trigger, uncapped_reason IS NOT NULL, slot,"
            " ended_at IS NOT NULL FROM executions"
        )
    }


def _users(snapshot: Mapping[str, Any]) -> range:
    parameters = snapshot["audienceCriteria"]["customScript"]["parameters"]
    first = int(parameters["first"])
    return range(first, first + int(parameters["users"]))


def _pushes(snapshot: Mapping[str, Any], statuses: list[str]) -> Iterable[PushSeen]:
    for position, (push, status) in enumerate(
        zip(snapshot["pushSequence"], statuses, strict=False), start=1
    ):
        yield PushSeen(
            position=position,
            layer_id=push["layerId"],
            delay=_minutes(push["timing"]["delayAfterPrevious"]),
            status=status,
        )


def _minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def _read_ledger(stack: Stack, snapshots: Mapping[str, Mapping[str, Any]]) -> Iterable[Row]:
    for id_, position, is_test, user_id, state, was_in_doubt in stack.ledger(
        "SELECT execution_id, position, is_test, user_id, state, was_in_doubt FROM deliveries"
    ):
        push_id = snapshots[id_]["pushSequence"][position - 1]["id"]
        address = Address(id_, position, is_test, user_id.int)
        yield Row(address, state, was_in_doubt, display_tag(id_, push_id, user_id))


def _read_recorded(
    stack: Stack, executions: Mapping[str, ExecutionSeen], addresses: Iterable[Address]
) -> tuple[dict[Address, datetime], dict[tuple[int, int], int]]:
    """Return when each message counts: its key was taken, and a row stands for it; other rows."""
    keys = {
        (user_id.int, bytes(key)): sent_at
        for user_id, key, sent_at in stack.history(
            "SELECT user_id, key, sent_at FROM notification_keys"
        )
    }
    left = Counter(
        {
            (user_id.int, layer): count
            for user_id, layer, count in stack.history(
                "SELECT user_id, layer_id, count(*) FROM user_notifications GROUP BY 1, 2"
            )
        }
    )
    recorded: dict[Address, datetime] = {}
    for address in addresses:
        sent_at = keys.get((address.user, _key(address)))
        layer = _layer(executions[address.execution_id], address)
        if sent_at is not None and left[address.user, layer]:
            left[address.user, layer] -= 1
            recorded[address] = sent_at
    return recorded, {key: count for key, count in left.items() if count}


def _key(address: Address) -> bytes:
    """Return the key under which push_blaster tells of a message, as cadence keeps it."""
    kind = "test" if address.is_test else "live"
    text = f"{address.execution_id}/{address.position}/{kind}/{UUID(int=address.user)}"
    return hashlib.sha256(text.encode()).digest()


def _layer(execution: ExecutionSeen, address: Address) -> int:
    return TEST_LAYER if address.is_test else execution.pushes[address.position - 1].layer_id


def _read_rules(stack: Stack) -> Iterable[CadenceRule]:
    for name, applies_to, counted, hours, count in stack.history(
        "SELECT name, applies_to_layers, counted_layers, window_hours, max_count"
        " FROM cadence_rules WHERE is_active"
    ):
        yield CadenceRule(
            name=name,
            applies_to_layers=frozenset(applies_to),
            counted_layers=frozenset(counted),
            window=timedelta(hours=hours),
            max_count=count,
        )
