"""One rule for every answer from outside: a fault in it concerns only its own message."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from uuid import UUID

import structlog

from push_blaster.domain.delivery.message import Delivery, Outcome

log = structlog.get_logger()

Answer = TypeVar("Answer")


def judge_each(
    answers: Iterable[Answer],
    judge: Callable[[Answer], Delivery | None],
    user_of: Callable[[Answer], UUID],
) -> Iterator[Delivery | None]:
    """Yield what `judge` makes of each answer; None if the answer is not final yet.

    If `judge` raises, the message of that answer is in doubt, because it was sent; no other message
    is affected.
    """
    for answer in answers:
        try:
            yield judge(answer)
        except Exception as error:
            log.exception("answer_not_understood")
            reason = f"its answer was not understood: {error!r}"
            yield Delivery(user_of(answer), Outcome.IN_DOUBT, reason=reason)


def not_composed(user_id: UUID, error: Exception) -> Delivery:
    """Return the outcome of a message that could not be written in the provider's format."""
    log.error("message_not_composed", exc_info=error)
    return Delivery(user_id, Outcome.FAILED, reason=f"the message could not be written: {error!r}")
