"""The judge must be able to condemn: a flawless history, and one planted fault at a time."""

from dataclasses import replace
from typing import Any

import pytest

from tests.torture.a_history import (
    ACCEPTED,
    ALICE,
    BOB,
    FIRST,
    ID,
    REPORTS,
    ROWS,
    T,
    a_history,
    a_row,
    an_execution,
    at,
)
from tests.torture.checker import Fault, count_uncapped, find_faults
from tests.torture.evidence import (
    Accepted,
    Evidence,
    SlotExpected,
)


def faults_of(evidence: Evidence) -> list[tuple[Fault, str]]:
    return [(finding.fault, finding.text) for finding in find_faults(evidence)]


def test_a_flawless_history_has_no_fault() -> None:
    assert faults_of(a_history()) == []


@pytest.mark.parametrize(
    ("planted", "fault", "said"),
    [
        ({"overlaps": (ID,)}, Fault.OVERLAP, "while the run before lived"),
        ({"answered": frozenset({ID, "gone"})}, Fault.LOST, "no such execution"),
        ({"slots": (SlotExpected("spring", at(60)),)}, Fault.LOST, "has no execution"),
        (
            {"executions": {ID: an_execution(has_ended=False, phase="live_execution")}},
            Fault.LOST,
            "never ended",
        ),
        (
            {"executions": {ID: an_execution(users=range(1, 4))}},
            Fault.LOST,
            "ended without user 3",
        ),
        ({"ledger": (*ROWS[:4], a_row(BOB, 2, state="claimed"))}, Fault.LOST, "no outcome"),
        ({"accepted": (*ACCEPTED[:4],)}, Fault.LOST, "never took it"),
        ({"one_slot": {"spring": at(-60)}}, Fault.DOUBLED, "this is another"),
        ({"accepted": (*ACCEPTED, ACCEPTED[1])}, Fault.DOUBLED, "taken 2 times, never in doubt"),
        (
            {"accepted": (*ACCEPTED, replace(ACCEPTED[2], tag="other"))},
            Fault.DOUBLED,
            "a display tag of nobody's",
        ),
        (
            {"accepted": (*ACCEPTED, replace(ACCEPTED[2], user=ALICE))},
            Fault.DOUBLED,
            "a display tag of nobody's",
        ),
        ({"unexplained": {(ALICE, 3): 1}}, Fault.DOUBLED, "counts 1 more on layer 3"),
        (
            {"accepted": (*ACCEPTED, Accepted(at(4.9), BOB, ROWS[2].tag))},
            Fault.EARLY,
            "push 1: 0.100 s early",
        ),
        (
            {"executions": {ID: an_execution(slot=at(10))}, "slots": (), "one_slot": {}},
            Fault.EARLY,
            "s early",
        ),
        (
            {"accepted": (*ACCEPTED[:4], Accepted(at(60), ALICE, ROWS[3].tag))},
            Fault.EARLY,
            "push 2: 5.000 s early",
        ),
        ({"stopped": {ID: at(50)}}, Fault.UNSTOPPED, "push 2: 15.0 s after the stop"),
        (
            {"recorded": {r.address: T for r in ROWS if r.state == "sent"}},
            Fault.UNRECORDED,
            "in_doubt, and cadence knows nothing",
        ),
        (
            {"accepted": (*ACCEPTED, Accepted(at(70), BOB, ROWS[4].tag))},
            Fault.UNRECORDED,
            "the ledger says failed",
        ),
    ],
)
def test_a_planted_fault_is_found(planted: dict[str, Any], fault: Fault, said: str) -> None:
    found = faults_of(a_history(**planted))

    assert {kind for kind, _ in found} == {fault}
    assert any(said in text for _, text in found), found


def test_a_message_long_after_an_opt_out_is_found() -> None:
    reports = replace(REPORTS, opted_out={ALICE: at(50), BOB: at(0)})

    assert faults_of(a_history(reports=reports)) == [
        (Fault.UNWANTED, "user 1, push 2: 15.0 s after the opt-out")
    ]


def an_erasure_of_alice(asked_at: float, **changes: Any) -> Evidence:
    """Alice's rows have a stand-in now; her phone has had two messages."""
    tags = {row.tag: row.address for row in ROWS if row.address.user == ALICE}
    reports = replace(REPORTS, erased={ALICE: at(asked_at)}, tags_of_erased=tags, **changes)
    rows = tuple(row for row in ROWS if row.address.user != ALICE)
    return a_history(reports=reports, ledger=rows)


@pytest.mark.parametrize("counted", [0, 1])
def test_an_erased_user_is_missed_nowhere(counted: int) -> None:
    counts = {(ID, 1, "opened"): counted, (ID, 2, "opened"): 0}

    assert faults_of(an_erasure_of_alice(60, counted=counts)) == []


@pytest.mark.parametrize(
    ("asked_at", "counted", "fault", "said"),
    [
        (50, 1, Fault.UNWANTED, "user 1, push 2: 15.0 s after the erasure"),
        (60, 2, Fault.MISCOUNTED, "push 1: opened by 0 users, counted 2"),
    ],
)
def test_a_fault_with_an_erased_user_is_found(
    asked_at: float, counted: int, fault: Fault, said: str
) -> None:
    evidence = an_erasure_of_alice(asked_at, counted={(ID, 1, "opened"): counted})

    assert faults_of(evidence) == [(fault, said)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"counted": {}}, "opened by 1 users, counted 0"),
        ({"counted": {(ID, 1, "opened"): 2}}, "opened by 1 users, counted 2"),
        ({"counted": {**REPORTS.counted, (ID, 2, "opened"): 1}}, "opened by 0 users, counted 1"),
        ({"kept": ()}, "kept 0 times"),
        ({"kept": ("deal", "deal")}, "kept 2 times"),
        ({"kept": ("deal", "stranger")}, "kept 1 times"),
        ({"conversions": 2}, "1 conversions were attributed, counted 2"),
    ],
)
def test_a_wrong_count_is_found(changes: dict[str, Any], said: str) -> None:
    ((fault, text),) = faults_of(a_history(reports=replace(REPORTS, **changes)))

    assert fault is Fault.MISCOUNTED
    assert said in text


def another_send_to_alice(*, uncapped: bool) -> Evidence:
    other = an_execution(
        id="other",
        automation_id="other",
        users=range(1, 2),
        pushes=(FIRST,),
        is_uncapped=uncapped,
    )
    row = a_row(ALICE, execution_id="other")
    calm = a_history()
    return a_history(
        executions={**calm.executions, "other": other},
        ledger=(*ROWS, row),
        accepted=(*ACCEPTED, Accepted(at(8), ALICE, row.tag)),
        recorded={**calm.recorded, row.address: at(3_600)},
    )


def test_a_send_over_a_cap_is_found_on_both_sides() -> None:
    found = faults_of(another_send_to_alice(uncapped=False))

    assert {kind for kind, _ in found} == {Fault.OVER_CAP}
    assert len(found) == 2


def test_an_uncapped_execution_is_no_fault_and_is_counted_apart() -> None:
    evidence = another_send_to_alice(uncapped=True)

    assert faults_of(evidence) == []
    assert count_uncapped(evidence) == 2
