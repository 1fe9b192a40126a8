"""What push_blaster asks of the cadence service, and tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

#: The layer of test sends.
TEST_LAYER: Final = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whom a push may go to, and by which rule the others are held back.

    Shape: with `failed_open` nobody was checked, everybody is eligible, and `reason` says why.
    """

    eligible: frozenset[UUID]
    held_back: Mapping[UUID, str]
    failed_open: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """A push that is to come: its layer, and the instant at which it will count."""

    layer_id: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PushForecast:
    """How many users a push planned at `at` will go to, and how many each rule will hold back.

    Shape: `eligible` is None where nobody could say, for a `reason`; with `failed_open` nobody is
    checked, everybody is eligible, and `reason` says why.
    """

    at: datetime
    eligible: int | None = None
    held_back: Mapping[str, int] = field(default_factory=dict)
    failed_open: bool = False
    reason: str | None = None

    @property
    def excluded(self) -> int:
        """How many will be held back."""
        return sum(self.held_back.values())


@dataclass(frozen=True, slots=True)
class OverCap:
    """A user who got more than rules allow, by which of them."""

    user_id: UUID
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPush:
    """What was sent, whoever got it."""

    title: str
    body: str
    audience_description: str
    deep_link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedSend:
    """A send for the cadence service to remember; the same key counts once."""

    user_id: UUID
    layer_id: int
    push: SentPush
    sent_at: datetime
    actually_sent_at: datetime
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceRule:
    """At most `max_count` notifications on `counted_layers`, to one user, in any `window`.

    Shape: it is checked for a push on one of `applies_to_layers`.
    """

    name: str
    applies_to_layers: frozenset[int]
    counted_layers: frozenset[int]
    window: timedelta
    max_count: int
