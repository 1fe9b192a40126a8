"""Create and edit templates, and save an automation as one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from push_blaster.adapters.automations.content_schema import pick_content
from push_blaster.adapters.automations.document_files import next_version
from push_blaster.adapters.automations.template_files import (
    TemplateFiles,
    complete_own_template,
    refuse_system_template,
)

#: Fields of a single send, which a template does not take over.
_OF_ONE_RUN: Final = frozenset({"startDate", "endDate", "scheduledDate"})


def create_template(
    files: TemplateFiles, sent: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Write a new template; without an id it gets one.

    Raises: ValidationError, DocumentExistsError.
    """
    stamp = now.isoformat()
    own = {"id": sent.get("id") or str(uuid4()), "version": 1}
    template = complete_own_template({**sent, **own, "createdAt": stamp, "updatedAt": stamp})
    files.create(template)
    return template


def edit_template(
    files: TemplateFiles, template_id: str, sent: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Replace the fields of a user's template by those of `sent`.

    Raises: ValidationError, SystemTemplateError, DocumentNotFoundError, BrokenDocumentError,
    StaleVersionError.
    """
    refuse_system_template(template_id)
    old = files.load(template_id)
    template = complete_own_template(next_version(old, sent, now))
    files.replace(template, expected_version=old["version"])
    return template


def generalise(automation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a template for automations like this one, without variables and dates."""
    schedule = automation["schedule"]
    return {
        "name": automation["name"],
        "description": automation.get("description"),
        "defaultSchedule": {k: v for k, v in schedule.items() if k not in _OF_ONE_RUN},
        "pushTemplates": [
            {
                "sequenceOrder": push["sequenceOrder"],
                "titleTemplate": push["title"],
                "bodyTemplate": push["body"],
                "deepLinkTemplate": push["deepLink"],
                "layerId": push["layerId"],
                "timing": push["timing"],
                **{name: push.get(name) for name in ("audienceName", "variants", "experiment")},
                **pick_content(push),
            }
            for push in automation["pushSequence"]
        ],
        "audienceTemplate": automation["audienceCriteria"],
        "defaultSettings": automation["settings"],
    }
