"""The versions of an automation: what was saved, when, and by whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class VersionKind(StrEnum):
    """How a version came to be."""

    CREATED = "created"
    SAVED = "saved"
    FOUND = "found"  # edited in its file, or seen in it for the first time
    DELETED = "deleted"
    GONE = "gone"  # its file was removed


#: After such a version there is no automation any more.
REMOVALS: Final = (VersionKind.DELETED, VersionKind.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an automation.

    Shape: `version` is the number in the document; an edit of a file may repeat it, so `id` tells
    versions apart. `author` is None if nobody knows who it was. A removal has the last document,
    and a deletion by route or page the `generation` that it ended.
    """

    id: int
    automation_id: str
    version: int
    kind: VersionKind
    author: str | None
    reason: str | None
    saved_at: datetime
    document: Mapping[str, Any]
    generation: int | None = None

    @property
    def is_removal(self) -> bool:
        """Whether the automation was deleted, or its file was removed."""
        return self.kind in REMOVALS
