"""The timeline of one user: everything that is known of the user, in one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from push_blaster.domain.cadence.cadence import tracking_key
from push_blaster.domain.delivery.ledger import LedgerState


class EntryKind(StrEnum):
    """What an entry of a timeline is about."""

    PUSH = "push"
    REMOVED_PUSH = "removed_push"  # its execution has been removed
    EVENT = "event"
    CONVERSION = "conversion"
    OPT_OUT = "opt_out"
    DEVICE = "device"
    NOTIFICATION = "notification"
    SLOT = "slot"
    EXCLUSION = "exclusion"


class Texts(StrEnum):
    """Which texts of a push an entry has."""

    PERSONAL = "personal"  # as this user gets them
    WRITTEN = "written"  # as the automation has them, with placeholders


class Place(NamedTuple):
    """The place of an entry in a timeline; ids are compared by their bytes."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which entries of a timeline are wanted: those before a place, newest first.

    Shape: `since` is included, and `until` is not.
    """

    since: datetime | None = None
    until: datetime | None = None
    before: Place | None = None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPush:
    """One push for one user: the row of the ledger, and the texts.

    Shape: `texts` says whether the texts are those of this user. `over_cap` are the rules that
    allow less than the user got. `to_every_device` says that all devices of a user get the push.
    A deferred push `awaits_winner` if the user does not test the variants of an experiment.
    """

    execution_id: str
    automation_id: str
    automation_name: str
    mode: str
    position: int
    is_test: bool
    batch: int
    layer_id: int
    state: str
    reason: str | None
    provider_id: str | None
    variant: str | None
    was_in_doubt: bool
    tries: int
    claimed_at: datetime
    settled_at: datetime | None
    title: str
    body: str
    deep_link: str
    texts: Texts = Texts.WRITTEN
    uncapped_reason: str | None = None
    over_cap: Sequence[str] = ()
    to_every_device: bool = False
    awaits_winner: bool = False

    @property
    def is_waiting(self) -> bool:
        """Return whether the message waits for its time, and was never tried."""
        return self.state == LedgerState.DEFERRED and not self.tries


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that is known of a user, in words.

    Shape: an entry `is_trial` if it is of a test, a dry run or a simulation. `notes` say what is
    unusual. An entry about a push of an execution names both.
    """

    at: datetime
    kind: EntryKind
    id: str
    text: str
    notes: Sequence[str] = ()
    is_trial: bool = False
    execution_id: str | None = None
    automation_id: str | None = None
    automation_name: str | None = None
    position: int | None = None
    push: UserPush | None = None

    @property
    def place(self) -> Place:
        """Return the place of the entry."""
        return Place(self.at, self.id)


class OwnPush(NamedTuple):
    """A push of ours to a user, as both services name it."""

    execution_id: str
    position: int
    is_test: bool

    def key_of(self, user_id: UUID) -> str:
        """Return the key under which cadence records the push once."""
        return tracking_key(self.execution_id, self.position, user_id, is_test=self.is_test)
