"""Messages posted to URLs that users gave us: many at once, and nowhere they may not go."""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import pycurl

from chassis.clock import utc_now
from push_blaster.domain.device import Network, may_reach
from push_blaster.domain.message import Delivery, Message, Outcome

#: Posts in flight of one call of `send`, and connections to one host.
WINDOW: Final = 200
CONNECTIONS: Final = 8
#: How long a stop waits for the answers of messages in flight.
DRAIN_S: Final = 0.8
LOOK_S: Final = 0.05
#: An answer's body is read so far, and thrown away: the next message may use its connection.
MAX_ANSWER: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOptions:
    """Which private networks may be reached, which authority vouches, how long an answer takes."""

    private_networks: Sequence[Network] = ()
    ca_file: Path | None = None
    answer_timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Post:
    """What is posted where for one message."""

    url: str
    headers: Sequence[str]
    body: bytes


class UnsendableError(Exception):
    """The message can be posted to nobody; the reason says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a message becomes a post, and what statuses mean beside the usual.

    Shape: `compose` may raise UnsendableError; `dead` are the statuses that say that the address
    is no more; `hints` complete the reason of a status for people.
    """

    compose: Callable[[Message], Post]
    dead: frozenset[int]
    hints: Mapping[int, str] = field(default_factory=dict)


class PostTransport:
    """Posts messages; any number of threads may send at once.

    No proxy is used and no redirect followed. An address is judged when it is connected to, not
    when its name is looked up: a name that changes its mind in between gains nothing.
    """

    def __init__(self, recipe: Recipe, options: PostOptions) -> None:
        """Take what is posted, and how."""
        self._recipe = recipe
        self._options = options
        self._idle: list[_Lane] = []
        self._lock = threading.Lock()

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome of each message as it becomes known.

        An address that cannot be reached is never the fault of the others: it is `DEFERRED`.
        """
        with self._lock:
            lane = self._idle.pop() if self._idle else _Lane()
        try:
            yield from _Posting(self._recipe, self._options, lane).run(messages, should_stop)
        finally:
            lane.clear()
            with self._lock:
                self._idle.append(lane)

    def check(self) -> None:
        """There is nothing of ours that could be away."""

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            for lane in self._idle:
                lane.multi.close()
            self._idle.clear()


@dataclass(slots=True)
class _Attempt:
    message: Message
    headers: dict[str, str] = field(default_factory=dict)
    refused: str | None = None
    answer_size: int = 0

    def read_header(self, line: bytes) -> None:
        name, _, value = line.decode("latin-1").partition(":")
        self.headers[name.strip().lower()] = value.strip()

    def skip_body(self, part: bytes) -> int | None:
        self.answer_size += len(part)
        return None if self.answer_size <= MAX_ANSWER else 0


class _LentSocket(socket.socket):
    """A socket that libcurl makes its own copy of; ours ends with the look at it."""

    def __del__(self) -> None:
        self.close()


class _Lane:
    """Connections kept open between sends, and the handles that use them."""

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)
        self._spare: list[Any] = []
        self.in_flight: dict[Any, _Attempt] = {}

    def take_handle(self) -> Any:
        return self._spare.pop() if self._spare else pycurl.Curl()

    def begin(self, handle: Any, attempt: _Attempt) -> None:
        self.in_flight[handle] = attempt
        self.multi.add_handle(handle)

    def end(self, handle: Any) -> _Attempt:
        self.multi.remove_handle(handle)
        attempt = self.in_flight.pop(handle)
        handle.reset()
        self._spare.append(handle)
        return attempt

    def clear(self) -> None:
        for handle in list(self.in_flight):
            self.end(handle)


class _Posting:
    """One call of `send`."""

    def __init__(self, recipe: Recipe, options: PostOptions, lane: _Lane) -> None:
        self._recipe = recipe
        self._options = options
        self._lane = lane

    def run(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        waiting = deque(messages)
        while waiting or self._lane.in_flight:
            if should_stop():
                yield from (
                    Delivery(m.user_id, Outcome.NOT_SENT, reason="stopped") for m in waiting
                )
                yield from self._drain()
                return
            while waiting and len(self._lane.in_flight) < WINDOW:
                yield from self._begin(waiting.popleft())
            yield from self._collect()

    def _begin(self, message: Message) -> Iterator[Delivery]:
        try:
            post = self._recipe.compose(message)
        except UnsendableError as error:
            yield Delivery(message.user_id, Outcome.FAILED, reason=str(error))
            return
        attempt, handle = _Attempt(message), self._lane.take_handle()
        self._set_up(handle, post, attempt)
        self._lane.begin(handle, attempt)

    def _set_up(self, handle: Any, post: Post, attempt: _Attempt) -> None:
        handle.setopt(pycurl.URL, post.url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        # A connection without TLS says only with its first answer that it takes one at a time.
        handle.setopt(pycurl.PIPEWAIT, post.url.lower().startswith("https:"))
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.TIMEOUT_MS, int(self._options.answer_timeout.total_seconds() * 1000))
        handle.setopt(pycurl.HTTPHEADER, list(post.headers))
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, post.body)
        handle.setopt(pycurl.WRITEFUNCTION, attempt.skip_body)
        handle.setopt(pycurl.HEADERFUNCTION, attempt.read_header)
        handle.setopt(pycurl.OPENSOCKETFUNCTION, self._opener(attempt))
        if self._options.ca_file:
            handle.setopt(pycurl.CAINFO, str(self._options.ca_file))

    def _opener(self, attempt: _Attempt) -> Callable[[int, Any], Any]:
        """Return what opens a socket for the attempt, if the address may be reached."""
        allowed = self._options.private_networks

        def open_socket(_: int, to: Any) -> Any:
            if not may_reach(to.addr[0], allowed):
                attempt.refused = to.addr[0]
                return pycurl.SOCKET_BAD
            return _LentSocket(to.family, to.socktype, to.protocol)

        return open_socket

    def _collect(self) -> Iterator[Delivery]:
        """Let libcurl work for a moment, and yield what has become final."""
        multi = self._lane.multi
        multi.perform()
        _, done, failed = multi.info_read()
        for handle, fault in [*((h, "") for h in done), *((h, text) for h, _, text in failed)]:
            status = handle.getinfo(pycurl.RESPONSE_CODE)
            has_begun = _has_begun(handle)
            attempt = self._lane.end(handle)
            if status >= 200:  # then the rest of the answer is nobody's business
                yield self._judge(attempt, status)
            else:
                yield _judge_silence(attempt, fault, has_begun=has_begun)
        if not done and not failed:
            multi.select(LOOK_S)

    def _judge(self, attempt: _Attempt, status: int) -> Delivery:
        outcome = _meaning(status, self._recipe.dead)
        user_id, headers = attempt.message.user_id, attempt.headers
        if outcome is Outcome.SENT:
            return Delivery(user_id, outcome, headers.get("location", "")[:500] or None)
        hint = self._recipe.hints.get(status, _HINTS.get(status, ""))
        return Delivery(
            user_id,
            outcome,
            reason=f"{status}: {hint}" if hint else str(status),
            retry_after_s=read_retry_after(headers.get("retry-after", "")),
        )

    def _drain(self) -> Iterator[Delivery]:
        """Wait a little for what is in flight, and leave the rest in doubt."""
        give_up_at = time.monotonic() + DRAIN_S
        while self._lane.in_flight and time.monotonic() < give_up_at:
            yield from self._collect()
        for handle in list(self._lane.in_flight):
            outcome = Outcome.IN_DOUBT if _has_begun(handle) else Outcome.NOT_SENT
            attempt = self._lane.end(handle)
            yield Delivery(attempt.message.user_id, outcome, reason="stopped")


def _has_begun(handle: Any) -> bool:
    """Return whether anything of the message has left: before that, nobody can have taken it."""
    return bool(handle.getinfo(pycurl.SIZE_UPLOAD_T) > 0)


def read_retry_after(value: str) -> float | None:
    """Return the seconds that `Retry-After` asks for, given as a number or as a date."""
    if value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - utc_now()).total_seconds())


_NOT_FOLLOWED: Final = "redirects are not followed"
_HINTS: Final[Mapping[int, str]] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _NOT_FOLLOWED),
    413: "the message is too large",
    429: "too many messages",
}


def _meaning(status: int, dead: frozenset[int]) -> Outcome:
    if status < 300:
        return Outcome.SENT
    if status in dead:
        return Outcome.TOKEN_DEAD
    if status in {408, 425, 429} or status >= 500:
        return Outcome.DEFERRED
    return Outcome.FAILED


def _judge_silence(attempt: _Attempt, fault: str, *, has_begun: bool) -> Delivery:
    user_id = attempt.message.user_id
    if attempt.refused:
        reason = f"leads to {attempt.refused}, in no network that PUSH_PRIVATE_NETWORKS allows"
        return Delivery(user_id, Outcome.FAILED, reason=reason)
    if has_begun:
        return Delivery(user_id, Outcome.IN_DOUBT, reason=f"no answer: {fault}")
    return Delivery(user_id, Outcome.DEFERRED, reason=f"no connection: {fault}")
