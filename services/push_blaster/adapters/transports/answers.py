"""One rule for every answer from outside: a fault in it concerns only its own message."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
import structlog

from push_blaster.domain.delivery.message import Delivery, Outcome, storable
from push_blaster.domain.error_words import explain_error

log = structlog.get_logger()

#: The part of an answer's body that is kept: enough for an error in JSON, and for its words.
MAX_BODY: Final = 4_096

Answer = TypeVar("Answer")


class Advice(Enum):
    """The next action after an answer that is not final."""

    RETRY = auto()
    RENEW_TOKEN = auto()
    #: The provider refuses us, and not a message: nothing goes to it until somebody mends that.
    PAUSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The meaning of a provider's answer: a final outcome or an advice, with the reason.

    Shape: `is_over_quota` says that the provider gets too many messages from us; `dead_since` is
    when a dead device ended, if the provider says it.
    Units: `pause_s` is how long to wait if the answer does not say; None means the usual backoff.
    """

    meaning: Outcome | Advice
    reason: str | None = None
    provider_id: str | None = None
    pause_s: float | None = None
    is_over_quota: bool = False
    dead_since: datetime | None = None


def read_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of an answer's body; an empty one if the body is something else."""
    try:
        document = orjson.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}


def explain(status: str, hint: str, text: str) -> str:
    """Return the reason of a refusal: the status, what an operator can do, the provider's words.

    Units: at most 500 characters, so that every store takes it.
    """
    reason = ": ".join(part for part in (status, hint, " ".join(text.split())) if part)
    return storable(reason) or ""


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
            reason = f"its answer was not understood: {explain_error(error)}"
            yield Delivery(user_of(answer), Outcome.IN_DOUBT, reason=reason)


def not_composed(user_id: UUID, error: Exception) -> Delivery:
    """Return the outcome of a message that could not be written in the provider's format."""
    log.error("message_not_composed", exc_info=error)
    return Delivery(
        user_id, Outcome.FAILED, reason=f"the message could not be written: {explain_error(error)}"
    )
