"""Posts messages to URLs that users gave, and interprets the answers."""

import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chassis.clock import utc_now
from chassis.http.retry_after import read_retry_after
from push_blaster.adapters.transports.answers import explain, judge_each, not_composed
from push_blaster.adapters.transports.guarded_http import (
    Attempt,
    GuardedHttpPool,
    Post,
    PostOptions,
)
from push_blaster.domain.delivery.message import Delivery, Message, Outcome

#: How many posts of one call of `send` may be in flight.
WINDOW: Final = 200
#: How long a stop waits for the answers of messages in flight.
DRAIN_S: Final = 0.8


class UnsendableError(Exception):
    """The message cannot be posted; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFormat:
    """How a message becomes a post, and the meaning of the receivers' answers.

    Shape: `compose` may raise UnsendableError; `taken` are the statuses that prove that the message
    was taken; `is_dead` says by status and body whether the address is gone; `hint` says, by status
    and words, what an operator can do.
    """

    compose: Callable[[Message], Post]
    taken: Container[int] = range(200, 300)
    is_dead: Callable[[int, bytes], bool] = lambda status, _: status == 410
    hint: Callable[[int, str], str] = lambda *_: ""


class PostTransport:
    """Posts messages; any number of threads may send at once."""

    def __init__(self, message_format: MessageFormat, options: PostOptions) -> None:
        """Take the format of the posts, and the options of the connections."""
        self._format = message_format
        self._options = options
        self._idle: list[GuardedHttpPool[Message]] = []
        self._lock = threading.Lock()

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome of each message as it becomes known.

        A message whose address cannot be reached is `DEFERRED`; it does not stop the others.
        """
        with self._lock:
            pool = self._idle.pop() if self._idle else GuardedHttpPool[Message](self._options)
        try:
            yield from self._send(pool, deque(messages), should_stop)
        finally:
            pool.abandon()
            with self._lock:
                self._idle.append(pool)

    def check(self) -> None:
        """Do nothing: the addresses belong to users, and no provider can be away."""

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            for pool in self._idle:
                pool.close()
            self._idle.clear()

    def _send(
        self,
        pool: GuardedHttpPool[Message],
        waiting: deque[Message],
        should_stop: Callable[[], bool],
    ) -> Iterator[Delivery]:
        while waiting or len(pool):
            if should_stop():
                yield from (
                    Delivery(m.user_id, Outcome.NOT_SENT, reason="stopped") for m in waiting
                )
                yield from self._drain(pool)
                return
            while waiting and len(pool) < WINDOW:
                yield from self._begin(pool, waiting.popleft())
            yield from self._collect(pool)

    def _begin(self, pool: GuardedHttpPool[Message], message: Message) -> Iterator[Delivery]:
        try:
            post = self._format.compose(message)
        except UnsendableError as error:
            yield Delivery(message.user_id, Outcome.FAILED, reason=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of this one message
            yield not_composed(message.user_id, error)
        else:
            pool.begin(post, message)

    def _collect(self, pool: GuardedHttpPool[Message]) -> Iterator[Delivery]:
        for delivery in judge_each(pool.collect(), self._judge, lambda a: a.message.user_id):
            if delivery is not None:
                yield delivery

    def _drain(self, pool: GuardedHttpPool[Message]) -> Iterator[Delivery]:
        """Wait a little for the posts in flight, and leave the rest in doubt."""
        give_up_at = time.monotonic() + DRAIN_S
        while len(pool) and time.monotonic() < give_up_at:
            yield from self._collect(pool)
        for attempt in pool.abandon():
            outcome = Outcome.IN_DOUBT if attempt.has_begun else Outcome.NOT_SENT
            yield Delivery(attempt.message.user_id, outcome, reason="stopped")

    def _judge(self, attempt: Attempt[Message]) -> Delivery:
        if attempt.status < 200:
            return _judge_silence(attempt)
        # An answer whose body broke off is judged by the part that arrived.
        outcome = _meaning(attempt, self._format)
        user_id, headers = attempt.message.user_id, attempt.headers
        if outcome is Outcome.SENT:
            return Delivery(user_id, outcome, headers.get("location", "")[:500] or None)
        text = attempt.body.decode(errors="replace")
        hint = self._format.hint(attempt.status, text) or _HINTS.get(attempt.status, "")
        return Delivery(
            user_id,
            outcome,
            reason=explain(str(attempt.status), hint, text),
            retry_after_s=read_retry_after(headers.get("retry-after", ""), utc_now()),
            is_over_quota=attempt.status == 429,
        )


_NOT_FOLLOWED: Final = "redirects are not followed"
_HINTS: Final[Mapping[int, str]] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _NOT_FOLLOWED),
    413: "the message is too large",
    429: "too many messages",
}


def _meaning(attempt: Attempt[Message], message_format: MessageFormat) -> Outcome:
    status = attempt.status
    if status < 300:
        return Outcome.SENT if status in message_format.taken else Outcome.IN_DOUBT
    if message_format.is_dead(status, attempt.body):
        return Outcome.TOKEN_DEAD
    if status in {408, 425, 429} or status >= 500:
        return Outcome.DEFERRED
    return Outcome.FAILED


def _judge_silence(attempt: Attempt[Message]) -> Delivery:
    user_id = attempt.message.user_id
    if attempt.refused:
        reason = (
            f"leads to {attempt.refused}, in no network that is allowed (PUSH_PRIVATE_NETWORKS)"
        )
        return Delivery(user_id, Outcome.FAILED, reason=reason)
    if attempt.has_begun:
        return Delivery(user_id, Outcome.IN_DOUBT, reason=f"no answer: {attempt.fault}")
    return Delivery(user_id, Outcome.DEFERRED, reason=f"no connection: {attempt.fault}")
