"""The questions to the cadence service, its answers, and the sends that it records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

#: The layer of test sends.
TEST_LAYER: Final = 4


@dataclass(frozen=True, slots=True)
class CapVerdict:
    """The users who may get a push, and the rule that caps each other user.

    Shape: with `failed_open` no user was checked, all are eligible, and `reason` says why.
    """

    eligible: frozenset[UUID]
    capped: Mapping[UUID, str]
    failed_open: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """A planned push: its layer, and the instant at which it will count."""

    layer_id: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PushForecast:
    """How many users will get a push planned at `at`, and how many each rule will cap.

    Shape: `eligible` is None if there is no forecast, and `reason` says why; with `failed_open` no
    user is checked, all are eligible, and `reason` says why. `opted_out` users do not want the
    push, and cadence is not asked about them.
    """

    at: datetime
    eligible: int | None = None
    capped: Mapping[str, int] = field(default_factory=dict)
    opted_out: int = 0
    failed_open: bool = False
    reason: str | None = None

    @property
    def excluded(self) -> int:
        """How many users will be capped."""
        return sum(self.capped.values())


@dataclass(frozen=True, slots=True)
class OverCap:
    """A user who got more than these rules allow."""

    user_id: UUID
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTexts:
    """The texts of a push that was sent."""

    title: str
    body: str
    audience_description: str
    deep_link: str | None


def tracking_key(execution_id: str, position: int, user_id: UUID, *, is_test: bool) -> str:
    """Return the key under which cadence records a push to a user once."""
    kind = "test" if is_test else "live"
    return f"{execution_id}/{position}/{kind}/{user_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedSend:
    """A send that the cadence service records; the same key counts once."""

    user_id: UUID
    layer_id: int
    push: SentTexts
    sent_at: datetime
    actually_sent_at: datetime
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceRule:
    """At most `max_count` notifications on `counted_layers`, to one user, in any `window`.

    Shape: the rule applies to a push on one of `applies_to_layers`.
    """

    name: str
    applies_to_layers: frozenset[int]
    counted_layers: frozenset[int]
    window: timedelta
    max_count: int
