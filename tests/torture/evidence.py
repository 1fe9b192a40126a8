"""The evidence to judge: rows of both databases, the provider's log, the torture's journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cadence_service.domain.cadence import CadenceRule


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSeen:
    """One push of an execution: what was planned, and what the database says of it."""

    position: int
    layer_id: int
    delay: timedelta
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSeen:
    """An execution as its rows tell it; its users are numbers."""

    id: str
    automation_id: str
    phase: str
    is_scheduled: bool
    is_uncapped: bool
    slot: datetime
    window: timedelta
    has_ended: bool
    reason: str | None
    users: range
    pushes: tuple[PushSeen, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """What a message is: a push of an execution for a user, as a test or for real."""

    execution_id: str
    position: int
    is_test: bool
    user: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger; its display tag is the one that the message must carry."""

    address: Address
    state: str
    was_in_doubt: bool
    tag: str
    claimed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that the provider took, as the provider wrote it down."""

    at: datetime
    user: int
    tag: str
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What phones and a shop reported for good, and what the counters say of it.

    Shape: `events` are display tags with events; `counted` has the users by execution, position
    and event; `kept` are the keys of conversions, as often as they are kept; `conversions` is the
    sum of the counters, and `attributions` the number of rows that this sum stands for. `opted_out`
    and `erased` tell when the wish of a user had been answered, and `tags_of_erased` which messages
    erased users may have had: the ledger knows them no more.
    """

    events: frozenset[tuple[str, str]] = frozenset()
    counted: Mapping[tuple[str, int, str], int] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    kept: tuple[str, ...] = ()
    conversions: int = 0
    attributions: int = 0
    opted_out: Mapping[int, datetime] = field(default_factory=dict)
    erased: Mapping[int, datetime] = field(default_factory=dict)
    tags_of_erased: Mapping[str, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Strike:
    """What hit the system, and when; the words of a `cause` are those of the report."""

    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class SlotExpected:
    """A slot that must have been executed, or recorded as missed or skipped."""

    automation_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was seen.

    Shape: `answered` are executions whose start was answered; `one_slot` are the automations that
    have one slot, and it; `stopped` tells when a stop was answered; `overlaps` are
    executions whose script ran again while its earlier run lived; `recorded` tells when each
    message counts for the cadence service, and `unexplained` what it counts beyond them, by user
    and layer.
    """

    executions: Mapping[str, ExecutionSeen]
    ledger: tuple[Row, ...]
    accepted: tuple[Accepted, ...]
    recorded: Mapping[Address, datetime]
    rules: tuple[CadenceRule, ...]
    unexplained: Mapping[tuple[int, int], int] = field(default_factory=dict)
    answered: frozenset[str] = frozenset()
    slots: tuple[SlotExpected, ...] = ()
    one_slot: Mapping[str, datetime] = field(default_factory=dict)
    stopped: Mapping[str, datetime] = field(default_factory=dict)
    overlaps: tuple[str, ...] = ()
    reports: Reports = field(default_factory=Reports)
