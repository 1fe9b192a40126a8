"""Experiments: which user gets which variant of a push, who tests, and who gets no push.

Every choice is made by a hash, so a user's choice is always the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

#: What a user may do with a message; a goal is something else that users do.
USER_EVENTS: Final = ("delivered", "opened", "dismissed", "action", "opted_out")


class Metric(StrEnum):
    """What makes a variant win: the share of its users who open, or who reach the goal."""

    OPENED = "opened"
    CONVERTED = "converted"


class WhenUnsure(StrEnum):
    """What the rest of the audience gets if no variant surely wins."""

    FIRST = "first"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant of a push; a text that is None is the push's own.

    Units: `weight` is relative to the weights of the other variants.
    """

    id: str
    weight: float = 1.0
    title: str | None = None
    body: str | None = None
    deep_link: str | None = None
    image_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A test of the variants of a push: a share of the audience first, then the winner to the rest.

    Units: `test_percent` of the users are in the test; `minimum_lead` is the percentage by which
    the winner is ahead of the second at least. `decide_after` counts from the start of the push.
    """

    test_percent: float
    decide_after: timedelta = timedelta(minutes=60)
    metric: Metric = Metric.OPENED
    minimum_lead: float = 0.0
    when_unsure: WhenUnsure = WhenUnsure.FIRST


def choose_variant(
    variants: Sequence[Variant], automation_id: str, push_id: str, user_id: UUID
) -> Variant | None:
    """Return this user's variant of this push; None if the push has no variants."""
    if not variants:
        return None
    left = _place("variant", automation_id, push_id, user_id) * sum(v.weight for v in variants)
    for variant in variants[:-1]:
        left -= variant.weight
        if left < 0:
            return variant
    return variants[-1]


def is_in_holdout(percent: float, user_id: UUID, automation_id: str = "") -> bool:
    """Return whether the user is among the `percent` who get no push of this automation.

    Without an automation: whether the user gets no push of any automation.
    """
    return percent > 0 and _place("holdout", automation_id, "", user_id) * 100 < percent


def name_draw(slot: datetime) -> str:
    """Return the draw of the users who test the variants in the execution of a slot."""
    return slot.astimezone(UTC).isoformat()


def is_in_test(
    experiment: Experiment, automation_id: str, push_id: str, draw: str, user_id: UUID
) -> bool:
    """Return whether the user is in the test of this push.

    Shape: each `draw` has other users in its test; a user's variant does not depend on it.
    """
    place = _place(f"test {draw}", automation_id, push_id, user_id)
    return place * 100 < experiment.test_percent


def _place(salt: str, automation_id: str, push_id: str, user_id: UUID) -> float:
    """Return a number from 0 up to 1, always the same for this user and salt."""
    seed = "\n".join((salt, automation_id, push_id)).encode() + user_id.bytes
    return int.from_bytes(hashlib.sha256(seed).digest()[:6]) / (1 << 48)
