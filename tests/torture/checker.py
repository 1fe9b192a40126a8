"""The judge: pure functions over the evidence; each yields what should never have happened."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final

from cadence_service.domain.cadence import Send, find_breach, find_rules
from tests.torture.evidence import (
    Accepted,
    Address,
    Evidence,
    ExecutionSeen,
    PushSeen,
    Reports,
    Row,
)


class Fault(StrEnum):
    """What must be counted zero times."""

    LOST = "lost"
    DOUBLED = "doubled"
    EARLY = "early"
    OVER_CAP = "over cap"
    UNRECORDED = "unrecorded"
    UNSTOPPED = "after a stop"
    UNWANTED = "after an opt-out or erasure"
    OVERLAP = "script run twice at once"
    MISCOUNTED = "counted wrongly"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should not have happened, and where to look."""

    fault: Fault
    where: str
    text: str


#: What is on its way to the provider when a stop or an opt-out is answered, a slow provider takes
#: so much later.
ON_ITS_WAY: Final = timedelta(seconds=10)
#: The states of somebody who may have the message on the phone.
REACHED: Final = frozenset({"sent", "in_doubt"})


def find_faults(evidence: Evidence) -> list[Finding]:
    """Return everything that is wrong."""
    looks: dict[Fault, Callable[[Evidence], Iterator[tuple[str, str]]]] = {
        Fault.LOST: find_lost,
        Fault.DOUBLED: find_doubled,
        Fault.EARLY: find_early,
        Fault.OVER_CAP: find_over_cap,
        Fault.UNRECORDED: find_unrecorded,
        Fault.UNSTOPPED: find_unstopped,
        Fault.UNWANTED: find_unwanted,
        Fault.OVERLAP: find_overlaps,
        Fault.MISCOUNTED: find_miscounted,
    }
    return [
        Finding(fault, where, text)
        for fault, look in looks.items()
        for where, text in look(evidence)
    ]


def find_lost(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield slots without an execution, executions without an end, users without an outcome."""
    executions = evidence.executions
    for id_ in sorted(evidence.answered - executions.keys()):
        yield id_, "its start was answered, and there is no such execution"
    seen = {(e.automation_id, e.slot) for e in executions.values()}
    for slot in evidence.slots:
        if (slot.automation_id, slot.at) not in seen:
            yield slot.automation_id, f"its slot {slot.at.isoformat()} has no execution"
    for execution in executions.values():
        if not execution.has_ended:
            yield execution.id, f"never ended; it stands in {execution.phase}"
    yield from _find_forgotten(evidence)
    yield from _find_never_sent(evidence)


def _find_forgotten(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield users whose message has no outcome in the ledger."""
    known: dict[tuple[str, int], set[int]] = defaultdict(set)
    for row in evidence.ledger:
        where = row.address
        if row.state in {"claimed", "deferred"}:
            yield where.execution_id, f"user {where.user}, push {where.position}: no outcome"
        if not where.is_test:
            known[where.execution_id, where.position].add(where.user)
    ended = [(e, p) for e in evidence.executions.values() for p in e.pushes if p.status == "sent"]
    for execution, push in ended:
        forgotten = set(execution.users) - known[execution.id, push.position]
        for user in sorted(forgotten - evidence.reports.erased.keys()):
            yield execution.id, f"push {push.position} has ended without user {user}"


def _find_never_sent(evidence: Evidence) -> Iterator[tuple[str, str]]:
    accepted = {message.tag for message in evidence.accepted}
    for row in evidence.ledger:
        if row.state == "sent" and row.tag not in accepted:
            where = row.address
            text = f"user {where.user}, push {where.position}: sent, says the ledger; the provider"
            yield where.execution_id, f"{text} never took it"


def find_overlaps(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield executions whose script ran a second time while its first run lived."""
    for execution_id in evidence.overlaps:
        yield execution_id, "its script began again while the run before lived"


def find_doubled(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield slots that fired twice, and messages sent twice of which only one was counted."""
    for execution in evidence.executions.values():
        own = evidence.one_slot.get(execution.automation_id)
        if own and execution.is_scheduled and execution.slot != own:
            yield execution.id, f"it has one slot, {own.isoformat()}, and this is another"
    for (user, layer), count in evidence.unexplained.items():
        yield f"user {user}", f"cadence counts {count} more on layer {layer} than were sent"
    yield from _find_sent_twice(evidence)


def _find_sent_twice(evidence: Evidence) -> Iterator[tuple[str, str]]:
    by_tag = {row.tag: row for row in evidence.ledger}
    times = Counter((message.tag, message.user) for message in evidence.accepted)
    for (tag, user), count in times.items():
        if tag in evidence.reports.tags_of_erased:
            continue
        row = by_tag.get(tag)
        if row is None or row.address.user != user:
            yield f"user {user}", f"has a message under a display tag of nobody's: {tag}"
        elif count > 1 and not row.was_in_doubt:
            where = row.address
            text = f"user {user}, push {where.position}: taken {count} times, never in doubt"
            yield where.execution_id, text


def find_early(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield messages that came before T, within the window after the test, or before their turn."""
    tests: dict[str, Accepted] = {}
    live: list[tuple[Row, Accepted]] = []
    for row, message in _match(evidence):
        if row.address.is_test:
            tests[row.address.execution_id] = message
        else:
            live.append((row, message))
    for row, message in live:
        execution = evidence.executions[row.address.execution_id]
        earliest = execution.slot
        if execution.id in tests:
            earliest = max(earliest, tests[execution.id].at + execution.window)
        earliest += sum(
            (push.delay for push in execution.pushes[: row.address.position]), timedelta(0)
        )
        if message.at < earliest:
            early = (earliest - message.at).total_seconds()
            text = f"user {message.user}, push {row.address.position}: {early:.3f} s early"
            yield execution.id, text


def _match(evidence: Evidence) -> Iterator[tuple[Row, Accepted]]:
    """Yield each message with its row, in the order in which the provider took them."""
    by_tag = {row.tag: row for row in evidence.ledger}
    for message in sorted(evidence.accepted, key=lambda m: m.at):
        if message.tag in by_tag:
            yield by_tag[message.tag], message


def find_over_cap(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield sends that no rule should have let through; uncapped executions are left out."""
    return _find_over_cap(evidence, lambda execution: not execution.is_uncapped)


def count_uncapped(evidence: Evidence) -> int:
    """Return how many sends are over a cap if uncapped executions are not left out."""
    return sum(1 for _ in _find_over_cap(evidence, lambda _: True))


def _find_over_cap(
    evidence: Evidence, counts: Callable[[ExecutionSeen], bool]
) -> Iterator[tuple[str, str]]:
    for user, addresses in _sends_by_user(evidence, counts).items():
        sends = [_send(evidence, address) for address in addresses]
        for number, (address, send) in enumerate(zip(addresses, sends, strict=True)):
            others = sends[:number] + sends[number + 1 :]
            breach = find_breach(find_rules(evidence.rules, send.layer_id), others, send.sent_at)
            if breach:
                text = f"user {user}, push {address.position}: more than {breach.rule.name} allows"
                yield address.execution_id, text


def _sends_by_user(
    evidence: Evidence, counts: Callable[[ExecutionSeen], bool]
) -> Mapping[int, list[Address]]:
    found = [
        row.address
        for row in evidence.ledger
        if row.state in REACHED
        and not row.address.is_test
        and row.address in evidence.recorded
        and counts(evidence.executions[row.address.execution_id])
    ]
    found.sort(key=lambda address: address.user)
    return {user: list(group) for user, group in groupby(found, key=lambda a: a.user)}


def _send(evidence: Evidence, address: Address) -> Send:
    push = _push(evidence.executions[address.execution_id], address.position)
    return Send(push.layer_id, evidence.recorded[address])


def _push(execution: ExecutionSeen, position: int) -> PushSeen:
    return execution.pushes[position - 1]


def find_unrecorded(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield messages that a phone has, or may have, and that no cap will ever count."""
    for row in evidence.ledger:
        where = row.address
        if row.state in REACHED and where not in evidence.recorded:
            text = (
                f"user {where.user}, push {where.position}: {row.state}, and cadence knows nothing"
            )
            yield where.execution_id, text
    unreached = {row.tag: row for row in evidence.ledger if row.state not in REACHED}
    for tag in sorted({m.tag for m in evidence.accepted} & unreached.keys()):
        row = unreached[tag]
        where = row.address
        text = f"user {where.user}, push {where.position}: the provider took it; the ledger says"
        yield where.execution_id, f"{text} {row.state}"


def find_unstopped(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield messages of executions whose stop, or cancel, had been answered long before."""
    for row, message in _match(evidence):
        answered_at = evidence.stopped.get(row.address.execution_id)
        if answered_at and message.at > answered_at + ON_ITS_WAY:
            late = (message.at - answered_at).total_seconds()
            text = f"user {message.user}, push {row.address.position}: {late:.1f} s after the stop"
            yield row.address.execution_id, text


def find_unwanted(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield messages to users whose opt-out or erasure had been answered long before."""
    reports = evidence.reports
    by_tag = {**reports.tags_of_erased, **{row.tag: row.address for row in evidence.ledger}}
    for wish, users in (("opt-out", reports.opted_out), ("erasure", reports.erased)):
        for message in evidence.accepted:
            answered_at = users.get(message.user)
            if answered_at and message.at > answered_at + ON_ITS_WAY:
                where = by_tag[message.tag]
                late = (message.at - answered_at).total_seconds()
                text = f"user {message.user}, push {where.position}: {late:.1f} s after the {wish}"
                yield where.execution_id, text


def find_miscounted(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield counters of results that differ from what phones and a shop reported, each once."""
    yield from _find_miscounted_events(evidence)
    yield from _find_miskept_conversions(evidence.reports)


def _find_miscounted_events(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield them; an event of an erased user counts if it came before the erasure."""
    reports = evidence.reports
    known = {row.tag: row.address for row in evidence.ledger}
    surely = _count_events(reports, known.keys() - reports.tags_of_erased.keys(), known)
    perhaps = _count_events(reports, reports.tags_of_erased.keys(), reports.tags_of_erased)
    for where in sorted(surely.keys() | reports.counted.keys()):
        id_, position, event = where
        counted = reports.counted.get(where, 0)
        if not surely[where] <= counted <= surely[where] + perhaps[where]:
            yield id_, f"push {position}: {event} by {surely[where]} users, counted {counted}"


def _count_events(
    reports: Reports, tags: Set[str], addresses: Mapping[str, Address]
) -> Counter[tuple[str, int, str]]:
    found = [(addresses[tag], event) for tag, event in reports.events if tag in tags]
    return Counter((a.execution_id, a.position, event) for a, event in found if not a.is_test)


def _find_miskept_conversions(reports: Reports) -> Iterator[tuple[str, str]]:
    kept = Counter(key for key in reports.kept if not key.startswith("erased:"))
    for key in sorted((reports.keys | kept.keys()) - reports.tags_of_erased.keys()):
        if (key in reports.keys, kept[key]) != (True, 1):
            yield key, f"a conversion is kept {kept[key]} times"
    if reports.conversions != reports.attributions:
        text = f"{reports.attributions} conversions were attributed, counted {reports.conversions}"
        yield "conversions", text
