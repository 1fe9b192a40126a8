"""The folder of automations."""

from pathlib import Path
from typing import Final

from push_blaster.adapters.automation_document import complete_document
from push_blaster.adapters.document_files import DocumentFiles, DocumentKind

#: Among its automations the original kept the file `migrations.json`, which is none.
AUTOMATIONS: Final = DocumentKind(
    noun="automation", complete=complete_document, others=frozenset({"migrations.json"})
)


class AutomationFiles(DocumentFiles):
    """The automations of one folder. Documents that it lends are not to be changed in place."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if it is not there."""
        super().__init__(folder, AUTOMATIONS)
