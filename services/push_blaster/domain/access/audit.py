"""The records of the audit log: who changed what, when, and the content without secrets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

MASK: Final = "***"
#: The part of a change's content that is recorded.
BYTES_KEPT: Final = 4_096

_SECRET: Final = re.compile(
    r"token|secret|passw|credential|csrf|private|p256dh|^auth$|^authorization$|^keys?$|api.?key",
    re.IGNORECASE,
)
_ITEMS_SHOWN: Final = 50
_TEXT_SHOWN: Final = 500
_DEPTH_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedChange:
    """A change that somebody is about to make."""

    at: datetime
    actor: str | None
    role: str | None
    method: str
    path: str
    endpoint: str
    what: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange(AuditedChange):
    """A row of the audit log; without an answer yet, `status` is None."""

    id: int
    status: int | None = None
    answered_at: datetime | None = None


def describe(content: object) -> str:
    """Return the content as JSON, without the values of fields that hold secrets, cut to a size."""
    text = json.dumps(mask(content), ensure_ascii=False, default=str)
    whole = text.encode(errors="replace")
    cut = whole[: BYTES_KEPT - 3].decode(errors="ignore")
    return text if len(whole) <= BYTES_KEPT else f"{cut}…"


def mask(content: object, depth: int = 0) -> object:
    """Return the content with its secrets masked, and with long or deep parts cut."""
    if isinstance(content, str):
        return content if len(content) <= _TEXT_SHOWN else f"{content[:_TEXT_SHOWN]}…"
    if isinstance(content, Mapping | list) and depth == _DEPTH_SHOWN:
        return "…"
    if isinstance(content, Mapping):
        return _mask_fields(content, depth)
    return _mask_items(content, depth) if isinstance(content, list) else content


def _mask_fields(content: Mapping[object, object], depth: int) -> dict[str, object]:
    return {
        str(name): MASK if value and _SECRET.search(str(name)) else mask(value, depth + 1)
        for name, value in islice(content.items(), _ITEMS_SHOWN)
    }


def _mask_items(content: list[object], depth: int) -> list[object]:
    rest = len(content) - _ITEMS_SHOWN
    shown = [mask(item, depth + 1) for item in content[:_ITEMS_SHOWN]]
    return [*shown, f"… and {rest} more"] if rest > 0 else shown
