"""The folder of automations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.adapters.automations.document_files import DocumentFiles, DocumentKind, Listing
from push_blaster.domain.automations.automation import ONE_OFF_ID, Automation

#: The original kept the file `migrations.json` among its automations; it is no automation. The
#: other reserved ids are parts of paths that would hide an automation, and ids of ad hoc pushes.
AUTOMATIONS: Final = DocumentKind(
    noun="automation",
    complete=complete_document,
    others=frozenset({"migrations.json"}),
    reserved=re.compile(
        f"migrations|new|recipes|sequences|templates|test|{ONE_OFF_ID.pattern}", re.IGNORECASE
    ),
)


@dataclass(frozen=True, slots=True)
class StoredAutomation:
    """An automation, and the document that it was read from."""

    automation: Automation
    document: Mapping[str, Any]


class AutomationFiles(DocumentFiles):
    """The automations of one folder. Callers must not change the documents that it returns."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if it is not there."""
        super().__init__(folder, AUTOMATIONS)
        self._stored = _ReadListing(Listing((), ()), {})

    def read_all(self) -> Mapping[str, StoredAutomation]:
        """Return every automation by id; the same mapping while nothing has changed."""
        read, listing = self._stored, self.list_all()
        if listing is not read.listing:
            read = _ReadListing(
                listing, {d["id"]: _store(d, read.by_id) for d in listing.documents}
            )
            self._stored = read
        return read.by_id


@dataclass(frozen=True, slots=True)
class _ReadListing:
    listing: Listing
    by_id: Mapping[str, StoredAutomation]


def _store(document: Mapping[str, Any], before: Mapping[str, StoredAutomation]) -> StoredAutomation:
    known = before.get(document["id"])
    if known and known.document is document:
        return known
    return StoredAutomation(read_automation(document), document)
