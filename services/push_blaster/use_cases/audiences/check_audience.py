"""Check every row of a frozen audience before the send: which users will get no message?"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from push_blaster.adapters.audiences.frozen_audiences import read_rows
from push_blaster.adapters.audiences.progress import OnProgress, counted, ignore_progress
from push_blaster.adapters.delivery.message_size import MAX_MESSAGE_BYTES, find_excess, measure
from push_blaster.domain.audiences.audience import (
    KIND_COLUMN,
    TOKEN_COLUMN,
    ZONE_COLUMN,
    AudienceRow,
)
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.delivery.deep_link import LinkPolicy, write_in_ascii
from push_blaster.domain.delivery.ledger import Refusal
from push_blaster.domain.delivery.message import TAG_LENGTH, Message
from push_blaster.domain.delivery.push_template import (
    PushTexts,
    Wordings,
    render_row,
    with_ascii_links,
)
from push_blaster.domain.devices.device import DeviceKind
from push_blaster.domain.engagement.receipt import RECEIPT_LENGTH
from push_blaster.domain.zones import find_zone

#: Replaces the device token of a row without one; as long as a real token.
_SOME_TOKEN: Final = "0" * 163
_SOME_TAG: Final = "0" * TAG_LENGTH
_SOME_RECEIPT: Final = "0" * RECEIPT_LENGTH


def check_audience(
    links: LinkPolicy,
    automation: Automation,
    push: Push,
    path: Path,
    on_progress: OnProgress = ignore_progress,
) -> Mapping[str, Any]:
    """Return counts of rows under the names of the API, in constant memory.

    Shape: `missingVariables` counts rows by the variable that they lack; `longest` is the longest
    message in bytes, by the kind of device.
    """
    wordings = Wordings(automation.id, push)
    missing: Counter[str] = Counter()
    others: Counter[str] = Counter()
    longest = dict.fromkeys(map(str, MAX_MESSAGE_BYTES), 0)
    for row in counted(read_rows(path), Stage.CHECKING, on_progress):
        _, template = wordings.choose(row.user_id)
        lacks = template.find_missing(row.variables)
        missing.update(lacks)
        others.update(_find_faults(automation, row))
        texts = None if lacks else render_row(links, template, row)
        if isinstance(texts, Refusal):
            others["badDeepLinks"] += 1
        elif texts:
            message = preview_message(row, texts)
            sizes = measure(message)
            longest = {kind: max(size, sizes[kind]) for kind, size in longest.items()}
            others["tooLong"] += find_excess(message) is not None
    return {
        "missingVariables": dict(sorted(missing.items())),
        "badDeepLinks": others["badDeepLinks"],
        "tooLong": others["tooLong"],
        "invalidTimezone": others["invalidTimezone"],
        "longest": longest,
    }


def preview_message(row: AudienceRow, texts: PushTexts) -> Message:
    """Return the message of a row, as far as it is known before the send."""
    return Message(
        user_id=row.user_id,
        device_token=row.variables.get(TOKEN_COLUMN, "").strip() or _SOME_TOKEN,
        title=texts.title,
        body=texts.body,
        deep_link=write_in_ascii(texts.deep_link),
        display_tag=_SOME_TAG,
        device_kind=row.variables.get(KIND_COLUMN) or DeviceKind.FCM,
        receipt=_SOME_RECEIPT,
        content=with_ascii_links(texts.content),
    )


def describe_check(check: Mapping[str, Any]) -> str | None:
    """Return the findings as a sentence; None if every row gets its message."""
    found = [f"{rows} lack {name}" for name, rows in check["missingVariables"].items()]
    found += [f"{check[name]} {what}" for name, what in _WORDS.items() if check[name]]
    return f"Rows: {', '.join(found)}." if found else None


_WORDS: Final[Mapping[str, str]] = {
    "badDeepLinks": "make a deep link that is not allowed",
    "tooLong": "make a message that is too long",
    "invalidTimezone": "name a zone that is none",
}


def _find_faults(automation: Automation, row: AudienceRow) -> Iterator[str]:
    settings = automation.settings
    zone = row.variables.get(ZONE_COLUMN, "").strip()
    if (settings.quiet_hours or settings.local_time) and zone and find_zone(zone) is None:
        yield "invalidTimezone"
