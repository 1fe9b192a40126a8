"""What the cadence service knows of one user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HistoryKind(StrEnum):
    """What an entry of the history is about."""

    NOTIFICATION = "notification"
    SLOT = "slot"
    EXCLUSION = "exclusion"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A recorded notification, a reserved slot, or an exclusion, at its instant.

    Shape: `key_digests` are the SHA-256 of the keys under which notifications were recorded.
    """

    kind: HistoryKind
    at: datetime
    id: str
    layer_id: int
    reservation_key: str | None = None
    actually_sent_at: datetime | None = None
    push_title: str | None = None
    push_body: str | None = None
    audience_description: str | None = None
    deep_link: str | None = None
    import_id: int | None = None
    key_digests: Sequence[str] = ()
    expires_at: datetime | None = None
    rule: str | None = None
    counted_sends: Sequence[datetime] = ()
    next_eligible_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Entries of one user, newest first; `has_more` says that older ones follow."""

    entries: Sequence[HistoryEntry]
    has_more: bool
