"""A scheduled push of the original as a draft, with notes about what differs here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush, write_document

#: The layer that the original gave migrated pushes; no cap applies to it.
LAYER: Final = 1


class NotMigratedError(Exception):
    """The file is not migrated; the message says why."""


@dataclass(slots=True)
class Draft:
    """The document of a draft, and notes to read before it is activated."""

    document: Mapping[str, Any]
    findings: list[str] = field(default_factory=list)


def draft_push(raw: Mapping[str, Any], window: timedelta) -> Draft:
    """Return the draft of an automation that sends this push once; NotMigratedError."""
    if raw.get("status") in ("sent", "cancelled"):
        raise NotMigratedError(f"Its status is {raw['status']!r}: there is nothing left to send.")
    findings: list[str] = []
    criteria = raw.get("audienceCriteria") or {}
    if not isinstance(criteria, Mapping):
        raise NotMigratedError("audienceCriteria is no JSON object.")
    push = ScheduledPush(
        id=f"migrated_{raw.get('id')}",
        scheduled_for=_read_instant(raw, findings),
        title=_text(raw, "title"),
        body=_text(raw, "body"),
        layer_id=LAYER,
        criteria=criteria,
        audience_description=str(raw.get("audienceDescription") or ""),
        deep_link=str(raw.get("deepLink") or ""),
    )
    findings.append(
        "The push has no layer and gets layer 1, as in the original; no cap applies to it. Set "
        "layerId if caps should apply."
    )
    findings += _judge_criteria(criteria)
    return Draft(write_document(push, window), findings)


def _text(raw: Mapping[str, Any], name: str) -> str:
    text = raw.get(name)
    if not isinstance(text, str) or not text:
        raise NotMigratedError(f"{name} is missing.")
    return text


def _read_instant(raw: Mapping[str, Any], findings: list[str]) -> datetime:
    text = _text(raw, "scheduledFor")
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            findings.append(f"scheduledFor {text} has no offset; it is read as UTC.")
            instant = instant.replace(tzinfo=UTC)
        return instant.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError) as error:
        raise NotMigratedError(f"scheduledFor is {text!r}, no instant.") from error


def _judge_criteria(criteria: Mapping[str, Any]) -> list[str]:
    named = criteria.get("manualUserIds")
    users = named if isinstance(named, list) else []
    bad = [text for text in users if not _is_uuid(text)]
    if bad:
        return [f"{len(bad)} of its {len(users)} manualUserIds are no user ids: {bad[:3]}."]
    if not users:
        return [
            "The push has filters instead of users: the script for filters "
            "(PUSH_FILTER_SCRIPT), or customScript, must find the users before the push can "
            "be scheduled."
        ]
    return []


def _is_uuid(text: object) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True
