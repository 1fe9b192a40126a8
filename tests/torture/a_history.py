"""A small history without a fault, to plant one in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cadence_service.domain.cadence import CadenceRule
from tests.torture.evidence import (
    Accepted,
    Address,
    Evidence,
    ExecutionSeen,
    PushSeen,
    Reports,
    Row,
    SlotExpected,
)

T = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=10)
RULE = CadenceRule(
    name="one_in_three_days",
    applies_to_layers=frozenset({3}),
    counted_layers=frozenset({3}),
    window=timedelta(hours=72),
    max_count=1,
)
ID = "spring@20261124T120000Z"
ALICE, BOB, TESTER = 1, 2, 9
FIRST = PushSeen(position=1, layer_id=3, delay=timedelta(0), status="sent")
SECOND = PushSeen(position=2, layer_id=1, delay=timedelta(minutes=1), status="sent")


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def an_execution(**changes: Any) -> ExecutionSeen:
    usual = ExecutionSeen(
        id=ID,
        automation_id="spring",
        phase="completed",
        is_scheduled=True,
        is_uncapped=False,
        slot=T,
        window=WINDOW,
        has_ended=True,
        reason=None,
        users=range(1, 3),
        pushes=(FIRST, SECOND),
    )
    return replace(usual, **changes)


def a_row(user: int, position: int = 1, **changes: Any) -> Row:
    is_test = changes.pop("is_test", False)
    address = Address(changes.pop("execution_id", ID), position, is_test, user)
    tag = f"tag {address}"
    return replace(Row(address, "sent", was_in_doubt=False, tag=tag), **changes)


ROWS = (
    a_row(TESTER, is_test=True),
    a_row(ALICE),
    a_row(BOB, state="in_doubt", was_in_doubt=True),
    a_row(ALICE, 2),
    a_row(BOB, 2, state="failed"),
)
ACCEPTED = (
    Accepted(at(-5), TESTER, ROWS[0].tag),
    Accepted(at(5), ALICE, ROWS[1].tag),
    Accepted(at(6), BOB, ROWS[2].tag),
    Accepted(at(7), BOB, ROWS[2].tag),
    Accepted(at(65), ALICE, ROWS[3].tag),
)
#: Alice has opened the first push, and so has the tester, whom nobody counts.
REPORTS = Reports(
    events=frozenset({(ROWS[0].tag, "opened"), (ROWS[1].tag, "opened")}),
    counted={(ID, 1, "opened"): 1, (ID, 2, "opened"): 0},
    keys=frozenset({"deal"}),
    kept=("deal",),
    conversions=1,
    attributions=1,
)


def a_history(**changes: Any) -> Evidence:
    """A test, then two pushes to two users: one message twice, in doubt, and one that failed."""
    flawless = Evidence(
        executions={ID: an_execution()},
        ledger=ROWS,
        accepted=ACCEPTED,
        recorded={row.address: T for row in ROWS if row.state != "failed"},
        rules=(RULE,),
        answered=frozenset({ID}),
        slots=(SlotExpected("spring", T),),
        one_slot={"spring": T},
        reports=REPORTS,
    )
    return replace(flawless, **changes)
