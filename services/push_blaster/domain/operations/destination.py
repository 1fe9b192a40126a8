"""The destinations of alerts: which alerts each one gets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from push_blaster.domain.access.token import mark_of
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import USUAL, AlertEvent, Notice, NoticeTable

#: Stands beside the events of executions for the findings of safeguards.
FINDING: Final = "finding"
KINDS_OF_ALERTS: Final = (*AlertEvent, FINDING)
USUAL_KINDS: Final = tuple(one for one in KINDS_OF_ALERTS if one == FINDING or one in USUAL)
_MAIL: Final = re.compile(
    r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII
)


def is_mail_address(text: str) -> bool:
    """Return whether the text is one plain address of e-mail."""
    return bool(_MAIL.fullmatch(text))


class DestinationKind(StrEnum):
    """How a destination is reached."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    EMAIL = "email"


class DestinationState(StrEnum):
    """Whether a destination gets alerts, and whether it takes them."""

    ON = "on"
    FAILING = "failing"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationOrder:
    """What a person decides about a destination.

    Shape: `address` is a URL, or addresses of e-mail with commas between them. Without
    `automations` it gets the alerts of all.
    """

    name: str
    kind: DestinationKind
    address: str
    events: tuple[str, ...] = USUAL_KINDS
    automations: tuple[str, ...] = ()
    modes: tuple[str, ...] = (Mode.LIVE,)


@dataclass(frozen=True, slots=True)
class EarlierSecret:
    """A secret that was replaced, and signs beside the new one until then."""

    secret: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(DestinationOrder):
    """A destination of alerts; it gets what is raised from `since` on.

    Shape: `environment` is the setting that names it; None if people made it on the page.
    `failure` is why the last try failed, since `failing_since`; `given_up` alerts were given up
    since an alert was last taken.
    """

    id: str
    environment: str | None
    fingerprint: str | None
    secret: str | None
    previous_secret: str | None
    previous_until: datetime | None
    earlier_secrets: tuple[EarlierSecret, ...]
    is_on: bool
    since: datetime
    created_by: str | None
    delivered_at: datetime | None
    failing_since: datetime | None
    failure: str | None
    given_up: int

    @property
    def version(self) -> str:
        """Return a text that is another one whenever people have changed the destination."""
        decided = (self.name, self.address, self.events, self.automations, self.modes, self.is_on)
        return mark_of(repr(decided))

    @property
    def mark(self) -> str | None:
        """Return a text that is another one whenever there is a new secret; None without one."""
        return mark_of(self.secret) if self.secret else None

    def has_replaced(self, mark: str, now: datetime) -> bool:
        """Return whether the present secret came in the place of the one with this mark."""
        is_rotating = self.previous_until is not None and self.previous_until > now
        return is_rotating and mark_of(self.previous_secret or "") == mark

    @property
    def state(self) -> DestinationState:
        """Return whether it gets alerts, and whether it takes them."""
        if not self.is_on:
            return DestinationState.OFF
        return DestinationState.FAILING if self.failing_since else DestinationState.ON

    @property
    def shown_address(self) -> str:
        """Return the address without what may be secret: of a URL, the host."""
        return self.address if self.kind is DestinationKind.EMAIL else show_host(self.address)

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign what is posted now: the newest, and each that still may."""
        found = (self.secret, *(one.secret for one in self.replaced(now)))
        return tuple(one for one in found if one)

    def replaced(self, now: datetime) -> list[EarlierSecret]:
        """Return the secrets that were replaced and still sign, the most lasting first."""
        found = list(self.earlier_secrets)
        if self.previous_secret and self.previous_until:
            found.append(EarlierSecret(self.previous_secret, self.previous_until))
        lasting = (one for one in found if one.until > now)
        return sorted(lasting, key=lambda one: one.until, reverse=True)

    def wants(self, notice: Notice) -> bool:
        """Return whether the destination gets this notice; nobody gets findings of simulations."""
        if notice.at < self.since or not self.covers(notice.automation_id):
            return False
        if notice.table is NoticeTable.VIOLATIONS:
            return FINDING in self.events and notice.mode != Mode.SIMULATION
        return notice.kind in self.events and notice.mode in self.modes

    def covers(self, automation_id: str) -> bool:
        """Return whether the destination gets alerts of this automation."""
        return not self.automations or automation_id in self.automations


def show_host(url: str) -> str:
    """Return scheme and host of a URL; path and query may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}/…"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDelivery:
    """An alert on its way to one destination; its `id` is the same at each try."""

    id: str
    destination_id: str
    execution_id: str
    body: Mapping[str, object]
    raised_at: datetime
    next_at: datetime
    tries: int
    done_at: datetime | None
    failure: str | None
