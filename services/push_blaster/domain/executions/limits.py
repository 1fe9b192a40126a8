"""The limits of an execution; each is a setting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLimits:
    """What an audience script may use, which variables it gets, and the user who runs it."""

    time: timedelta = timedelta(minutes=5)
    memory_mb: int = 2_048
    output_mb: int = 4_096
    output_files: int = 1_000
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes, times and destinations that hold for every automation."""

    batch_size: int = 2_500
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_audience_size: int = 100_000
    preparation_memory_mb: int = 1_024
    preparation_environment: Mapping[str, str] = field(default_factory=dict)
    max_manual_users: int = 5
    min_window: timedelta = timedelta(minutes=5)
    push_time_limit: timedelta = timedelta(minutes=240)
    approval_above: int | None = None
    script: ScriptLimits = ScriptLimits()
    test_lead: timedelta = timedelta(minutes=3)
    test_window: timedelta = timedelta(minutes=2)
    test_gap: timedelta = timedelta(seconds=10)
    links: LinkPolicy = field(default_factory=LinkPolicy)
    holdout_percent: float = 0.0
    min_free_mb: int = 0
    late_after: timedelta = timedelta(seconds=10)
