"""Every page there is."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint

from push_blaster.adapters.automation_files import AutomationFiles
from push_blaster.adapters.cadence_records import CadenceRecords
from push_blaster.adapters.template_files import TemplateFiles
from push_blaster.use_cases.parts import Parts
from push_blaster.web.pages.audit_log import audit_log_pages
from push_blaster.web.pages.automations import automation_pages
from push_blaster.web.pages.cadence import cadence_pages
from push_blaster.web.pages.dashboard import dashboard_pages
from push_blaster.web.pages.deliveries import delivery_pages
from push_blaster.web.pages.devices import device_pages
from push_blaster.web.pages.edit_automation import edit_automation_pages
from push_blaster.web.pages.executions import execution_pages
from push_blaster.web.pages.frame import show_errors_as_pages
from push_blaster.web.pages.scripts import script_pages
from push_blaster.web.pages.send import send_pages
from push_blaster.web.pages.sign_in import sign_in_pages
from push_blaster.web.pages.start_from_template import template_pages
from push_blaster.web.pages.stop_everything import stop_everything_pages
from push_blaster.web.pages.tests import test_pages
from push_blaster.web.pages.tokens import token_pages
from push_blaster.web.problems import PROBLEMS
from push_blaster.web.session import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages show and act on."""

    sessions: Sessions
    parts: Parts
    files: AutomationFiles
    templates: TemplateFiles
    records: CadenceRecords
    push_hosts: Sequence[str]

    def pages(self) -> list[Blueprint]:
        """Return every page, in groups."""
        parts, files = self.parts, self.files
        groups = [
            sign_in_pages(self.sessions, parts.database),
            dashboard_pages(parts, files),
            automation_pages(parts, files),
            edit_automation_pages(parts, files),
            test_pages(parts, files),
            execution_pages(parts),
            stop_everything_pages(parts, files),
            send_pages(parts),
            delivery_pages(parts),
            cadence_pages(parts, files, self.records),
            device_pages(parts.database, self.push_hosts),
            script_pages(parts),
            audit_log_pages(parts),
            token_pages(parts.database),
            template_pages(self.templates, files, parts.limits),
        ]
        for pages in groups:
            show_errors_as_pages(pages, PROBLEMS)
        return groups
