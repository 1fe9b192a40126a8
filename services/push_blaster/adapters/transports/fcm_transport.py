"""Firebase Cloud Messaging, HTTP v1, over the multiplexer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from queue import Empty
from typing import Final
from uuid import UUID

import pycurl

from chassis.clock import utc_now
from push_blaster.adapters.transports.answers import judge_each, not_composed
from push_blaster.adapters.transports.fcm_payload import (
    MAX_BYTES,
    Advice,
    Judgement,
    encode_message,
    read_answer,
)
from push_blaster.adapters.transports.google_tokens import GoogleTokens
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmOptions:
    """The address of FCM, and its timeout.

    Units: `answer_timeout` is how long one answer may take.
    Shape: with `validate_only` FCM checks every message and delivers none.
    """

    project_id: str
    base_url: str
    ca_file: Path | None = None
    answer_timeout: timedelta = timedelta(seconds=20)
    validate_only: bool = False


class FcmTransport:
    """Sends messages to one Firebase project; any number of threads may send at once."""

    def __init__(self, options: FcmOptions, tokens: GoogleTokens) -> None:
        """Take the address, and the tokens that authenticate requests."""
        self._options = options
        self._tokens = tokens
        self._multiplexer = Multiplexer(
            f"{options.base_url}/v1/projects/{options.project_id}/messages:send",
            options.answer_timeout.total_seconds(),
            options.ca_file,
        )

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome of each message as it becomes known.

        If Google gives out no access tokens at present, every message is `DEFERRED`.
        Raises: TransportUnavailableError if FCM refuses our account or has no valid certificate.
        """
        try:
            sending = _Sending(self._options, self._tokens, self._multiplexer)
        except ProviderAwayError as error:
            reason = str(error)
            return (Delivery(m.user_id, Outcome.DEFERRED, reason=reason) for m in messages)
        return sending.run(messages, should_stop)

    def check(self) -> None:
        """Raise TransportUnavailableError if no access token can be obtained."""
        self._tokens.get()

    def close(self) -> None:
        """Close every connection."""
        self._multiplexer.close()


class _Sending:
    """One call of `send`: its open requests, and those to try again."""

    def __init__(self, options: FcmOptions, tokens: GoogleTokens, multiplexer: Multiplexer) -> None:
        self._options = options
        self._tokens = tokens
        self._multiplexer = multiplexer
        self._call = Call()
        self._token = tokens.get()
        self._headers = _headers(self._token)
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

    def _begin(self, messages: Sequence[Message]) -> Iterator[Delivery]:
        requests: list[Request] = []
        now_s = int(utc_now().timestamp())
        for message in messages:
            try:
                body = encode_message(message, now_s, validate_only=self._options.validate_only)
            except Exception as error:  # noqa: BLE001 - a fault of this one message
                yield not_composed(message.user_id, error)
                continue
            if len(body) > MAX_BYTES:
                reason = f"the message has {len(body)} bytes; FCM takes {MAX_BYTES}"
                yield Delivery(message.user_id, Outcome.FAILED, reason=reason)
            else:
                requests.append(Request(message, self._headers, body))
        self._open = len(requests)
        self._multiplexer.submit(self._call, requests)

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
        judged = read_answer(answer.status, answer.body)
        if judged.meaning is Advice.RENEW_TOKEN:
            return self._renew(answer.request, judged)
        return self._deliver(answer, judged, answer.request.about.user_id)

    def _deliver(self, answer: Answer, judged: Judgement, user_id: UUID) -> Delivery:
        if not isinstance(judged.meaning, Outcome):
            pause_s = answer.retry_after_s or judged.pause_s
            return Delivery(
                user_id,
                Outcome.DEFERRED,
                reason=judged.reason,
                retry_after_s=pause_s,
                is_over_quota=answer.status == HTTPStatus.TOO_MANY_REQUESTS,
            )
        is_tried_only = judged.meaning is Outcome.SENT and self._options.validate_only
        outcome = Outcome.DRY_RUN if is_tried_only else judged.meaning
        return Delivery(user_id, outcome, judged.provider_id, judged.reason)

    def _judge_silence(self, answer: Answer) -> Delivery | None:
        user_id, text = answer.request.about.user_id, answer.text or f"curl {answer.fault}"
        if answer.has_begun:
            reason = "stopped in flight" if answer.is_cut_off else f"no answer: {text}"
            return Delivery(user_id, Outcome.IN_DOUBT, reason=reason)
        if answer.fault in _PERMANENT:
            self._fault = f"FCM cannot be reached at {self._options.base_url}: {text}."
        if answer.is_cut_off or self._fault is not None:
            return Delivery(user_id, Outcome.NOT_SENT, reason="stopped")
        if answer.request.tries < TRIES and self._call.stops_at is None:
            self._again.append(answer.request)
            return None
        return Delivery(user_id, Outcome.DEFERRED, reason=f"FCM cannot be reached: {text}")

    def _renew(self, request: Request, judged: Judgement) -> Delivery | None:
        """Try once with a new token; a second refusal is a fault of our account, not a device's."""
        if request.headers is not self._headers or not self._has_renewed:
            self._get_new_token()
        elif request.tries > 1 or self._call.stops_at is not None:
            self._fault = f"FCM refuses our credentials: {judged.reason}"
        if self._away is not None:
            return Delivery(request.about.user_id, Outcome.DEFERRED, reason=self._away)
        if self._fault is not None:
            return Delivery(request.about.user_id, Outcome.NOT_SENT, reason=judged.reason)
        request.headers = self._headers
        self._again.append(request)
        return None

    def _get_new_token(self) -> None:
        if self._has_renewed:
            return
        self._has_renewed = True
        try:
            self._tokens.renew(self._token)
            self._token = self._tokens.get()
        except ProviderAwayError as error:
            self._away = str(error)
        except TransportUnavailableError as error:
            self._fault = str(error)
        self._headers = _headers(self._token)


def _headers(token: str) -> list[str]:
    return [f"Authorization: Bearer {token}", "Content-Type: application/json"]
