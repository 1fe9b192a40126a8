"""The registry of all pages."""

from collections.abc import Sequence
from functools import partial

from flask import Blueprint

from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.template_files import TemplateFiles
from push_blaster.adapters.cadence.cadence_records import CadenceRecords
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.devices.manage_test_devices import TestDevices
from push_blaster.web.access.audit_log_pages import audit_log_pages
from push_blaster.web.access.described_changes import Names, Thing
from push_blaster.web.access.times_pages import times_pages
from push_blaster.web.access.tokens_pages import token_pages
from push_blaster.web.access.unsent_pages import unsent_pages
from push_blaster.web.audiences.scripts_pages import script_pages
from push_blaster.web.automations.automation_fields import describe
from push_blaster.web.automations.automations_pages import automation_pages
from push_blaster.web.automations.bulk_pages import bulk_pages
from push_blaster.web.automations.edit_automation_pages import edit_automation_pages
from push_blaster.web.automations.history.put_away_pages import put_away_pages
from push_blaster.web.automations.history.version_pages import version_pages
from push_blaster.web.automations.start_from_template_pages import template_pages
from push_blaster.web.automations.try_out_pages import test_pages
from push_blaster.web.cadence.cadence_pages import cadence_pages
from push_blaster.web.cadence.rule_form import describe_field
from push_blaster.web.delivery.deliveries_pages import delivery_pages
from push_blaster.web.devices.devices_pages import device_pages
from push_blaster.web.devices.opt_outs_pages import opt_out_pages
from push_blaster.web.devices.test_devices_pages import test_device_pages
from push_blaster.web.engagement.results_pages import result_pages
from push_blaster.web.executions.executions_pages import execution_pages
from push_blaster.web.executions.stop_everything_pages import stop_everything_pages
from push_blaster.web.frame.frame import show_errors_as_pages
from push_blaster.web.one_off.send_later_pages import send_later_pages
from push_blaster.web.one_off.send_pages import send_pages
from push_blaster.web.operations.alerts_pages import alert_pages
from push_blaster.web.operations.api_docs_pages import ReadDocument, api_docs_pages
from push_blaster.web.operations.attention_pages import attention_pages
from push_blaster.web.operations.dashboard_pages import dashboard_pages
from push_blaster.web.operations.search_pages import search_pages
from push_blaster.web.problems import PROBLEMS
from push_blaster.web.schedule.calendar_pages import calendar_pages
from push_blaster.web.users.erasures_pages import erasure_pages
from push_blaster.web.users.users_pages import user_pages


def make_pages(
    context: WebContext,
    access: Sequence[Blueprint],
    *,
    templates: TemplateFiles,
    records: CadenceRecords,
    push_hosts: Sequence[str],
    read_openapi: ReadDocument,
) -> list[Blueprint]:
    """Return every page, in groups; `access` are those about sessions."""
    groups = [
        *access,
        unsent_pages(context.database),
        times_pages(),
        dashboard_pages(context),
        attention_pages(context.database),
        search_pages(context, templates),
        automation_pages(context),
        bulk_pages(context),
        calendar_pages(context),
        edit_automation_pages(context),
        version_pages(context),
        put_away_pages(context),
        test_pages(context),
        execution_pages(context),
        result_pages(context),
        stop_everything_pages(context.database, context.files),
        send_pages(context),
        send_later_pages(context),
        user_pages(context),
        delivery_pages(context.database),
        cadence_pages(context, records),
        device_pages(context.database, push_hosts),
        opt_out_pages(context),
        erasure_pages(context.database),
        test_device_pages(context, TestDevices(context.database, push_hosts)),
        script_pages(context),
        alert_pages(context),
        audit_log_pages(
            context.database, partial(_read_names, context.files, templates), _label_field
        ),
        token_pages(context.database),
        api_docs_pages(read_openapi, records),
        template_pages(templates, context.files, context.limits),
    ]
    for pages in groups:
        show_errors_as_pages(pages, PROBLEMS)
    return groups


def _read_names(automations: AutomationFiles, templates: TemplateFiles) -> Names:
    """Return the names by which the audit log calls automations and templates."""
    folders = {Thing.AUTOMATION: automations, Thing.TEMPLATE: templates}
    return {
        thing: {one["id"]: one["name"] for one in files.list_all().documents}
        for thing, files in folders.items()
    }


def _label_field(document: str, path: str) -> str:
    """Return what the form of a document calls a field."""
    if document == "rules":
        return describe_field(path)
    return describe(path) if document.startswith(Thing.AUTOMATION) else path
