"""The pages on which an automation is created and changed, with its plan and sample messages."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from push_blaster.adapters.automations.automation_document import read_automation, read_draft
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentExistsError,
    DocumentNotFoundError,
    StaleVersionError,
)
from push_blaster.adapters.devices.named_devices import select_named_devices
from push_blaster.domain.audiences.script import Parameter
from push_blaster.domain.cadence.names import LAYERS
from push_blaster.domain.zones import list_places
from push_blaster.use_cases.automations.change_automation import (
    AutomationChange,
    create_automation,
    edit_automation,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.refuse_activation import (
    WillFailError,
    refuse_activation,
)
from push_blaster.web.access.audit import only_reads
from push_blaster.web.automations.automation_draft import (
    Outlook,
    find_faults,
    look_at_draft,
)
from push_blaster.web.automations.automation_edit import (
    AutomationEdit,
    merge_edit,
    read_edit,
)
from push_blaster.web.automations.automation_fields import (
    PARAMETERS,
    describe,
    entry_of,
    find_kept,
    find_rows,
    has_fault,
    path_in_form,
)
from push_blaster.web.automations.automation_form import (
    BLANK,
    find_other_parameters,
    read_form,
    rearrange,
    text_of,
)
from push_blaster.web.automations.script_offer import find_declared, find_offer
from push_blaster.web.automations.ways_to_try import WAYS
from push_blaster.web.frame.conflicts import show_conflict, write_drawn
from push_blaster.web.frame.document_paths import find
from push_blaster.web.frame.drafts import only_shows
from push_blaster.web.frame.frame import name_by_form, page_routes
from push_blaster.web.frame.merging import UNKNOWN
from push_blaster.web.frame.template_filters import DAYS


@dataclass(frozen=True, slots=True)
class Remarks:
    """Complaints by path, and the field to focus.

    Shape: `will_fail` says that the complaints keep an automation off the clock, not a draft;
    `gone` says why the automation of the form cannot be saved any more.
    """

    errors: Mapping[str, str] = field(default_factory=dict)
    will_fail: bool = False
    focus: str = ""
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Editor:
    """Reads, shows and saves the form."""

    context: WebContext

    def declared(self, script_id: str) -> Sequence[Parameter]:
        """Return the parameters that a script declares."""
        return find_declared(self.context.scripts, script_id)

    def find_current(self, automation_id: str | None) -> tuple[Mapping[str, Any], str]:
        """Return the saved document; a blank one if there is none, and why it is gone."""
        try:
            return (self.context.files.load(automation_id) if automation_id else BLANK), ""
        except DocumentNotFoundError:
            return BLANK, "Somebody has deleted this automation while you were editing."
        except BrokenDocumentError as error:
            return BLANK, f"The file of this automation cannot be read any more: {error}"

    def read(self, old: Mapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the document of the form, based on `old`."""
        return read_form(request.form, old, self.declared)

    def find_faults(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return every complaint about a document, by path."""
        return find_faults(document, self.declared)

    def find_fatal(
        self, document: Mapping[str, Any], old: Mapping[str, Any] | None
    ) -> dict[str, str]:
        """Return, by path, why a document that goes on the clock would surely fail."""
        now, before = utc_now(), read_automation(old) if old else None
        try:
            refuse_activation(read_draft(document, now), self.context, now, before)
        except WillFailError as error:
            return {path_in_form(finding.field): finding.message for finding in error.findings}
        return {}

    def look_at(self, document: Mapping[str, Any]) -> Outlook:
        """Return the plan, the sample messages and the faults of the document."""
        return look_at_draft(document, self.context, self.declared)

    def show(
        self, document: Mapping[str, Any], drawn: object, remarks: Remarks | None = None
    ) -> str:
        """Return the form, with complaints beside their fields.

        Shape: `drawn` is the saved document that the form was drawn from first.
        """
        remarks = remarks or Remarks()
        script_id = find(document, "audienceCriteria.customScript.scriptId", "")
        offer = find_offer(self.context, script_id)
        with self.context.database.transaction() as connection:
            test_devices = select_named_devices(connection)
        return render_template(
            "automation_form.html",
            document=document,
            is_new="version" not in document,
            drawn=None if drawn in (UNKNOWN, BLANK) else write_drawn(drawn),
            value=partial(find, document),
            entry_of=entry_of,
            find_rows=find_rows,
            has_fault=has_fault,
            describe=describe,
            text_of=text_of,
            errors=remarks.errors,
            will_fail=remarks.will_fail,
            gone=remarks.gone,
            focus=remarks.focus,
            scripts=self.context.scripts.list_all(),
            offer=offer,
            parameters=PARAMETERS,
            other_parameters=find_other_parameters(document, offer.parameters),
            kept=list(find_kept(document)),
            days=DAYS,
            layers=LAYERS,
            test_devices=test_devices,
            zones=list_places(),
            outlook=self.look_at(document),
            ways=WAYS,
        )

    def save(self, automation_id: str | None, document: Mapping[str, Any]) -> AutomationChange:
        """Write a new automation, or a new version of an old one; StaleVersionError.

        A form of a new automation that is sent twice creates one automation.
        """
        context = self.context
        if automation_id is None:
            named = name_by_form(document)
            try:
                return create_automation(context.files, named, utc_now())
            except DocumentExistsError:
                return AutomationChange(context.files.load(named["id"]))
        return edit_automation(context.files, context.database, automation_id, document, utc_now())


def edit_automation_pages(context: WebContext) -> Blueprint:
    """Return the form's pages."""
    pages = page_routes("edit_automation")
    editor = Editor(context)

    @pages.get("/automations/new")
    @asks_for(Role.ADMIN)
    def new() -> ResponseReturnValue:
        """Show an empty form."""
        return editor.show(BLANK, BLANK)

    @pages.get("/automations/<automation_id>/edit")
    @asks_for(Role.ADMIN)
    def edit(automation_id: str) -> ResponseReturnValue:
        """Show an automation in the form."""
        document = context.files.load(automation_id)
        return editor.show(document, document)

    @pages.post("/automations/preview")
    @only_reads
    @asks_for(Role.ADMIN)
    def preview() -> ResponseReturnValue:
        """Return the plan and the sample messages of the form; nothing is saved."""
        automation_id = request.form.get("id")
        saved, _ = editor.find_current(automation_id)
        outlook = editor.look_at(read_edit(saved, editor.read).mine)
        return render_template("parts/automation_preview.html", outlook=outlook, describe=describe)

    @pages.post("/automations/new")
    def create() -> ResponseReturnValue:
        """Save a new automation, or show the form rearranged."""
        return _take(editor, None)

    @pages.post("/automations/<automation_id>/edit")
    def save(automation_id: str) -> ResponseReturnValue:
        """Save a new version of an automation, or show the form rearranged."""
        return _take(editor, automation_id)

    return pages


def _take(editor: Editor, automation_id: str | None) -> ResponseReturnValue:
    current, gone = editor.find_current(automation_id)
    edit = read_edit(current, editor.read)
    if "change" in request.form:
        return _rearrange(editor, edit, request.form["change"])
    if gone:
        return editor.show(edit.mine, edit.base, Remarks(gone=gone)), 409
    if only_shows():
        return editor.show(edit.mine, edit.base)
    if request.form.get("then") == "schedule":
        edit = replace(edit, mine={**edit.mine, "status": "active", "isActive": True})
    return _refuse(editor, edit) or _save(editor, automation_id, edit)


def _refuse(editor: Editor, edit: AutomationEdit) -> ResponseReturnValue | None:
    """Return the form with its complaints; None if there are none."""
    errors = editor.find_faults(edit.mine)
    fatal = {} if errors else editor.find_fatal(edit.mine, edit.saved)
    if not errors and not fatal:
        return None
    remarks = Remarks({**errors, **fatal}, will_fail=bool(fatal))
    return editor.show(edit.mine, edit.base, remarks), 409 if fatal else 400


def _save(editor: Editor, automation_id: str | None, edit: AutomationEdit) -> ResponseReturnValue:
    if edit.is_stale:
        return _merge(editor, edit)
    try:
        change = editor.save(automation_id, edit.mine)
    except StaleVersionError:  # somebody has saved in this moment
        return _take(editor, automation_id)
    flash(f"{change.document['name']} is saved.", "success")
    return redirect(url_for("pages_automations.show", automation_id=change.document["id"]), 303)


def _merge(editor: Editor, edit: AutomationEdit) -> ResponseReturnValue:
    """Save what the person has changed over the version that somebody else has saved meanwhile."""
    current, merged = edit.current, merge_edit(edit)
    if merged.conflicts:
        return show_conflict(
            merged,
            noun=current["name"],
            version=current["version"],
            current_page=url_for(".edit", automation_id=current["id"]),
            describe=lambda one: describe(one.path),
        )
    if merged.theirs:
        changed = ", ".join(dict.fromkeys(describe(one.path) for one in merged.theirs))
        flash(f"Somebody else saved meanwhile, too. Kept as saved: {changed}.", "warning")
    both = AutomationEdit(current, merged.document, current)
    return _refuse(editor, both) or _save(editor, current["id"], both)


def _rearrange(editor: Editor, edit: AutomationEdit, change: str) -> ResponseReturnValue:
    """Show the form with its pushes and variants rearranged; nothing is saved."""
    try:
        focus = rearrange(edit.mine, change)
    except (KeyError, IndexError, ValueError, TypeError):
        abort(400, f"The form has no button {change!r}.")
    return editor.show(edit.mine, edit.base, Remarks(focus=focus))
