"""Why an execution can no longer be cancelled, stopped, approved or resumed."""

from collections.abc import Callable, Mapping
from typing import Final

from push_blaster.domain.executions.phase import Phase
from push_blaster.web.executions.execution_card import Card
from push_blaster.web.frame.template_filters import counted

_ENDED: Final[Mapping[str, str]] = {
    Phase.COMPLETED: "was completed",
    Phase.CANCELLED: "was stopped or cancelled",
    Phase.FAILED: "failed",
    Phase.MISSED: "was missed, and did not start",
    Phase.SKIPPED: "was skipped, and did not start",
}


def find_obstacle(card: Card, action: str, doubted_devices: int) -> str:
    """Return why `action` is impossible now, and what happened; an empty text if it is possible."""
    find = _OBSTACLES.get(action)
    if action == "dead-devices":
        return "" if doubted_devices else "There is no device left to mark."
    return find(card) if find else ""


def _stop(card: Card) -> str:
    if card.execution.has_ended:
        return _describe_end(card)
    if card.execution.is_stopping:
        return "This execution is already being stopped. Nothing more is sent."
    return ""


def _cancel(card: Card) -> str:
    if _stop(card) or card.execution.can_cancel:
        return _stop(card)
    return (
        "This execution is already live, so it is too late to cancel it. The emergency stop on "
        "its page ends it now."
    )


def _approve(card: Card) -> str:
    if card.execution.waits_for_approval:
        return ""
    return _stop(card) or "This execution does not wait for an approval."


def _resume(card: Card) -> str:
    if card.execution.can_resume:
        return ""
    if not card.execution.has_ended:
        return "This execution still runs. It sends to the remaining users by itself."
    return f"{_describe_end(card)} Only a live send that ended early can be resumed."


def _describe_end(card: Card) -> str:
    users, simulated = card.delivered
    did = "Would have been sent to" if card.totals.would_send else "Sent to"
    where = " in the simulation" if simulated == "simulated" else ""
    return f"This execution {_ENDED[card.execution.phase]}. {did} {counted(users, 'user')}{where}."


_OBSTACLES: Final[Mapping[str, Callable[[Card], str]]] = {
    "approve": _approve,
    "cancel": _cancel,
    "resume": _resume,
    "stop": _stop,
}
