"""Choose the users of a batch to send to now: their window is open, and nothing excludes them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection, Database
from push_blaster.adapters.delivery.delivery_ledger import (
    WindowDeferral,
    defer_to_windows,
    insert_refusals,
)
from push_blaster.adapters.delivery.resumed_sends import select_reached
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState, Refusal
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.timeline import counted_instant
from push_blaster.use_cases.cadence.ask_cadence import ask_cadence
from push_blaster.use_cases.context import SendContext, StepContext, check_permission
from push_blaster.use_cases.delivery.apply_holdout import find_holdout
from push_blaster.use_cases.delivery.find_exited import find_exited
from push_blaster.use_cases.delivery.find_opted_out import find_opted_out
from push_blaster.use_cases.delivery.find_send_windows import find_send_windows

_STATE: Final = LedgerState.SENT_BEFORE


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSnapshot:
    """The ledger's states of the users of a page when an attempt at the page begins.

    Shape: `windows` has the send window of each user who was ever deferred to a window, sent or
    not; the windows of `due` users are open now. `is_first` marks the first attempt, before which
    cadence was not asked about any user.
    """

    states: Mapping[UUID, str]
    windows: Mapping[UUID, datetime] = field(default_factory=dict)
    due: frozenset[UUID] = frozenset()
    is_first: bool = True

    def select_open(self, rows: Sequence[AudienceRow]) -> Sequence[AudienceRow]:
        """Return the rows of the users about whom cadence must still be asked."""
        return _leave_out(rows, self.states.keys() - self.due)


class Receivers(NamedTuple):
    """The users to send to now, and the windows to which users of the page were ever deferred."""

    rows: list[AudienceRow]
    windows: Mapping[UUID, datetime]


def choose_receivers(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    rows: Sequence[AudienceRow],
    snapshot: PageSnapshot,
    may_send: Callable[[Connection], bool],
) -> Receivers:
    """Return the users to send to now; record the other users, and why.

    Raises: StepStoppedError when sending is not permitted any more.
    """
    left_out = {
        **find_holdout(context.limits, execution, rows, snapshot.states),
        **find_sent_before(context.database, execution, page.position, rows, snapshot.states),
    }
    others = _leave_out(rows, left_out)
    still_open = snapshot.select_open(others)
    gone = find_gone(context, execution, page.position, still_open)
    staying = _leave_out(still_open, gone)
    found = find_send_windows(context, execution, page.position, staying)
    now = context.clock()
    later = {**found.later, **(dict.fromkeys(gone, now) if snapshot.is_first else {})}
    deferrals = [
        _defer(snapshot, user_id, at, find_counted(context, execution, page.position, at))
        for user_id, at in later.items()
    ]
    with context.database.transaction() as connection:
        check_permission(connection, may_send)
        insert_refusals(connection, page, [*left_out.values(), *found.never], now)
        defer_to_windows(connection, page, deferrals, now)
        insert_refusals(connection, page, list(gone.values()), now)
    moved = {one.user_id: one.counts_at for one in deferrals if one.is_asked_apart}
    snapshot = replace(snapshot, windows={**snapshot.windows, **moved})
    eligible, capped = _ask(context, execution, page, others, found.now, snapshot.windows)
    if capped:
        with context.database.transaction() as connection:
            check_permission(connection, may_send)
            insert_refusals(connection, page, capped, context.clock())
    return Receivers(eligible, snapshot.windows)


def _leave_out(rows: Sequence[AudienceRow], users: Collection[UUID]) -> Sequence[AudienceRow]:
    """Return the rows without those of `users`; often there are none, and no user is looked up."""
    return [row for row in rows if row.user_id not in users] if users else rows


def _defer(
    snapshot: PageSnapshot, user_id: UUID, opens_at: datetime, counts_at: datetime
) -> WindowDeferral:
    """Return the deferral of a user; cadence is asked about the user for that window alone.

    If an earlier attempt may have asked about the user with the whole batch, the user stays in that
    question: only the same question under the same key gets a verdict again. A user who is gone at
    the first attempt is deferred, too, so that no attempt asks about the user.
    """
    is_asked_apart = snapshot.is_first or user_id in snapshot.windows
    return WindowDeferral(user_id, opens_at, counts_at, is_asked_apart)


def find_counted(
    context: StepContext, execution: Execution, position: int, opens_at: datetime
) -> datetime:
    """Return the instant for the cadence rules of a message at `opens_at`.

    A winner that goes out as planned counts as planned, as a push does that begins on time.
    """
    decision = execution.pushes[position - 1].decision
    planned = counted_instant(execution, position)
    if not decision or not planned or opens_at != context.shift(decision.decides_at):
        return opens_at
    return planned + execution.automation.pushes[position - 1].decide_after


def _ask(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    others: Sequence[AudienceRow],
    now: Sequence[AudienceRow],
    windows: Mapping[UUID, datetime],
) -> tuple[list[AudienceRow], list[Refusal]]:
    """Return which users of `now` cadence lets through, and which users it caps.

    Shape: one question for all users who are sent to as planned, and one for each window to which
    users were deferred; each question names all its users, even those who already have an outcome.
    """
    eligible: list[AudienceRow] = []
    capped: list[Refusal] = []
    for window, own in _by_window(now, windows).items():
        asked = [row.user_id for row in _by_window(others, windows)[window]]
        verdict = ask_cadence(context, execution, page, asked, window)
        refused = [row.user_id for row in own if row.user_id not in verdict.eligible]
        eligible += _leave_out(own, set(refused))
        for user_id in refused:
            rule = verdict.capped.get(user_id, "cadence")
            capped.append(Refusal(user_id, LedgerState.CAPPED, rule))
    return eligible, capped


def _by_window(
    rows: Sequence[AudienceRow], windows: Mapping[UUID, datetime]
) -> dict[datetime | None, Sequence[AudienceRow]]:
    """Return the rows by the windows of their users; users who are sent to as planned have none."""
    if not windows:
        return {None: rows} if rows else {}
    found: dict[datetime | None, list[AudienceRow]] = {}
    for row in rows:
        found.setdefault(windows.get(row.user_id), []).append(row)
    return {**found}


def find_gone(
    context: StepContext, execution: Execution, position: int, rows: Sequence[AudienceRow]
) -> dict[UUID, Refusal]:
    """Return which of the users opted out, left the sequence, or get nothing without a winner."""
    users = [row.user_id for row in rows]
    with context.database.transaction() as connection:
        opted_out = find_opted_out(connection, execution, position, users, context.clock())
    gone = {**find_exited(context.database, execution, users), **opted_out}
    decision = execution.pushes[position - 1].decision
    if decision and decision.decided_at and execution.find_winner(position) is None:
        state, reason = LedgerState.NO_WINNER, decision.reason or "no variant surely wins"
        losers = (r.user_id for r in rows if execution.gets_winner(position, r.user_id))
        gone |= {user_id: Refusal(user_id, state, reason) for user_id in losers}
    return gone


def find_sent_before(
    database: Database,
    execution: Execution,
    position: int,
    rows: Sequence[AudienceRow],
    states: Mapping[UUID, str],
) -> dict[UUID, Refusal]:
    """Return which users of `rows` the stopped execution had reached, or may have reached."""
    if execution.resumes is None:
        return {}
    users = [row.user_id for row in rows if states.get(row.user_id, _STATE) == _STATE]
    with database.transaction() as connection:
        reached = select_reached(connection, execution.resumes, position, users)
    reason = f"by {execution.resumes}"
    return {user_id: Refusal(user_id, _STATE, reason) for user_id in reached}
