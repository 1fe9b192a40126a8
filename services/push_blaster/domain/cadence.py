"""What push_blaster asks of the cadence service, and tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whom a push may go to, and by which rule the others are held back.

    Shape: with `failed_open` nobody was checked, everybody is eligible, and `reason` says why.
    """

    eligible: frozenset[UUID]
    held_back: Mapping[UUID, str]
    failed_open: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedSend:
    """A send for the cadence service to remember; the same key counts once."""

    user_id: UUID
    layer_id: int
    title: str
    body: str
    audience_description: str
    deep_link: str | None
    sent_at: datetime
    actually_sent_at: datetime
    idempotency_key: str
