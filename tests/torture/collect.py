"""Read the evidence from both databases and from what was written down."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from cadence_service.domain.cadence import CadenceRule
from chassis.clock import utc_now
from push_blaster.domain.delivery.message import display_tag
from tests.journeys.stack import Stack
from tests.torture.evidence import Address, Evidence, ExecutionSeen, PushSeen, Reports, Row
from tests.torture.journal import Journal
from tests.torture.phones import EVENTS, OPTED_OUT, Phones
from tests.torture.world import World

#: Users are numbers up to here; the stand-in of an erased user is a random id.
LAST_USER: Final = 2**64
#: The layer on which cadence records tests.
TEST_LAYER: Final = 4


def collect(world: World, journal: Journal, phones: Phones | None = None) -> Evidence:
    """Return everything that is known when all has come to rest."""
    stack = world.stack
    snapshots = dict(stack.ledger("SELECT id, snapshot FROM executions"))
    executions = _read_executions(stack, snapshots)
    rows = list(_read_ledger(stack, snapshots))
    batches = {row.address: batch for row, batch in rows}
    recorded, unexplained = _read_recorded(stack, executions, batches)
    return Evidence(
        executions=executions,
        ledger=tuple(row for row, _ in rows),
        accepted=tuple(world.accepted),
        recorded=recorded,
        unexplained=unexplained,
        rules=tuple(_read_rules(stack)),
        answered=frozenset(journal.answered),
        slots=tuple(journal.find_owed(utc_now())),
        one_slot=dict(journal.one_slot),
        stopped=dict(journal.stopped),
        overlaps=tuple(_read_overlaps(stack)),
        reports=_read_reports(stack, phones, snapshots) if phones else Reports(),
    )


def _read_reports(
    stack: Stack, phones: Phones, snapshots: Mapping[str, Mapping[str, Any]]
) -> Reports:
    counted = {
        (id_, position, event): users
        for id_, position, *counts in stack.ledger(
            "SELECT execution_id, position, sum(delivered)::int, sum(opened)::int,"
            "       sum(opted_out)::int"
            "  FROM result_pushes JOIN result_counts USING (execution_number, position)"
            " GROUP BY execution_id, position"
        )
        for event, users in zip((*EVENTS, OPTED_OUT), counts, strict=True)
    }
    ((conversions, attributions),) = stack.ledger(
        "SELECT (SELECT coalesce(sum(conversions), 0)::int FROM result_counts),"
        " (SELECT count(*)::int FROM attributions)"
    )
    return Reports(
        events=frozenset(phones.events),
        counted=counted,
        keys=frozenset(phones.keys),
        kept=tuple(row[0] for row in stack.ledger("SELECT key FROM conversions")),
        conversions=conversions,
        attributions=attributions,
        opted_out=dict(phones.opted_out),
        erased=dict(phones.erased),
        tags_of_erased={
            display_tag(id_, push["id"], UUID(int=user)): Address(id_, position, False, user)
            for id_, snapshot in snapshots.items()
            for position, push in enumerate(snapshot["pushSequence"], start=1)
            for user in phones.erased
        },
    )


def _read_overlaps(stack: Stack) -> list[str]:
    noted = stack.folder / "scripts" / "overlaps.txt"
    return noted.read_text().split() if noted.exists() else []


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
            reason=row[7],
            window=_minutes(snapshots[row[0]]["settings"]["cancellationWindowMinutes"]),
            users=_users(row[0], snapshots[row[0]]),
            pushes=tuple(_pushes(snapshots[row[0]], statuses.get(row[0], []))),
        )
        for row in stack.ledger(
            "SELECT id, automation_id, phase, trigger, uncapped_reason IS NOT NULL, slot,"
            " ended_at IS NOT NULL, reason FROM executions"
        )
    }


def _users(execution_id: str, snapshot: Mapping[str, Any]) -> range:
    """Return whom the script of the world means, worked out again."""
    parameters = snapshot["audienceCriteria"]["customScript"]["parameters"]
    digest = hashlib.sha256(execution_id.encode()).hexdigest()
    first = int(parameters["first"]) + int(digest[:8], 16) % int(parameters.get("span", 1))
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


def _read_ledger(
    stack: Stack, snapshots: Mapping[str, Mapping[str, Any]]
) -> Iterable[tuple[Row, int]]:
    """Yield each row of the ledger, and its batch; not those of the stand-ins of erased users."""
    for id_, position, is_test, user_id, state, was_in_doubt, claimed_at, batch in stack.ledger(
        "SELECT execution_id, position, is_test, user_id, state, was_in_doubt, claimed_at, batch"
        " FROM deliveries"
    ):
        if user_id.int > LAST_USER:
            continue
        push_id = snapshots[id_]["pushSequence"][position - 1]["id"]
        address = Address(id_, position, is_test, user_id.int)
        tag = display_tag(id_, push_id, user_id)
        yield Row(address, state, was_in_doubt, tag, claimed_at), batch


def _read_recorded(
    stack: Stack, executions: Mapping[str, ExecutionSeen], batches: Mapping[Address, int]
) -> tuple[dict[Address, datetime], dict[tuple[int, int], int]]:
    """Return when each message counts, and what counts besides, by user and layer.

    A message is recorded under its own key, or in the slot that was held for it with its batch;
    and a row of the history stands for each.
    """
    counted = {
        (user_id.int, bytes(key)): sent_at
        for user_id, key, sent_at in stack.history(
            "SELECT user_id, key, sent_at FROM notification_keys"
        )
    }
    held: dict[tuple[int, str], datetime] = {}
    left: Counter[tuple[int, int]] = Counter()
    for user_id, layer, sent_at, key in stack.history(
        "SELECT n.user_id, n.layer_id, n.sent_at, r.key FROM user_notifications n"
        " LEFT JOIN reservations r ON r.id = n.reservation_id"
    ):
        left[user_id.int, layer] += user_id.int <= LAST_USER
        # Whoever was held until an instant of their own has it in their key, after the batch's.
        held[user_id.int, "/".join((key or "").split("/")[:3])] = sent_at
    recorded: dict[Address, datetime] = {}
    for address, batch in batches.items():
        slot = f"{address.execution_id}/{address.position}/{batch}"
        sent_at = counted.get((address.user, _key(address))) or held.get((address.user, slot))
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
