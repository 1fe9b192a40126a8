"""Who of a batch is sent to now: whose send window is open, and who is not left out or capped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.delivery.delivery_ledger import (
    WindowDeferral,
    defer_to_windows,
    insert_refusals,
)
from push_blaster.adapters.delivery.resumed_sends import select_reached
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState, Refusal
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.cadence.ask_cadence import ask_cadence
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.delivery.apply_holdout import find_holdout
from push_blaster.use_cases.delivery.find_send_windows import find_send_windows

_STATE: Final = LedgerState.SENT_BEFORE


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSnapshot:
    """What the ledger says of the users of a page when an attempt at it begins.

    Shape: `windows` has the send window of each user who was ever deferred to one, sent or not;
    the windows of `due` users are open now. `is_first` marks the attempt before which cadence was
    asked about nobody.
    """

    states: Mapping[UUID, str]
    windows: Mapping[UUID, datetime] = field(default_factory=dict)
    due: frozenset[UUID] = frozenset()
    is_first: bool = True

    def is_open(self, user_id: UUID) -> bool:
        """Return whether cadence has yet to be asked about the user."""
        return user_id in self.due or user_id not in self.states


class Receivers(NamedTuple):
    """Who is sent to now, and the windows to which users of the page were ever deferred."""

    rows: list[AudienceRow]
    windows: Mapping[UUID, datetime]


def choose_receivers(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    rows: Sequence[AudienceRow],
    snapshot: PageSnapshot,
) -> Receivers:
    """Return who is sent to now of those not yet asked about; write down the others, and why."""
    left_out = {
        **find_holdout(context.limits, execution, rows, snapshot.states),
        **find_sent_before(context.database, execution, page.position, rows, snapshot.states),
    }
    others = [row for row in rows if row.user_id not in left_out]
    still_open = [row for row in others if snapshot.is_open(row.user_id)]
    found = find_send_windows(context, execution, page.position, still_open)
    deferrals = [_defer(snapshot, user_id, at) for user_id, at in found.later.items()]
    with context.database.transaction() as connection:
        insert_refusals(connection, page, [*left_out.values(), *found.never], context.clock())
        defer_to_windows(connection, page, deferrals, context.clock())
    moved = {one.user_id: one.opens_at for one in deferrals if one.is_asked_apart}
    snapshot = replace(snapshot, windows={**snapshot.windows, **moved})
    eligible, capped = _ask(context, execution, page, others, found.now, snapshot.windows)
    with context.database.transaction() as connection:
        insert_refusals(connection, page, capped, context.clock())
    return Receivers(eligible, snapshot.windows)


def _defer(snapshot: PageSnapshot, user_id: UUID, opens_at: datetime) -> WindowDeferral:
    """Return the deferral of a user, about whom cadence is asked for that window alone.

    If an earlier attempt may have asked about the user with the whole batch, the user stays in that
    question: the same question gets the same verdict, and another one under its key gets none.
    """
    return WindowDeferral(user_id, opens_at, snapshot.is_first or user_id in snapshot.windows)


def _ask(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    others: Sequence[AudienceRow],
    now: Sequence[AudienceRow],
    windows: Mapping[UUID, datetime],
) -> tuple[list[AudienceRow], list[Refusal]]:
    """Return whom of `now` cadence lets through, and whom it caps.

    Shape: one question for everybody who is sent to as planned, and one for each window to which
    users were deferred; each question names all its users, whoever of them is left to be sent to.
    """
    eligible: list[AudienceRow] = []
    capped: list[Refusal] = []
    for window in {windows.get(row.user_id) for row in now}:
        asked = [row.user_id for row in others if windows.get(row.user_id) == window]
        verdict = ask_cadence(context, execution, page, asked, window)
        for row in now:
            if windows.get(row.user_id) != window:
                continue
            if row.user_id in verdict.eligible:
                eligible.append(row)
            else:
                rule = verdict.capped.get(row.user_id, "cadence")
                capped.append(Refusal(row.user_id, LedgerState.CAPPED, rule))
    return eligible, capped


def find_sent_before(
    database: Database,
    execution: Execution,
    position: int,
    rows: Sequence[AudienceRow],
    states: Mapping[UUID, str],
) -> dict[UUID, Refusal]:
    """Return who of `rows` the stopped execution had reached, or may have reached."""
    if execution.resumes is None:
        return {}
    users = [row.user_id for row in rows if states.get(row.user_id, _STATE) == _STATE]
    with database.transaction() as connection:
        reached = select_reached(connection, execution.resumes, position, users)
    reason = f"by {execution.resumes}"
    return {user_id: Refusal(user_id, _STATE, reason) for user_id in reached}
