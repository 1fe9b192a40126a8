"""The Apple Push Notification service (APNs) itself, over the multiplexer, without Firebase."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chassis.clock import utc_now
from push_blaster.adapters.devices.subscription_keys import BadKeyError
from push_blaster.adapters.transports.answers import Judgement
from push_blaster.adapters.transports.apns_payload import (
    BAD_TOKEN,
    MAX_PAYLOAD,
    encode_payload,
    read_answer,
    write_headers,
)
from push_blaster.adapters.transports.multiplexed_transport import (
    Connecting,
    MultiplexedTransport,
    ProviderFormat,
)
from push_blaster.adapters.transports.multiplexer import Answer
from push_blaster.domain.automations.content import Content
from push_blaster.domain.base64url import write_base64url
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    ProviderAwayError,
    TransportUnavailableError,
)
from push_blaster.domain.devices.device import OF_OTHER_ENVIRONMENT, OF_OTHER_TOPIC, DeviceKind

#: How long one token serves. Apple refuses one that is older than 60 minutes.
TOKEN_LASTS: Final = timedelta(minutes=50)
#: The same once Apple has refused a token as too old; Apple allows a new one each 20 minutes.
TOKEN_LASTS_LESS: Final = TOKEN_LASTS / 2
#: How long a check waits for Apple, and for how long what Apple said counts.
CHECK_TIMEOUT_S: Final = 5.0
CHECK_HOLDS_S: Final = 600.0
FAULT_HOLDS_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsKey:
    """Our key at Apple: its `.p8` file, its id, and the id of the team that it belongs to."""

    private_key: ec.EllipticCurvePrivateKey
    key_id: str
    team_id: str

    def sign(self, issued_at_s: int) -> str:
        """Return the provider token of an instant; whoever signs for it gets the same token."""
        header, claims = (
            _write(json.dumps(part, separators=(",", ":")).encode())
            for part in (
                {"alg": "ES256", "kid": self.key_id},
                {"iss": self.team_id, "iat": issued_at_s},
            )
        )
        signed = f"{header}.{claims}"
        # RFC 6979: the signature has no chance in it, so that all engines make one token.
        algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(self.private_key.sign(signed.encode(), algorithm))
        return f"{signed}.{_write(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _write(part: bytes) -> str:
    return write_base64url(part).rstrip("=")


def read_p8(text: str) -> ec.EllipticCurvePrivateKey:
    """Return the private key that a `.p8` file of Apple holds; BadKeyError if it holds none."""
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKeyError("is no private key in PEM, as the .p8 file of Apple is") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadKeyError("is no key of the curve P-256, as the .p8 file of Apple is")
    return key


class ProviderTokens:
    """The provider token of the present, which all engines make alike.

    Apple counts the tokens of a key over all processes. The instants at which tokens begin are
    fixed, and the clock is that of the database; so no engine has to ask another one.
    """

    def __init__(self, key: ApnsKey) -> None:
        """Take the key that signs."""
        self._key = key
        self._every = TOKEN_LASTS
        self._kept = (-1, "")

    def get(self) -> str:
        """Return the token of the present."""
        issued_at_s, token = self._kept
        if issued_at_s != (now_s := self._begin()):
            token = self._key.sign(now_s)
            self._kept = (now_s, token)
        return token

    def renew(self, refused: str) -> None:
        """Replace the token that Apple calls expired; TransportUnavailableError if it is new."""
        self._every = TOKEN_LASTS_LESS
        if self.get() == refused:
            age_min = (int(utc_now().timestamp()) - self._begin()) // 60
            raise TransportUnavailableError(
                f"Apple calls our provider token expired, and it is {age_min} minutes old: "
                "check the clock of the database"
            )

    def _begin(self) -> int:
        now_s, every_s = int(utc_now().timestamp()), int(self._every.total_seconds())
        return now_s - now_s % every_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsOptions:
    """The addresses of APNs, the app to which messages go, and the timeout.

    Shape: `base_url` takes the messages of devices of the kind `apns`, `sandbox_url` those of the
    kind `apns_sandbox`.
    Units: `answer_timeout` is how long one answer may take.
    """

    topic: str
    base_url: str
    sandbox_url: str
    ca_file: Path | None = None
    answer_timeout: timedelta = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the last request to Apple said about our set-up, and until when that counts."""

    until: float = 0.0
    fault: TransportUnavailableError | None = None


class ApnsTransport(MultiplexedTransport):
    """Sends messages to one app by Apple; any number of threads may send at once."""

    def __init__(self, options: ApnsOptions, tokens: ProviderTokens) -> None:
        """Take the addresses, and the tokens that authenticate requests."""
        connecting = Connecting(
            url=options.base_url,
            ca_file=options.ca_file,
            answer_timeout=options.answer_timeout,
            header="apns-id",
        )
        super().__init__(_format(options), connecting, tokens)
        self._checked = _Checked()

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome of each message, those of tokens that Apple calls bad at the end."""
        kinds = {message.user_id: message.device_kind for message in messages}
        return _judge_bad_tokens(super().send(messages, should_stop), kinds)

    def check(self) -> None:
        """Raise TransportUnavailableError if Apple refuses our key or our app, or is away.

        Only a request tells: it goes to a device that does not exist. What Apple says counts for a
        while.
        """
        checked = self._checked
        if time.monotonic() >= checked.until:
            checked = self._checked = self._ask()
        if checked.fault:
            raise type(checked.fault)(*checked.fault.args)

    def _ask(self) -> _Checked:
        ends_at = time.monotonic() + CHECK_TIMEOUT_S
        try:
            (delivery,) = super().send([_PROBE], lambda: time.monotonic() > ends_at)
        except TransportUnavailableError as error:
            return _Checked(time.monotonic() + FAULT_HOLDS_S, error)
        fault = _find_fault(delivery)
        return _Checked(time.monotonic() + (FAULT_HOLDS_S if fault else CHECK_HOLDS_S), fault)


#: A message that nobody would notice, to a device that does not exist.
_PROBE: Final = Message(
    user_id=UUID(int=0),
    device_token="0" * 64,
    title="",
    body="",
    deep_link="",
    display_tag="check",
    device_kind=DeviceKind.APNS,
    content=Content(
        platforms={"apns": {"payload": {"aps": {"alert": None, "content-available": 1}}}}
    ),
)
#: The answers that come once Apple has taken our key and our app.
_KNOWS_US: Final = (BAD_TOKEN, OF_OTHER_TOPIC, "Unregistered")


def _find_fault(delivery: Delivery) -> TransportUnavailableError | None:
    """Return what the answer to the probe says against our set-up."""
    reason = (delivery.reason or "").partition(" ")[2]
    if delivery.outcome is Outcome.SENT or reason.startswith(_KNOWS_US):
        return None
    if delivery.outcome is Outcome.FAILED:
        return TransportUnavailableError(f"APNs refuses our messages: {delivery.reason}")
    return ProviderAwayError(f"APNs gives no answer: {delivery.reason}")


def _format(options: ApnsOptions) -> ProviderFormat:
    sandbox = f"{options.sandbox_url}/3/device/"
    usual = f"{options.base_url}/3/device/"

    def head(token: str, now_s: int) -> Callable[[Message], Sequence[str]]:
        ours = (f"Authorization: bearer {token}", "Content-Type: application/json")
        return lambda message: [*ours, *write_headers(message, options.topic, now_s)]

    def url_of(message: Message) -> str:
        is_of_sandbox = message.device_kind == DeviceKind.APNS_SANDBOX
        return (sandbox if is_of_sandbox else usual) + quote(message.device_token, safe="")

    return ProviderFormat(
        name="APNs",
        base_url=options.base_url,
        max_bytes=MAX_PAYLOAD,
        encode=lambda message, _: encode_payload(message),
        head=head,
        read_answer=_judge,
        url_of=url_of,
    )


def _judge(answer: Answer) -> Judgement:
    return read_answer(answer.status, answer.body, answer.named, utc_now())


def _judge_bad_tokens(
    deliveries: Iterator[Delivery], kinds: Mapping[UUID, str]
) -> Iterator[Delivery]:
    """Yield the deliveries; a bad token is dead only if Apple took most others of its kind.

    If Apple refuses most of them, they belong to the other environment: a fault of the set-up.
    """
    bad: list[Delivery] = []
    taken: Counter[str] = Counter()
    fault: TransportUnavailableError | None = None
    try:
        for delivery in deliveries:
            if delivery.outcome is Outcome.TOKEN_DEAD and _is_bad(delivery):
                bad.append(delivery)
                continue
            taken[kinds[delivery.user_id]] += delivery.outcome is Outcome.SENT
            yield delivery
    except TransportUnavailableError as error:
        fault = error
    refused = Counter(kinds[delivery.user_id] for delivery in bad)
    for delivery in bad:
        kind = kinds[delivery.user_id]
        yield delivery if refused[kind] <= taken[kind] else _keep_device(delivery)
    if fault:
        raise fault


def _is_bad(delivery: Delivery) -> bool:
    return (delivery.reason or "").partition(" ")[2].startswith(BAD_TOKEN)


def _keep_device(delivery: Delivery) -> Delivery:
    reason = (
        f"400 {OF_OTHER_ENVIRONMENT}: they belong to another environment than the one that sends "
        "(APNS_ENVIRONMENT), or have the wrong kind, or no token of Apple"
    )
    return delivery._replace(outcome=Outcome.FAILED, reason=reason)
