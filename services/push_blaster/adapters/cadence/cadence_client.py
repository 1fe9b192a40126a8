"""The requests that sends make to the cadence service."""

import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson
from marshmallow import Schema, ValidationError

from cadence_contract import (
    EXTEND_RESERVATION_PATH,
    FILTER_AUDIENCE_PATH,
    FORECAST_PUSHES_PATH,
    HEALTH_PATH,
    MAX_HISTORY,
    MAX_NOTIFICATIONS,
    OVER_CAP_PATH,
    RULES_PATH,
    SERVICE_NAME,
    TRACK_NOTIFICATION_PATH,
    USER_HISTORY_PATH,
    CompactVerdictSchema,
    HistoryPlace,
    OverCapSchema,
    PushForecastsSchema,
    RuleSetSchema,
    TrackedSchema,
    UserHistorySchema,
)
from push_blaster.adapters.cadence.cadence_http import (
    CadenceAnswer,
    CadenceBusyError,
    CadenceHttp,
    CadenceUnauthorizedError,
    CadenceUnavailableError,
)
from push_blaster.adapters.cadence.timeout_breaker import TIMEOUTS, BusyLimit, TimeoutBreaker
from push_blaster.domain.cadence.cadence import (
    CadenceRule,
    CapVerdict,
    OverCap,
    PlannedSend,
    PushForecast,
    SentTexts,
    TrackedSend,
)
from push_blaster.domain.cadence.history import HistoryEntry, HistoryKind, HistoryPage

ATTEMPTS: Final = 2
JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
#: How the health of the service is answered: well, and not well.
_OF_HEALTH: Final = frozenset({200, 503})
#: How long slots stay reserved, unless the reservation is extended.
RESERVATION: Final = timedelta(minutes=15)
#: How long the erasure of a user's history may take; no send waits for it.
ERASURE_TIMEOUT: Final = timedelta(seconds=30)


class NoReservationError(CadenceUnavailableError):
    """There is no reservation of that key."""


class CadenceClient:
    """The cadence service, as sends and forecasts need it.

    After several timeouts of sends in a row, further requests fail at once for a while, so that a
    send does not wait for a timeout in each batch. If the service answers that it is busy, the
    request fails with CadenceBusyError, and is repeated after the pause that the service asks for.
    A service that stays busy for as long as those timeouts would have taken counts as away.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        timeout: timedelta = timedelta(seconds=5),
        rest: timedelta = timedelta(seconds=5),
    ) -> None:
        """Take the address of the service, the token for it, and how long an answer may take.

        Units: `rest` is how long requests fail at once after too many timeouts.
        """
        self._made_from = (base_url, token, timeout, rest)
        self._http = CadenceHttp(base_url, token)
        self._timeout = timeout
        self._breaker = TimeoutBreaker("cadence", rest)
        self._busy_limit = BusyLimit(TIMEOUTS * timeout)

    def __reduce__(self) -> tuple[type["CadenceClient"], tuple[object, ...]]:
        """Become, in another process, a client of the same service that has asked nothing yet."""
        return CadenceClient, self._made_from

    def filter_audience(
        self, user_ids: Sequence[UUID], layer_id: int, scheduled_for: datetime
    ) -> CapVerdict:
        """Return who may get a push on `layer_id`, without reserving anything.

        Shape: `user_ids` are distinct. Raises: CadenceUnavailableError; CadenceBusyError.
        """
        return self._judge(user_ids, _question(layer_id, scheduled_for))

    def reserve_audience(
        self, user_ids: Sequence[UUID], layer_id: int, scheduled_for: datetime, key: str
    ) -> CapVerdict:
        """Return who may get a push on `layer_id`, and reserve their slots for `RESERVATION`.

        The same request under the same key gives the same verdict.
        Shape: `user_ids` are distinct. Raises: CadenceUnavailableError; CadenceBusyError.
        """
        reserve = {"reservationKey": key, "ttlSeconds": f"{RESERVATION.total_seconds():g}"}
        return self._judge(user_ids, _question(layer_id, scheduled_for) | reserve)

    def settle(self, key: str, push: SentTexts, sent_at: datetime, users: bytes) -> bool:
        """Record the users who were sent to, and release every other slot of `key`.

        Safe to repeat. False means that there is no such reservation, and nothing was recorded.
        Shape: `users` are the ids of the users who were sent to, 16 bytes each.
        Raises: CadenceUnavailableError.
        """
        body = {
            "reservationKey": key,
            "sentUserBytes": b64encode(users).decode(),
            "sentAt": sent_at.isoformat(),
            **_texts(push),
        }
        try:
            with self._breaking():
                self._ask(TRACK_NOTIFICATION_PATH, body, TrackedSchema())
        except NoReservationError:
            return False
        return True

    def forecast_pushes(
        self, user_ids: Sequence[UUID], pushes: Sequence[PlannedSend]
    ) -> list[PushForecast]:
        """Forecast each of `pushes` to these users; each push counts the pushes before it.

        Raises: CadenceUnavailableError.
        """
        question = {
            "userIds": [str(user_id) for user_id in user_ids],
            "pushes": [
                {"layerId": push.layer_id, "scheduledFor": push.at.isoformat()} for push in pushes
            ],
        }
        answer = self._ask(FORECAST_PUSHES_PATH, question, PushForecastsSchema())
        if len(answer["pushes"]) != len(pushes):
            raise CadenceUnavailableError(
                "the cadence service forecast other pushes than those in the question"
            )
        return [
            _read_forecast(found, push.at)
            for found, push in zip(answer["pushes"], pushes, strict=True)
        ]

    def find_over_cap(
        self, user_ids: Sequence[UUID], layer_id: int, sent_at: datetime
    ) -> list[OverCap]:
        """Return the users of this recorded send who got more than the rules allow.

        Raises: CadenceUnavailableError.
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
        """Record `sends`, each in its reserved slot if it has one; safe to repeat."""
        for start in range(0, len(sends), MAX_NOTIFICATIONS):
            page = sends[start : start + MAX_NOTIFICATIONS]
            body = {
                "notifications": [_notification(send) for send in page],
                "reservationKey": reservation_key,
            }
            with self._breaking():
                self._ask(TRACK_NOTIFICATION_PATH, body, TrackedSchema())

    def extend_reservation(self, key: str) -> None:
        """Reserve the slots of `key` for `RESERVATION` from now on; CadenceUnavailableError."""
        body = {"key": key, "ttlSeconds": RESERVATION.total_seconds()}
        with self._breaking():
            self._request("POST", EXTEND_RESERVATION_PATH, orjson.dumps(body))

    def erase_history(self, user_id: UUID) -> None:
        """Erase all that the service knows of a user; safe to repeat. CadenceUnavailableError."""
        path = USER_HISTORY_PATH.format(user_id)
        _require_success(self._http.request("DELETE", path, ERASURE_TIMEOUT))

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

    def read_history(
        self,
        user_id: UUID,
        since: datetime | None,
        until: datetime | None,
        before: tuple[datetime, str] | None,
    ) -> HistoryPage:
        """Return what the service knows of a user, newest first; the page after `before`.

        Shape: entries with ids that come before that of `before` count as older at its instant.
        Raises: CadenceUnavailableError.
        """
        query = {
            "from": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "cursor": str(HistoryPlace(*before)) if before else None,
            "limit": str(MAX_HISTORY),
        }
        named = urlencode({name: value for name, value in query.items() if value is not None})
        path = f"{USER_HISTORY_PATH.format(user_id)}?{named}"
        answer = _load(self._request("GET", path, None), UserHistorySchema())
        entries = [_read_history_entry(**entry) for entry in answer["entries"]]
        return HistoryPage(entries, has_more=answer["next_cursor"] is not None)

    def ping(self) -> None:
        """Raise CadenceUnavailableError unless the service is ready and accepts our token.

        Its health tells a stranger only `status`; an older service tells everybody everything.
        """
        answer = self._http.request("GET", HEALTH_PATH, self._timeout)
        shown = answer.read_object()
        if answer.status in _OF_HEALTH and shown.keys() == {"status"}:
            raise CadenceUnauthorizedError("answers as to a stranger")
        _require_success(answer)
        if shown.get("service") != SERVICE_NAME:
            raise CadenceUnavailableError(
                "another service answers at its address; correct the address (CADENCE_SERVICE_URL)"
            )

    def _judge(self, user_ids: Sequence[UUID], question: Mapping[str, str]) -> CapVerdict:
        octets = b"".join(user_id.bytes for user_id in user_ids)
        path = f"{FILTER_AUDIENCE_PATH}?{urlencode(question)}"
        with self._breaking():
            answer = self._ask(path, octets, CompactVerdictSchema())
        return _read_verdict(answer, user_ids)

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """Fail at once while the breaker is open; else note whether the request timed out."""
        if not self._breaker.allows():
            raise CadenceUnavailableError(
                "the cadence service did not answer several times, and is left alone for a moment"
            )
        begun_at = time.monotonic()
        try:
            yield
        except CadenceBusyError as busy:
            self._breaker.note(timed_out=False)
            if not self._busy_limit.allows(busy.pause_s):
                raise CadenceUnavailableError(f"{busy} (for too long)") from busy
            raise
        except CadenceUnavailableError:
            waited_s = time.monotonic() - begun_at
            self._breaker.note(timed_out=waited_s >= self._timeout.total_seconds())
            raise
        self._breaker.note(timed_out=False)
        self._busy_limit.reset()

    def _ask(self, path: str, body: Mapping[str, Any] | bytes, schema: Schema) -> dict[str, Any]:
        content, kind = (body, OCTETS) if isinstance(body, bytes) else (orjson.dumps(body), JSON)
        error: CadenceUnavailableError | None = None
        for _ in range(ATTEMPTS):
            try:
                return _load(self._request("POST", path, content, kind), schema)
            except (NoReservationError, CadenceBusyError, CadenceUnauthorizedError):
                raise
            except CadenceUnavailableError as failure:
                error = failure
        raise error or CadenceUnavailableError("the cadence service got no request")

    def _request(self, method: str, path: str, body: bytes | None, kind: str = JSON) -> bytes:
        answer = self._http.request(
            method, path, self._timeout, headers={"Content-Type": kind}, data=body
        )
        if answer.status == 404:
            raise NoReservationError("the cadence service knows no such reservation")
        _require_success(answer)
        return answer.body


def _question(layer_id: int, scheduled_for: datetime) -> dict[str, str]:
    return {"layerId": str(layer_id), "scheduledFor": scheduled_for.isoformat()}


def _require_success(answer: CadenceAnswer) -> None:
    if answer.status == 200:
        return
    said = answer.body[:200].decode(errors="replace")
    text = f"the cadence service answered {answer.status}: {said}"
    if answer.status == 503 and answer.retry_after_s is not None:
        raise CadenceBusyError(text, answer.retry_after_s)
    raise CadenceUnavailableError(text)


def _load(answer: bytes, schema: Schema) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(orjson.loads(answer))
    except (ValueError, ValidationError) as error:
        raise CadenceUnavailableError(f"the cadence service answered nonsense: {error}") from error
    return loaded


def _read_verdict(answer: dict[str, Any], asked: Sequence[UUID]) -> CapVerdict:
    try:
        capped = {
            asked[position]: rule
            for rule, positions in answer["excluded_positions"].items()
            for position in positions
        }
    except IndexError as error:
        raise CadenceUnavailableError(
            "the cadence service answered users who were not asked for"
        ) from error
    eligible = frozenset(asked).difference(capped)
    if len(eligible) != answer["eligible_count"]:
        raise CadenceUnavailableError("the cadence service's counts do not add up")
    return CapVerdict(
        eligible=eligible,
        capped=capped,
        failed_open=answer["failed_open"],
        reason=answer.get("fail_open_reason"),
    )


def _read_forecast(answer: Mapping[str, Any], at: datetime) -> PushForecast:
    return PushForecast(
        at=at,
        eligible=answer["eligible"],
        capped={rule: n for rule, n in answer["exclusion_breakdown"].items() if n},
        failed_open=answer["failed_open"],
        reason=answer.get("fail_open_reason"),
    )


def _read_history_entry(*, kind: str, **columns: Any) -> HistoryEntry:
    return HistoryEntry(kind=HistoryKind(kind), **columns)


def _notification(send: TrackedSend) -> dict[str, Any]:
    return {
        "userId": str(send.user_id),
        "layerId": send.layer_id,
        "sentAt": send.sent_at.isoformat(),
        "actuallySentAt": send.actually_sent_at.isoformat(),
        "idempotencyKey": send.idempotency_key,
        **_texts(send.push),
    }


def _texts(push: SentTexts) -> dict[str, Any]:
    return {
        "pushTitle": push.title,
        "pushBody": push.body or " ",
        "audienceDescription": push.audience_description,
        "deepLink": push.deep_link,
    }
