"""One rule for every answer from outside: a fault in it concerns only its own message."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
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


#: No provider is left alone for longer: a message is given up long before.
MAX_PAUSE_S: Final = 86_400.0
_SECONDS: Final = re.compile(r"[0-9]{1,19}")


def read_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for, as a number or a date; None if it does not.

    Units: at most a day. Whatever a peer writes there, this function raises nothing.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_PAUSE_S)
    try:
        date = parsedate_to_datetime(text)
        pause = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return min(max(pause, 0.0), MAX_PAUSE_S)


def not_composed(user_id: UUID, error: Exception) -> Delivery:
    """Return the outcome of a message that could not be written in the provider's format."""
    log.error("message_not_composed", exc_info=error)
    return Delivery(user_id, Outcome.FAILED, reason=f"the message could not be written: {error!r}")
