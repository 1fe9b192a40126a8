"""The document of an automation, completed with defaults, and the typed automation."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from marshmallow import ValidationError

from chassis.instants import is_near
from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_schema import AutomationSchema
from push_blaster.adapters.automations.field_declaration import read_values
from push_blaster.adapters.automations.json_values import check_json_values
from push_blaster.adapters.automations.push_schema import read_push
from push_blaster.domain.automations.automation import Automation

#: When a document says that it was changed, if the text cannot be read.
_UNREAD: Final = datetime.fromtimestamp(0, UTC)
#: Created once: to create a schema takes four times as long as to load a document.
_SCHEMA: Final = AutomationSchema()


def complete_document(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document with all defaults filled in and unknown fields kept.

    Raises: marshmallow's ValidationError, with the path of each field that does not fit.
    """
    document: dict[str, Any] = _SCHEMA.load(raw)
    for number, push in enumerate(document["pushSequence"], start=1):
        push["id"] = push["id"] or f"push-{number}"
        push["sequenceOrder"] = push.get("sequenceOrder") or number
    check_json_values(document)
    return document


def complete_or_why(raw: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the complete document; or None, and a text with every field that does not fit."""
    try:
        return complete_document(raw), None
    except ValidationError as error:
        return None, "; ".join(flatten_messages(error.messages))


def read_automation(document: Mapping[str, Any]) -> Automation:
    """Return the typed automation of a complete document."""
    zone = document["schedule"]["timezone"]
    in_order = sorted(document["pushSequence"], key=lambda push: push["sequenceOrder"])
    activated_at = document.get("activatedAt")
    return Automation(
        **read_values(_SCHEMA, document),
        updated_at=_read_instant(document.get("updatedAt")),
        pushes=tuple(read_push(push, zone) for push in in_order),
        activated_at=_read_instant(activated_at) if activated_at else None,
    )


def is_on(document: Mapping[str, Any]) -> bool:
    """Return whether a complete document says that its automation sends by its schedule."""
    return document["isActive"] and document["status"] in {"active", "scheduled"}


def pick_push(pushes: Sequence[Mapping[str, Any]], position: int) -> Mapping[str, Any]:
    """Return the push at `position`, from 1 on, of a complete document's `pushSequence`."""
    return sorted(pushes, key=lambda push: push["sequenceOrder"])[position - 1]


def read_draft(draft: Mapping[str, Any], now: datetime) -> Automation:
    """Return the automation of a document that may lack an id; ValidationError."""
    stamp = now.isoformat()
    missing = {"id": "draft", "version": 1, "createdAt": stamp, "updatedAt": stamp}
    return read_automation(complete_document({**missing, **draft}))


def _read_instant(value: object) -> datetime:
    """Return the instant that a document gives; 1970 if it cannot be read."""
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        instant = _UNREAD
    if not is_near(instant):
        return _UNREAD
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
