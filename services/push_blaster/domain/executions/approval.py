"""Approval: an operator accepts exactly this content, for exactly these people and rules."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.content import PLAIN
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.executions.execution import PushProgress


@dataclass(frozen=True, slots=True)
class Hashes:
    """The content of an approval: the texts, the frozen audiences, the rules in force."""

    content: str
    audience: str
    rules: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval: the person, the approved content, and the time."""

    by: str
    at: datetime
    hashes: Hashes


def hash_what_is_sent(pushes: Sequence[Push], progress: Sequence[PushProgress]) -> Hashes:
    """Return the hashes of the texts and of the audiences."""
    return Hashes(
        content=_hash([_describe(push) for push in pushes]),
        audience=_hash([push.audience.sha256 if push.audience else None for push in progress]),
    )


def _describe(push: Push) -> dict[str, object]:
    """Return a push as it is hashed; one without newer fields has the hash of older versions.

    An approval that was given before an upgrade holds after the upgrade.
    """
    described = asdict(push)
    if push.experiment is None:
        del described["experiment"]
    if push.content == PLAIN:
        del described["content"]
    for variant in described["variants"]:
        if variant["image_url"] is None:
            del variant["image_url"]
    return described


def hash_rules(rules: Iterable[CadenceRule]) -> str:
    """Return the hash of the cadence rules in force."""
    return _hash(
        [
            [
                r.name,
                sorted(r.applies_to_layers),
                sorted(r.counted_layers),
                r.window.total_seconds(),
                r.max_count,
            ]
            for r in rules
        ]
    )


def find_change(approved: Hashes, current: Hashes) -> str | None:
    """Return what has changed since the approval; None without a change.

    Shape: rules that cannot be read now (None) count as unchanged; the fail policy decides then.
    """
    if approved.content != current.content:
        return "the content"
    if approved.audience != current.audience:
        return "the audience"
    if current.rules is not None and approved.rules != current.rules:
        return "the cadence rules"
    return None


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()
