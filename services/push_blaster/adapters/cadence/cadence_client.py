"""HTTP client of the cadence service."""

import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson
import requests
import urllib3
from marshmallow import Schema, ValidationError

from cadence_contract import (
    EXTEND_RESERVATION_PATH,
    FILTER_AUDIENCE_PATH,
    FORECAST_PUSHES_PATH,
    HEALTH_PATH,
    MAX_NOTIFICATIONS,
    OVER_CAP_PATH,
    RULES_PATH,
    TRACK_NOTIFICATION_PATH,
    CompactVerdictSchema,
    OverCapSchema,
    PushForecastsSchema,
    RuleSetSchema,
    TrackedSchema,
)
from chassis.correlation import correlation_headers
from push_blaster.adapters.cadence.timeout_breaker import Patience
from push_blaster.domain.cadence.cadence import (
    CadenceRule,
    OverCap,
    PlannedSend,
    PushForecast,
    SentPush,
    TrackedSend,
    Verdict,
)

ATTEMPTS: Final = 2
#: How long slots are held without another word.
HOLD: Final = timedelta(minutes=15)


class CadenceUnavailableError(Exception):
    """The cadence service is away, slow, or answers nonsense; the message says which."""


class NoReservationError(CadenceUnavailableError):
    """There is no reservation of that key."""


class CadenceClient:
    """Asks the cadence service; one session for each thread that does.

    When it keeps a send waiting in vain, again and again, the next questions of sends fail at once
    for a while, so that a send does not wait for each of its batches.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        timeout: timedelta = timedelta(seconds=5),
        rest: timedelta = timedelta(seconds=5),
    ) -> None:
        """Take where the service is, the token for it, and how long an answer may take.

        Units: `rest` is for how long it is left alone once it has kept us waiting too often.
        """
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._octets = {**self._headers, "Content-Type": "application/octet-stream"}
        self._timeout_s = timeout.total_seconds()
        self._local = threading.local()
        self._patience = Patience("cadence", rest)

    def filter_audience(
        self, user_ids: Sequence[UUID], layer_id: int, scheduled_for: datetime
    ) -> Verdict:
        """Return whom a push on `layer_id` might go to; nothing is held.

        Shape: `user_ids` are distinct. Raises: CadenceUnavailableError if none can say.
        """
        return self._judge(user_ids, _question(layer_id, scheduled_for))

    def reserve_audience(
        self, user_ids: Sequence[UUID], layer_id: int, scheduled_for: datetime, key: str
    ) -> Verdict:
        """Return whom a push on `layer_id` may go to, and hold their slots for `HOLD`.

        The same question under the same key gives the same verdict.
        Shape: `user_ids` are distinct. Raises: CadenceUnavailableError if none can say.
        """
        wish = {"reservationKey": key, "ttlSeconds": f"{HOLD.total_seconds():g}"}
        return self._judge(user_ids, _question(layer_id, scheduled_for) | wish)

    def settle(self, key: str, push: SentPush, sent_at: datetime, users: bytes) -> bool:
        """Let the service remember who was sent to, and give back every other slot of `key`.

        Safe to repeat. False means that there is no such reservation, and nothing was remembered.
        Shape: `users` are the ids of who was sent to, 16 bytes each.
        Raises: CadenceUnavailableError.
        """
        body = {
            "reservationKey": key,
            "sentUserBytes": b64encode(users).decode(),
            "sentAt": sent_at.isoformat(),
            **_texts(push),
        }
        try:
            with self._patiently():
                self._ask(TRACK_NOTIFICATION_PATH, body, TrackedSchema())
        except NoReservationError:
            return False
        return True

    def forecast_pushes(
        self, user_ids: Sequence[UUID], pushes: Sequence[PlannedSend]
    ) -> list[PushForecast]:
        """Return what will become of each of `pushes` to these users, later ones counting earlier.

        Raises: CadenceUnavailableError if nobody can say.
        """
        question = {
            "userIds": [str(user_id) for user_id in user_ids],
            "pushes": [
                {"layerId": push.layer_id, "scheduledFor": push.at.isoformat()} for push in pushes
            ],
        }
        answer = self._ask(FORECAST_PUSHES_PATH, question, PushForecastsSchema())
        if len(answer["pushes"]) != len(pushes):
            raise CadenceUnavailableError("the cadence service forecast other pushes than asked")
        return [
            _read_forecast(found, push.at)
            for found, push in zip(answer["pushes"], pushes, strict=True)
        ]

    def find_over_cap(
        self, user_ids: Sequence[UUID], layer_id: int, sent_at: datetime
    ) -> list[OverCap]:
        """Return who of those who got this send, as recorded, got more than the rules allow.

        Raises: CadenceUnavailableError if nobody can say.
        """
        question = {
            "userIds": [str(user_id) for user_id in user_ids],
            "layerId": layer_id,
            "sentAt": sent_at.isoformat(),
        }
        answer = self._ask(OVER_CAP_PATH, question, OverCapSchema())
        rules: dict[UUID, list[str]] = {}
        for rule, users in answer["by_rule"].items():
            for user_id in users:
                rules.setdefault(user_id, []).append(rule)
        if not rules.keys() <= set(user_ids):
            raise CadenceUnavailableError("the cadence service answered users not asked for")
        return [OverCap(user_id, tuple(names)) for user_id, names in rules.items()]

    def track(self, sends: Sequence[TrackedSend], reservation_key: str | None = None) -> None:
        """Let the service remember `sends`, each in its held slot if it has one; safe to repeat."""
        for start in range(0, len(sends), MAX_NOTIFICATIONS):
            page = sends[start : start + MAX_NOTIFICATIONS]
            body = {
                "notifications": [_notification(send) for send in page],
                "reservationKey": reservation_key,
            }
            with self._patiently():
                self._ask(TRACK_NOTIFICATION_PATH, body, TrackedSchema())

    def hold_longer(self, key: str) -> None:
        """Hold the slots of `key` for `HOLD` from now on; CadenceUnavailableError."""
        body = {"key": key, "ttlSeconds": HOLD.total_seconds()}
        with self._patiently():
            self._request("POST", EXTEND_RESERVATION_PATH, orjson.dumps(body))

    def read_rules(self) -> list[CadenceRule]:
        """Return the active rules, in order of precedence; CadenceUnavailableError."""
        answer = _load(self._request("GET", RULES_PATH, None), RuleSetSchema())
        return [
            CadenceRule(
                name=rule["name"],
                applies_to_layers=frozenset(rule["applies_to_layers"]),
                counted_layers=frozenset(rule["counted_layers"]),
                window=timedelta(hours=rule["window_hours"]),
                max_count=rule["max_count"],
            )
            for rule in answer["rules"]
            if rule["is_active"]
        ]

    def ping(self) -> None:
        """Raise CadenceUnavailableError unless the service says that it is well."""
        self._request("GET", HEALTH_PATH, None)

    def _judge(self, user_ids: Sequence[UUID], question: Mapping[str, str]) -> Verdict:
        octets = b"".join(user_id.bytes for user_id in user_ids)
        path = f"{FILTER_AUDIENCE_PATH}?{urlencode(question)}"
        with self._patiently():
            answer = self._ask(path, octets, CompactVerdictSchema())
        return _read_verdict(answer, user_ids)

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """Fail at once while the service is left alone; else note whether we waited in vain."""
        if not self._patience.lets_ask():
            raise CadenceUnavailableError(
                "the cadence service did not answer several times, and is left alone for a moment"
            )
        begun_at = time.monotonic()
        try:
            yield
        except CadenceUnavailableError:
            waited_s = time.monotonic() - begun_at
            self._patience.note(waited_in_vain=waited_s >= self._timeout_s)
            raise
        self._patience.note(waited_in_vain=False)

    def _ask(self, path: str, body: Mapping[str, Any] | bytes, schema: Schema) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        error: CadenceUnavailableError | None = None
        for _ in range(ATTEMPTS):
            try:
                return _load(self._request("POST", path, content), schema)
            except NoReservationError:
                raise
            except CadenceUnavailableError as failure:
                error = failure
        raise error or CadenceUnavailableError("was never asked")

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        give_up_at = time.monotonic() + self._timeout_s
        try:
            with self._session().request(
                method,
                self._base_url + path,
                data=body,
                headers=self._headers_for(path),
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read_until(response, give_up_at)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise CadenceUnavailableError(
                f"the cadence service did not answer ({type(error).__name__})"
            ) from error
        if response.status_code == 404:
            raise NoReservationError("the cadence service knows no such reservation")
        if response.status_code != 200:
            said = content[:200].decode(errors="replace")
            raise CadenceUnavailableError(
                f"the cadence service answered {response.status_code}: {said}"
            )
        return content

    def _headers_for(self, path: str) -> dict[str, str]:
        own = self._octets if path.startswith(FILTER_AUDIENCE_PATH) else self._headers
        return own | correlation_headers()

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


def _question(layer_id: int, scheduled_for: datetime) -> dict[str, str]:
    return {"layerId": str(layer_id), "scheduledFor": scheduled_for.isoformat()}


def _read_until(response: requests.Response, give_up_at: float) -> bytes:
    """Return the whole body; requests itself would wait for ever for one that drips in."""
    pieces: list[bytes] = []
    while piece := response.raw.read1(65_536, decode_content=True):
        pieces.append(piece)
        if time.monotonic() > give_up_at:
            raise CadenceUnavailableError("the cadence service did not answer in time")
    response.raw.release_conn()  # the next request goes over the same connection
    return b"".join(pieces)


def _load(answer: bytes, schema: Schema) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(orjson.loads(answer))
    except (ValueError, ValidationError) as error:
        raise CadenceUnavailableError(f"the cadence service answered nonsense: {error}") from error
    return loaded


def _read_verdict(answer: dict[str, Any], asked: Sequence[UUID]) -> Verdict:
    try:
        held_back = {
            asked[position]: rule
            for rule, positions in answer["excluded_positions"].items()
            for position in positions
        }
    except IndexError as error:
        raise CadenceUnavailableError(
            "the cadence service answered users who were not asked for"
        ) from error
    eligible = frozenset(asked).difference(held_back)
    if len(eligible) != answer["eligible_count"]:
        raise CadenceUnavailableError("the cadence service's counts do not add up")
    return Verdict(
        eligible=eligible,
        held_back=held_back,
        failed_open=answer["failed_open"],
        reason=answer.get("fail_open_reason"),
    )


def _read_forecast(answer: Mapping[str, Any], at: datetime) -> PushForecast:
    return PushForecast(
        at=at,
        eligible=answer["eligible"],
        held_back={rule: n for rule, n in answer["exclusion_breakdown"].items() if n},
        failed_open=answer["failed_open"],
        reason=answer.get("fail_open_reason"),
    )


def _notification(send: TrackedSend) -> dict[str, Any]:
    return {
        "userId": str(send.user_id),
        "layerId": send.layer_id,
        "sentAt": send.sent_at.isoformat(),
        "actuallySentAt": send.actually_sent_at.isoformat(),
        "idempotencyKey": send.idempotency_key,
        **_texts(send.push),
    }


def _texts(push: SentPush) -> dict[str, Any]:
    return {
        "pushTitle": push.title,
        "pushBody": push.body or " ",
        "audienceDescription": push.audience_description,
        "deepLink": push.deep_link,
    }
