"""Experiments: which user gets which variant of a push, and who gets none, to compare with.

Every choice is a hash, so a user's stays the same, whoever makes it, and however often.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One wording of a push; a text that is None is the push's own.

    Units: `weight` counts beside the weights of the push's other variants.
    """

    id: str
    weight: float = 1.0
    title: str | None = None
    body: str | None = None
    deep_link: str | None = None


def choose_variant(
    variants: Sequence[Variant], automation_id: str, push_id: str, user_id: UUID
) -> Variant | None:
    """Return the variant that this user gets of this push; None if there are none."""
    if not variants:
        return None
    left = _place("variant", automation_id, push_id, user_id) * sum(v.weight for v in variants)
    for variant in variants[:-1]:
        left -= variant.weight
        if left < 0:
            return variant
    return variants[-1]


def is_in_holdout(percent: float, user_id: UUID, automation_id: str = "") -> bool:
    """Return whether the user is among the `percent` who get none of this automation's pushes.

    Without an automation, none of any: the same users for all of them.
    """
    return percent > 0 and _place("holdout", automation_id, "", user_id) * 100 < percent


def _place(salt: str, automation_id: str, push_id: str, user_id: UUID) -> float:
    """Return a place from 0 up to 1 that the user has for this salt, and always will have."""
    seed = "\n".join((salt, automation_id, push_id)).encode() + user_id.bytes
    return int.from_bytes(hashlib.sha256(seed).digest()[:6]) / (1 << 48)
