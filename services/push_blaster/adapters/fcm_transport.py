"""Firebase Cloud Messaging: HTTP v1 over HTTP/2, multiplexed by libcurl."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pycurl

from push_blaster.adapters.fcm_payload import (
    MAX_BYTES,
    Advice,
    Answer,
    encode_message,
    read_answer,
)
from push_blaster.adapters.google_tokens import GoogleTokens
from push_blaster.domain.message import Delivery, Message, Outcome, TransportUnavailableError

CONNECTIONS: Final = 4
STREAMS: Final = 100
WINDOW: Final = CONNECTIONS * STREAMS
CONNECT_TIMEOUT_S: Final = 10
#: How long a stop waits for the answers of messages in flight.
DRAIN_S: Final = 0.8
LOOK_S: Final = 0.05
BACKOFF_CAP_S: Final = 300.0

_UNREACHABLE: Final = frozenset(
    {
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_COULDNT_RESOLVE_PROXY,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_OPERATION_TIMEDOUT,  # before anything was sent: packets vanish on the way
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
    }
)
#: What no second try mends: the peer is not who it should be.
_HOPELESS: Final = frozenset({pycurl.E_PEER_FAILED_VERIFICATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmOptions:
    """Where FCM is, and how patient we are with it.

    Units: `backoff` is the first pause before a retry; `retry_budget` how long one message may be
    retried in all; `answer_timeout` how long one answer may take.
    """

    project_id: str
    base_url: str
    ca_file: Path | None = None
    retry_budget: timedelta = timedelta(minutes=2)
    backoff: timedelta = timedelta(seconds=20)
    answer_timeout: timedelta = timedelta(seconds=20)


@dataclass(slots=True)
class _Attempt:
    message: Message
    body: bytes
    begun_at: float
    tries: int = 0
    not_before: float = 0.0
    answer: BytesIO = field(default_factory=BytesIO)
    retry_after_s: float | None = None

    def read_header(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"retry-after" and value.strip().isdigit():
            self.retry_after_s = float(value.strip())


class FcmTransport:
    """Sends messages to one Firebase project; any number of threads may send at once."""

    def __init__(self, options: FcmOptions, tokens: GoogleTokens) -> None:
        """Take where to send, and what proves who we are."""
        self._options = options
        self._tokens = tokens
        self._idle: list[_Lane] = []
        self._lock = threading.Lock()

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome of each message as it becomes known.

        Raises: TransportUnavailableError if FCM cannot be reached, or refuses who we are.
        """
        token = self._tokens.get()
        lane = self._take_lane()
        try:
            yield from _Sending(self._options, self._tokens, token, lane).run(messages, should_stop)
        finally:
            lane.clear()
            with self._lock:
                self._idle.append(lane)

    def check(self) -> None:
        """Raise TransportUnavailableError if there is no access token to be had."""
        self._tokens.get()

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            for lane in self._idle:
                lane.multi.close()
            self._idle.clear()

    def _take_lane(self) -> "_Lane":
        with self._lock:
            return self._idle.pop() if self._idle else _Lane()


class _Lane:
    """A few connections, kept open between sends, and the handles that use them."""

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)
        self.multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, STREAMS)
        self._spare: list[Any] = []
        self.in_flight: dict[Any, _Attempt] = {}

    def begin(self, attempt: _Attempt, set_up: Callable[[Any, _Attempt], None]) -> None:
        handle = self._spare.pop() if self._spare else pycurl.Curl()
        set_up(handle, attempt)
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


class _Sending:
    """One call of `send`: what waits, what is in flight, and what came of the rest."""

    def __init__(self, options: FcmOptions, tokens: GoogleTokens, token: str, lane: _Lane) -> None:
        self._options = options
        self._tokens = tokens
        self._token = token
        self._lane = lane
        self._url = f"{options.base_url}/v1/projects/{options.project_id}/messages:send"
        self._waiting: deque[_Attempt] = deque()
        self._has_renewed = False
        self._fault: str | None = None

    def run(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        yield from self._queue(messages)
        while self._waiting or self._lane.in_flight:
            if self._fault is not None or should_stop():
                yield from self._wind_up()
                break
            self._begin_what_is_due()
            yield from self._collect()
        if self._fault is not None:
            raise TransportUnavailableError(self._fault)

    def _queue(self, messages: Sequence[Message]) -> Iterator[Delivery]:
        now = time.monotonic()
        for message in messages:
            body = encode_message(message)
            if len(body) > MAX_BYTES:
                reason = f"the message has {len(body)} bytes; FCM takes {MAX_BYTES}"
                yield Delivery(message.user_id, Outcome.FAILED, reason=reason)
            else:
                self._waiting.append(_Attempt(message, body, begun_at=now))

    def _begin_what_is_due(self) -> None:
        now = time.monotonic()
        for _ in range(len(self._waiting)):
            if len(self._lane.in_flight) >= WINDOW:
                return
            attempt = self._waiting.popleft()
            if attempt.not_before > now:
                self._waiting.append(attempt)
            else:
                self._lane.begin(attempt, self._set_up)

    def _set_up(self, handle: Any, attempt: _Attempt) -> None:
        attempt.tries += 1
        attempt.answer = BytesIO()
        attempt.retry_after_s = None
        headers = [f"Authorization: Bearer {self._token}", "Content-Type: application/json"]
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.CONNECTTIMEOUT, CONNECT_TIMEOUT_S)
        handle.setopt(pycurl.TIMEOUT_MS, int(self._options.answer_timeout.total_seconds() * 1000))
        handle.setopt(pycurl.HTTPHEADER, headers)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, attempt.body)
        handle.setopt(pycurl.WRITEFUNCTION, attempt.answer.write)
        handle.setopt(pycurl.HEADERFUNCTION, attempt.read_header)
        if self._options.ca_file:
            handle.setopt(pycurl.CAINFO, str(self._options.ca_file))

    def _collect(self) -> Iterator[Delivery]:
        """Let libcurl work for a moment, and yield what has become final."""
        multi = self._lane.multi
        multi.perform()
        _, done, failed = multi.info_read()
        for handle in done:
            status = handle.getinfo(pycurl.RESPONSE_CODE)
            attempt = self._lane.end(handle)
            yield from self._judge(attempt, read_answer(status, attempt.answer.getvalue()))
        for handle, code, text in failed:
            has_begun = handle.getinfo(pycurl.SIZE_UPLOAD_T) > 0
            yield from self._judge_failure(self._lane.end(handle), code, text, has_begun=has_begun)
        if not done and not failed:
            multi.select(LOOK_S)
            if not self._lane.in_flight:
                time.sleep(LOOK_S)

    def _judge(self, attempt: _Attempt, answer: Answer) -> Iterator[Delivery]:
        if isinstance(answer.meaning, Outcome):
            user_id = attempt.message.user_id
            yield Delivery(user_id, answer.meaning, answer.provider_id, answer.reason)
        elif answer.meaning is Advice.RENEW_TOKEN:
            self._renew(attempt, answer.reason or "")
        else:
            yield from self._retry(attempt, answer.reason or "")

    def _judge_failure(
        self, attempt: _Attempt, code: int, text: str, *, has_begun: bool
    ) -> Iterator[Delivery]:
        if has_begun:
            reason = f"no answer: {text or code}"
            yield Delivery(attempt.message.user_id, Outcome.IN_DOUBT, reason=reason)
            return
        if code not in _UNREACHABLE:
            yield from self._retry(attempt, text or str(code))
        elif code in _HOPELESS or not self._has_time_left(attempt):
            self._fault = f"FCM cannot be reached at {self._options.base_url}: {text or code}."
        else:
            self._waiting.append(attempt)

    def _renew(self, attempt: _Attempt, reason: str) -> None:
        """Try once with a new token; refused again, it is our account and no device's fault."""
        if self._has_renewed and attempt.tries > 1:
            self._fault = f"FCM refuses our credentials ({reason}): check the service account."
            return
        if not self._has_renewed:
            self._tokens.renew(self._token)
            self._token = self._tokens.get()
            self._has_renewed = True
        self._waiting.append(attempt)

    def _retry(self, attempt: _Attempt, reason: str) -> Iterator[Delivery]:
        if self._has_time_left(attempt):
            self._waiting.append(attempt)
            return
        given_up = f"given up after {attempt.tries} tries: {reason}"
        yield Delivery(attempt.message.user_id, Outcome.FAILED, reason=given_up)

    def _has_time_left(self, attempt: _Attempt) -> bool:
        """Fix when the attempt is due again, and return whether that is within its budget."""
        first = self._options.backoff.total_seconds()
        longest = min(BACKOFF_CAP_S, first * 2 ** (attempt.tries - 1))
        pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret
        attempt.not_before = time.monotonic() + max(attempt.retry_after_s or 0.0, pause)
        budget = self._options.retry_budget.total_seconds()
        return attempt.not_before - attempt.begun_at <= budget

    def _wind_up(self) -> Iterator[Delivery]:
        """Begin nothing more; wait a little for what is in flight, and leave the rest in doubt."""
        for attempt in self._waiting:
            yield Delivery(attempt.message.user_id, Outcome.NOT_SENT, reason="stopped")
        self._waiting.clear()
        give_up_at = time.monotonic() + DRAIN_S
        while self._lane.in_flight and time.monotonic() < give_up_at:
            yield from self._collect()
        for attempt in self._waiting:
            yield Delivery(attempt.message.user_id, Outcome.NOT_SENT, reason="stopped")
        self._waiting.clear()
        for handle in list(self._lane.in_flight):
            attempt = self._lane.end(handle)
            yield Delivery(attempt.message.user_id, Outcome.IN_DOUBT, reason="stopped in flight")
