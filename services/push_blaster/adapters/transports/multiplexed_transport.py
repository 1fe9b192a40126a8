"""Sends messages to one provider over the multiplexer: FCM, or Apple's service itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty
from typing import Final, Protocol

import pycurl

from chassis.clock import utc_now
from push_blaster.adapters.transports.answers import Advice, Judgement, judge_each, not_composed
from push_blaster.adapters.transports.multiplexer import Answer, Call, Multiplexer, Request
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    ProviderAwayError,
    TransportUnavailableError,
)

#: How long a stop waits for the answers of messages in flight.
DRAIN_S: Final = 0.8
LOOK_S: Final = 0.05
#: How often a request that did not leave is tried before its message is deferred.
TRIES: Final = 3

#: Faults that no second try can mend: the certificate of the peer is not valid.
_PERMANENT: Final = frozenset({pycurl.E_PEER_FAILED_VERIFICATION})


class Credentials(Protocol):
    """The token by which a provider knows us, for all threads."""

    def get(self) -> str:
        """Return a token that is valid now; TransportUnavailableError if there is none."""

    def renew(self, refused: str) -> None:
        """Replace the token `refused`; TransportUnavailableError if there is no other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFormat:
    """How a message becomes a request to a provider, and the meaning of the provider's answers.

    Shape: `encode` makes the body, at the present in seconds since 1970; `head` returns by a token
    what makes the headers. `url_of` is where a message goes, if each has a URL of its own. `taken`
    is the outcome of a message that the provider took.
    """

    name: str
    base_url: str
    max_bytes: int
    encode: Callable[[Message, int], bytes]
    head: Callable[[str, int], Callable[[Message], Sequence[str]]]
    read_answer: Callable[[Answer], Judgement]
    url_of: Callable[[Message], str | None] = lambda _: None
    taken: Outcome = Outcome.SENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """How the connections to a provider are made: the URL, a private CA, and the timeout.

    Shape: `header` is the header of an answer that the format reads.
    """

    url: str
    ca_file: Path | None
    answer_timeout: timedelta
    header: str = ""


class MultiplexedTransport:
    """Sends messages to one provider; any number of threads may send at once."""

    def __init__(
        self, provider: ProviderFormat, connecting: Connecting, credentials: Credentials
    ) -> None:
        """Take the provider, how to connect, and the token that authenticates requests."""
        self._provider = provider
        self._credentials = credentials
        self._multiplexer = Multiplexer(
            connecting.url,
            connecting.answer_timeout.total_seconds(),
            connecting.ca_file,
            header=connecting.header,
        )

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome of each message as it becomes known.

        If nobody gives out tokens at present, every message is `DEFERRED`.
        Raises: TransportUnavailableError if the provider refuses our account or has no valid
        certificate.
        """
        try:
            sending = _Sending(self._provider, self._credentials, self._multiplexer)
        except ProviderAwayError as error:
            reason = str(error)
            return (Delivery(m.user_id, Outcome.DEFERRED, reason=reason) for m in messages)
        return sending.run(messages, should_stop)

    def check(self) -> None:
        """Raise TransportUnavailableError if there is no token."""
        self._credentials.get()

    def close(self) -> None:
        """Close every connection."""
        self._multiplexer.close()


class _Sending:
    """One call of `send`: its open requests, and those to try again."""

    def __init__(
        self, provider: ProviderFormat, credentials: Credentials, multiplexer: Multiplexer
    ) -> None:
        self._provider = provider
        self._credentials = credentials
        self._multiplexer = multiplexer
        self._call = Call()
        self._now_s = int(utc_now().timestamp())
        self._take_token(credentials.get())
        self._has_renewed = False
        self._open = 0
        self._again: list[Request] = []
        self._fault: str | None = None
        self._away: str | None = None

    def run(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        # A stop may have come while this thread waited for the token.
        if should_stop():
            self._call.stop(DRAIN_S)
        yield from self._begin(messages)
        try:
            while self._open:
                if self._fault is not None or should_stop():
                    self._call.stop(DRAIN_S)
                self._begin_again()
                yield from self._collect()
        finally:
            self._call.stop(0)
        if self._fault is not None:
            raise TransportUnavailableError(self._fault)

    def _take_token(self, token: str) -> None:
        self._token = token
        self._head = self._provider.head(token, self._now_s)

    def _begin(self, messages: Sequence[Message]) -> Iterator[Delivery]:
        requests: list[Request] = []
        self._now_s = int(utc_now().timestamp())
        self._take_token(self._token)
        for message in messages:
            try:
                request = self._write(message)
            except Exception as error:  # noqa: BLE001 - a fault of this one message
                yield not_composed(message.user_id, error)
                continue
            size, maximum = len(request.body), self._provider.max_bytes
            if size > maximum:
                reason = f"the message has {size} bytes; {self._provider.name} takes {maximum}"
                yield Delivery(message.user_id, Outcome.FAILED, reason=reason)
            else:
                requests.append(request)
        self._open = len(requests)
        self._multiplexer.submit(self._call, requests)

    def _write(self, message: Message) -> Request:
        body = self._provider.encode(message, self._now_s)
        url = self._provider.url_of(message)
        return Request(message, self._head(message), body, self._token, url)

    def _collect(self) -> Iterator[Delivery]:
        """Yield the final outcomes, and keep the requests that may be tried again."""
        try:
            answers = self._call.answers.get(timeout=LOOK_S)
        except Empty:
            return
        for delivery in judge_each(answers, self._judge, lambda a: a.request.about.user_id):
            if delivery is not None:
                self._open -= 1
                yield delivery

    def _begin_again(self) -> None:
        if self._again:
            self._multiplexer.submit(self._call, self._again)
            self._again = []

    def _judge(self, answer: Answer) -> Delivery | None:
        """Return the outcome of a message, or None if its request is tried again."""
        if answer.is_cut_off or (answer.fault and answer.status < 200):
            return self._judge_silence(answer)
        # An answer that broke off is judged by what came of it.
        judged = self._provider.read_answer(answer)
        if judged.meaning is Advice.RENEW_TOKEN:
            return self._renew(answer.request, judged)
        if judged.meaning is Advice.PAUSE:
            self._fault = f"{self._provider.name} refuses our credentials: {judged.reason}"
            return Delivery(answer.request.about.user_id, Outcome.NOT_SENT, reason=judged.reason)
        return self._deliver(answer, judged)

    def _deliver(self, answer: Answer, judged: Judgement) -> Delivery:
        user_id = answer.request.about.user_id
        if not isinstance(judged.meaning, Outcome):
            return Delivery(
                user_id,
                Outcome.DEFERRED,
                reason=judged.reason,
                retry_after_s=answer.retry_after_s or judged.pause_s,
                is_over_quota=judged.is_over_quota,
            )
        is_taken = judged.meaning is Outcome.SENT
        outcome = self._provider.taken if is_taken else judged.meaning
        return Delivery(
            user_id, outcome, judged.provider_id, judged.reason, dead_since=judged.dead_since
        )

    def _judge_silence(self, answer: Answer) -> Delivery | None:
        user_id, text = answer.request.about.user_id, answer.text or f"curl {answer.fault}"
        provider = self._provider
        if answer.has_begun:
            reason = "stopped in flight" if answer.is_cut_off else f"no answer: {text}"
            return Delivery(user_id, Outcome.IN_DOUBT, reason=reason)
        if answer.fault in _PERMANENT:
            self._fault = f"{provider.name} cannot be reached at {provider.base_url}: {text}."
        if answer.is_cut_off or self._fault is not None:
            return Delivery(user_id, Outcome.NOT_SENT, reason="stopped")
        if answer.request.tries < TRIES and self._call.stops_at is None:
            self._again.append(answer.request)
            return None
        reason = f"{provider.name} cannot be reached: {text}"
        return Delivery(user_id, Outcome.DEFERRED, reason=reason)

    def _renew(self, request: Request, judged: Judgement) -> Delivery | None:
        """Try once with a new token; a second refusal is a fault of our account, not a device's."""
        if request.token != self._token or not self._has_renewed:
            self._get_new_token()
        elif request.tries > 1 or self._call.stops_at is not None:
            self._fault = f"{self._provider.name} refuses our credentials: {judged.reason}"
        if self._away is not None:
            return Delivery(request.about.user_id, Outcome.DEFERRED, reason=self._away)
        if self._fault is not None:
            return Delivery(request.about.user_id, Outcome.NOT_SENT, reason=judged.reason)
        request.headers, request.token = self._head(request.about), self._token
        self._again.append(request)
        return None

    def _get_new_token(self) -> None:
        if self._has_renewed:
            return
        self._has_renewed = True
        try:
            self._credentials.renew(self._token)
            self._take_token(self._credentials.get())
        except ProviderAwayError as error:
            self._away = str(error)
        except TransportUnavailableError as error:
            self._fault = str(error)
