"""The templates of a folder, and those of the system."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from marshmallow import ValidationError

from push_blaster.adapters.automations.document_files import DocumentFiles, DocumentKind, Listing
from push_blaster.adapters.automations.template_schema import complete_template


class SystemTemplateError(Exception):
    """The template is one of the system, and cannot be changed."""


def _read_system_templates() -> dict[str, Mapping[str, Any]]:
    paths = sorted((Path(__file__).parent / "system_templates").glob("*.json"))
    templates = [complete_template(json.loads(path.read_text())) for path in paths]
    return {template["id"]: template for template in templates}


SYSTEM_TEMPLATES: Final[Mapping[str, Mapping[str, Any]]] = _read_system_templates()


def complete_own_template(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a user's template, complete; ValidationError, also for a system template's id."""
    template = {**complete_template(raw), "isSystemTemplate": False}
    if template["id"] in SYSTEM_TEMPLATES:
        complaint = f"{template['id']!r} is a system template; choose another id."
        raise ValidationError({"id": [complaint]})
    return template


class TemplateFiles(DocumentFiles):
    """The templates of one folder, after the system's templates, which are read-only."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if it is not there."""
        super().__init__(folder, DocumentKind(noun="template", complete=complete_own_template))

    def list_all(self) -> Listing:
        """Return every template, and every broken file."""
        own = super().list_all()
        return Listing((*SYSTEM_TEMPLATES.values(), *own.documents), own.broken)

    def load(self, document_id: str) -> Mapping[str, Any]:
        """Return one template; DocumentNotFoundError, BrokenDocumentError."""
        return SYSTEM_TEMPLATES.get(document_id) or super().load(document_id)

    def delete(self, document_id: str, expected_version: int | None = None) -> None:
        """Delete a user's template; SystemTemplateError if it is one of the system."""
        refuse_system_template(document_id)
        super().delete(document_id, expected_version)


def refuse_system_template(template_id: str) -> None:
    """Raise SystemTemplateError if the template is one of the system."""
    if template_id in SYSTEM_TEMPLATES:
        raise SystemTemplateError(
            f"{template_id!r} comes with the system and is read-only. Save what you need under an "
            "id of your own: POST /api/automation/templates."
        )
