"""An automation: who gets which sequence of pushes, and when."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from push_blaster.domain.automations.content import PLAIN, Content
from push_blaster.domain.automations.experiment import Experiment, Variant

#: The ids of one-off pushes, which no automation has.
ONE_OFF_ID: Final = re.compile("ad-hoc-[0-9a-f]{16}", re.IGNORECASE)


class Frequency(StrEnum):
    """How often an automation sends."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    CUSTOM = "custom"


class MissedRunPolicy(StrEnum):
    """What the system does about a slot that no engine could start in time."""

    SKIP = "skip"
    RUN_LATE = "run_late"


class InDoubtPolicy(StrEnum):
    """What happens to a message whose outcome is unknown."""

    RESEND = "resend"
    SKIP = "skip"


class FailPolicy(StrEnum):
    """What happens to a push while the cadence service is unavailable."""

    OPEN = "open"
    CLOSED = "closed"


class ReachedDevices(StrEnum):
    """Which of a user's devices get a push."""

    NEWEST = "newest"
    ALL = "all"


class WhenQuiet(StrEnum):
    """What happens to a message for a user in quiet hours."""

    DEFER = "hold"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """The hours without messages, in the user's time zone.

    Shape: `end` before `start` is on the next day; `timezone` is for users without a time zone.
    """

    start: time
    end: time
    when_quiet: WhenQuiet = WhenQuiet.DEFER
    timezone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When an automation sends: the live send time T in a zone, and how long before it starts.

    Shape: `days_of_week` counts 0 for Sunday to 6 for Saturday, as cron does; empty and a
    `day_of_month` of None mean the start date's. `cron_expression` gives T and rules only when
    `frequency` is custom.
    """

    timezone: str
    frequency: Frequency
    execution_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    days_of_week: tuple[int, ...] = ()
    day_of_month: int | None = None
    cron_expression: str | None = None
    lead_time: timedelta = timedelta(minutes=30)
    missed_run_policy: MissedRunPolicy = MissedRunPolicy.RUN_LATE
    grace: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One message of an automation's sequence.

    Shape: `absolute_time` is a wall time of the live day or an instant; it wins over the delay.
    With `variants` each user of the audience gets the texts of one of them; with an `experiment`
    only a part of the audience does, and the rest gets the texts of the winner.
    Units: `delay` counts from the previous push's planned instant; the first push's from T.
    """

    id: str
    title: str
    body: str
    deep_link: str = ""
    layer_id: int = 1
    audience_name: str = "default"
    delay: timedelta = timedelta(0)
    absolute_time: time | datetime | None = None
    variants: tuple[Variant, ...] = ()
    experiment: Experiment | None = None
    content: Content = PLAIN

    @property
    def decide_after(self) -> timedelta:
        """How long after its start the rest of its audience waits for the winner."""
        return self.experiment.decide_after if self.experiment else timedelta(0)

    def worded(self, variant: Variant | None) -> "Push":
        """Return the push with the texts of `variant`."""
        own = variant or Variant(id="")
        image = self.content.image_url if own.image_url is None else own.image_url
        is_same = image == self.content.image_url
        return replace(
            self,
            variants=(),
            experiment=None,
            title=self.title if own.title is None else own.title,
            body=self.body if own.body is None else own.body,
            deep_link=self.deep_link if own.deep_link is None else own.deep_link,
            content=self.content if is_same else replace(self.content, image_url=image),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What users are to do: a conversion of this name, within this time after the first push."""

    name: str
    within: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationSettings:
    """How an automation sends.

    Units: `failure_rate` and `min_overlap` are shares from 0 to 1; an audience drifts when it is
    `drift_factor` times larger or smaller than usual. `holdout_percent` of the users get nothing.
    `deliver_within` is how long a message may wait for the user's own time. `rate_per_minute`
    limits the messages of a push per minute, if it is below the rate of the installation. A user
    who did one of `exit_on`, events or goals, since the execution began gets no further push.
    """

    test_user_ids: tuple[str, ...] = ()
    test_device_ids: tuple[str, ...] = ()
    dry_run_first: bool = True
    require_test_first: bool = True
    cancellation_window: timedelta = timedelta(minutes=30)
    max_audience_size: int | None = None
    alert_audience_size: int | None = None
    failure_rate: float | None = None
    drift_factor: float = 3.0
    min_overlap: float | None = None
    require_approval: bool = False
    emergency_contacts: tuple[str, ...] = ()
    in_doubt: InDoubtPolicy = InDoubtPolicy.RESEND
    fail_policy: FailPolicy = FailPolicy.OPEN
    devices: ReachedDevices = ReachedDevices.NEWEST
    holdout_percent: float = 0.0
    quiet_hours: QuietHours | None = None
    local_time: bool = False
    deliver_within: timedelta | None = None
    rate_per_minute: int | None = None
    goal: Goal | None = None
    exit_on: tuple[str, ...] = ()

    @property
    def names_testers(self) -> bool:
        """Whether it says who gets the test; else the TEST rows of the script get it."""
        return bool(self.test_user_ids or self.test_device_ids)


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded CSV: its name, and the hash under which it is stored."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """One automation, read from its document by automation_document.py.

    Shape: the automation has been scheduled since `activated_at`; earlier slots do not count as
    missed. The script `script_id` writes its audience, or the audience is `manual_user_ids` or the
    `upload`; at most one of the three is set.
    """

    id: str
    name: str
    version: int
    status: str
    is_active: bool
    updated_at: datetime
    schedule: Schedule
    pushes: tuple[Push, ...]
    activated_at: datetime | None = None
    is_archived: bool = False
    script_id: str | None = None
    script_parameters: Mapping[str, object] = field(default_factory=dict)
    manual_user_ids: tuple[str, ...] = ()
    upload: Upload | None = None
    settings: AutomationSettings = field(default_factory=AutomationSettings)

    @property
    def was_never_scheduled(self) -> bool:
        """Whether it is a draft that the clock has never opened an execution for."""
        return self.status == "draft" and self.activated_at is None

    @property
    def is_paused(self) -> bool:
        """Whether a person has paused it, and it is not archived."""
        return self.status == "paused" and not self.is_archived

    @property
    def is_scheduled(self) -> bool:
        """Whether the clock opens executions for it."""
        is_on = self.is_active and self.status in {"active", "scheduled"}
        return is_on and not self.is_archived
