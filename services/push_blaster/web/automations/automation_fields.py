"""Every field of an automation's form: what it is called, and how its text is read.

A field's name in the form is its path in the document, such as `pushSequence.0.title`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from push_blaster.web.automations.document_paths import find_differences
from push_blaster.web.automations.form_fields import (
    Read,
    days,
    flag,
    lines,
    number,
    optional,
    percentage,
    text,
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form."""

    label: str
    read: Read


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field("Name", text),
    "description": Field("Description", text),
    "schedule.frequency": Field("How often", text),
    "schedule.executionTime": Field("Live send time, T", optional),
    "schedule.timezone": Field("Time zone", text),
    "schedule.startDate": Field("From", optional),
    "schedule.endDate": Field("Until", optional),
    "schedule.daysOfWeek": Field("On", days),
    "schedule.dayOfMonth": Field("Day of the month", number),
    "schedule.cronExpression": Field("Cron expression", optional),
    "schedule.leadTimeMinutes": Field("Lead time", number),
    "schedule.missedRunPolicy": Field("A slot that was missed", optional),
    "schedule.graceMinutes": Field("Late by at most", number),
    "audienceCriteria.customScript.scriptId": Field("Audience script", text),
    "audienceCriteria.manualUserIds": Field("Users by id", lines),
    "settings.cancellationWindowMinutes": Field("Window to cancel", number),
    "settings.testUserIds": Field("Test users", lines),
    "settings.dryRunFirst": Field("Send a test first", flag),
    "settings.safeguards.requireTestFirst": Field("Go no further without a test", flag),
    "settings.requireApproval": Field("Go live only when an operator approved it", flag),
    "settings.safeguards.maxAudienceSize": Field("Largest audience", number),
    "settings.maxAudienceSize": Field("Largest audience, old name", number),
    "settings.safeguards.alertThresholds.audienceSize": Field("Warn above", number),
    "settings.safeguards.alertThresholds.failureRate": Field("Stop at failures of", percentage),
    "settings.safeguards.drift.sizeFactor": Field("Hold at a size change of", number),
    "settings.safeguards.drift.leastOverlap": Field("Hold at an overlap below", percentage),
    "settings.safeguards.emergencyContacts": Field("Emergency contacts", lines),
    "settings.quietHours.start": Field("Quiet from", optional),
    "settings.quietHours.end": Field("Quiet until", optional),
    "settings.quietHours.whenQuiet": Field("A message then", optional),
    "settings.quietHours.timezone": Field("Zone if unknown", optional),
    "settings.localTime": Field("Send at T by each user's own clock", flag),
    "settings.deliverWithinMinutes": Field("Hold for at most", number),
    "settings.holdoutPercent": Field("Held out", number),
    "settings.ratePerMinute": Field("Messages a minute", number),
    "settings.devices": Field("Devices of a user", optional),
    "settings.inDoubt": Field("A message in doubt", optional),
    "settings.failPolicy": Field("If cadence is away", optional),
}

PUSH_FIELDS: Final[Mapping[str, Field]] = {
    "title": Field("Title", text),
    "body": Field("Text", text),
    "deepLink": Field("Deep link", text),
    "layerId": Field("Layer", number),
    "audienceName": Field("Audience of the script", optional),
    "timing.delayAfterPrevious": Field("Minutes after the last one", number),
    "timing.absoluteTime": Field("Or at", optional),
}

VARIANT_FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("Variant", text),
    "weight": Field("Share", number),
    "title": Field("Its title", optional),
    "body": Field("Its text", optional),
    "deepLink": Field("Its deep link", optional),
}

#: What is no decision of whoever fills in the form: others keep it, or its buttons say it.
MANAGED: Final = frozenset(
    {
        "id",
        "version",
        "status",
        "isActive",
        "activatedAt",
        "createdAt",
        "updatedAt",
        "pushSequence.#.id",
        "pushSequence.#.sequenceOrder",
        "pushSequence.#.status",
    }
)

#: Where the parameters of the script stand; each is a field that the script declares.
PARAMETERS: Final = "audienceCriteria.customScript.parameters"

SHAPES: Final[Mapping[str, Field]] = {
    **FIELDS,
    **{f"pushSequence.#.{path}": field for path, field in PUSH_FIELDS.items()},
    **{f"pushSequence.#.variants.#.{path}": field for path, field in VARIANT_FIELDS.items()},
}


def shape_of(path: str) -> str:
    """Return a path without the places in its lists: `pushSequence.#.title`."""
    return re.sub(r"\.\d+(?=\.|$)", ".#", path)


def label_of(path: str) -> str:
    """Return what the field at a path is called; the path itself if the form has none there."""
    field = SHAPES.get(shape_of(path))
    return field.label if field else path.removeprefix(f"{PARAMETERS}.")


def describe(path: str) -> str:
    """Return what the field at a path is called, also outside its push: `Push 1: Title`."""
    found = re.match(r"pushSequence\.(\d+)(?:\.variants\.(\d+))?(?:\.(.+)|$)", path)
    if not found:
        return label_of(path)
    place = f"Push {int(found[1]) + 1}"
    if found[2]:
        place += f", variant {int(found[2]) + 1}"
    rest = path if shape_of(path) in SHAPES else found[3] or ""
    return f"{place}: {label_of(rest)}" if rest else place


def find_kept(document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what stands in a document beside the form's fields: it stays as it is."""
    for path, value, _ in find_differences(document, {}):
        shape = shape_of(path)
        is_parameter = path == PARAMETERS or path.startswith(f"{PARAMETERS}.")
        if shape not in SHAPES and shape not in MANAGED and not is_parameter:
            yield path, value
