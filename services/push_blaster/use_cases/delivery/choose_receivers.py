"""Who of a batch is sent to now: whose turn it is, and who is neither left out nor held back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.delivery.delivery_ledger import Hold, LedgerPage, hold, insert_refusals
from push_blaster.adapters.delivery.resumed_sends import select_reached
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.delivery.ledger import LedgerState, Refusal
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.cadence.ask_cadence import ask_cadence
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.delivery.apply_holdout import find_held_out
from push_blaster.use_cases.delivery.find_send_windows import find_turns

_STATE: Final = LedgerState.SENT_BEFORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the users of a page stand when an attempt at it begins.

    Shape: `held_until` is by whom it was put off to when, sent or not; `due` are those held whose
    turn has come. `is_first` tells the attempt before which nobody was asked about.
    """

    states: Mapping[UUID, str]
    held_until: Mapping[UUID, datetime] = field(default_factory=dict)
    due: frozenset[UUID] = frozenset()
    is_first: bool = True

    def is_open(self, user_id: UUID) -> bool:
        """Return whether cadence has yet to be asked about the user."""
        return user_id in self.due or user_id not in self.states


def choose_receivers(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    rows: Sequence[AudienceRow],
    standing: Standing,
) -> tuple[list[AudienceRow], Standing]:
    """Return who is sent to now of those not yet asked about; write down the others, and why.

    The standing that is returned knows who is held.
    """
    left_out = {
        **find_held_out(context.limits, execution, rows, standing.states),
        **find_sent_before(context.database, execution, page.position, rows, standing.states),
    }
    mine = [row for row in rows if row.user_id not in left_out]
    turns = find_turns(
        context, execution, page.position, [row for row in mine if standing.is_open(row.user_id)]
    )
    holds = [_hold(standing, user_id, until) for user_id, until in turns.later.items()]
    with context.database.transaction() as connection:
        insert_refusals(connection, page, [*left_out.values(), *turns.never], context.clock())
        hold(connection, page, holds, context.clock())
    moved = {h.user_id: h.held_until for h in holds if h.held_until}
    standing = replace(standing, held_until={**standing.held_until, **moved})
    eligible, held_back = _ask(context, execution, page, mine, turns.now, standing)
    with context.database.transaction() as connection:
        insert_refusals(connection, page, held_back, context.clock())
    return eligible, standing


def _hold(standing: Standing, user_id: UUID, until: datetime) -> Hold:
    """Return the hold of a user, who is asked about for then, in a question of its own.

    Whoever an earlier attempt may have asked about with the whole batch stays in that question:
    the same question gets the same verdict, and another one under its key gets none.
    """
    is_asked_for_then = standing.is_first or user_id in standing.held_until
    return Hold(user_id, until, until if is_asked_for_then else None)


def _ask(
    context: SendContext,
    execution: Execution,
    page: LedgerPage,
    mine: Sequence[AudienceRow],
    now: Sequence[AudienceRow],
    standing: Standing,
) -> tuple[list[AudienceRow], list[Refusal]]:
    """Return whom cadence lets through, and whom it holds back.

    Shape: one question for everybody who is sent to as planned, and one for each instant up to
    which others were held; each is asked whole, whoever of it is left to be sent to.
    """
    eligible: list[AudienceRow] = []
    held_back: list[Refusal] = []
    turn_of = standing.held_until.get
    for turn in {turn_of(row.user_id) for row in now}:
        asked = [row.user_id for row in mine if turn_of(row.user_id) == turn]
        verdict = ask_cadence(context, execution, page, asked, turn)
        for row in now:
            if turn_of(row.user_id) != turn:
                continue
            if row.user_id in verdict.eligible:
                eligible.append(row)
            else:
                rule = verdict.held_back.get(row.user_id, "cadence")
                held_back.append(Refusal(row.user_id, LedgerState.CAPPED, rule))
    return eligible, held_back


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
