"""Experiments: which user gets which variant of a push, and which users get no push.

Every choice is made by a hash, so a user's choice is always the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


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


def _place(salt: str, automation_id: str, push_id: str, user_id: UUID) -> float:
    """Return a number from 0 up to 1, always the same for this user and salt."""
    seed = "\n".join((salt, automation_id, push_id)).encode() + user_id.bytes
    return int.from_bytes(hashlib.sha256(seed).digest()[:6]) / (1 << 48)
