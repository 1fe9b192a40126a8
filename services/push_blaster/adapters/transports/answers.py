"""The rule for every answer from outside: its fault stays with the one message that it is about."""

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
    """Yield what `judge` makes of each answer; None where it is not final yet.

    An answer that we fail to understand was given to a message that we sent: that message is in
    doubt, and no other message is touched.
    """
    for answer in answers:
        try:
            yield judge(answer)
        except Exception as error:
            log.exception("answer_not_understood")
            reason = f"its answer was not understood: {error!r}"
            yield Delivery(user_of(answer), Outcome.IN_DOUBT, reason=reason)


def not_composed(user_id: UUID, error: Exception) -> Delivery:
    """Return the outcome of a message that could not be put into the provider's shape."""
    log.error("message_not_composed", exc_info=error)
    return Delivery(user_id, Outcome.FAILED, reason=f"the message could not be written: {error!r}")
