"""The pages on which an automation is made and changed, with its plan and its looks beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.problems import flatten_messages
from push_blaster.adapters.automation_document import read_automation, read_draft
from push_blaster.adapters.automation_files import AutomationFiles
from push_blaster.adapters.document_files import StaleVersionError
from push_blaster.use_cases.change_automation import Change, create_automation, edit_automation
from push_blaster.use_cases.parts import Parts
from push_blaster.use_cases.plan_automation import Surroundings, plan_automation
from push_blaster.use_cases.stop_execution import cancel_pending
from push_blaster.web.pages.automation_form import BLANK, find, find_differences, read_form
from push_blaster.web.pages.automation_samples import read_samples
from push_blaster.web.pages.frame import page_routes
from push_blaster.web.pages.words import DAYS, LAYERS

SLOTS = 5


@dataclass(frozen=True, slots=True)
class Editor:
    """What the form is shown and saved with."""

    parts: Parts
    files: AutomationFiles

    def show(
        self,
        document: Mapping[str, Any],
        errors: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> ResponseReturnValue:
        """Return the form, with `errors` beside their fields."""
        page = render_template(
            "automation_form.html",
            document=document,
            is_new="version" not in document,
            value=lambda path, default="": find(document, path, default),
            errors=errors or {},
            scripts=self.parts.scripts.list_all(),
            days=DAYS,
            layers=LAYERS,
            **self.preview(document),
        )
        return page, status

    def preview(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the plan and the samples of a draft; nothing for one that does not fit yet."""
        try:
            automation = read_draft(document, utc_now())
        except ValidationError:
            return {"plan": None, "samples": []}
        others = [read_automation(d) for d in self.files.list_all().documents if d["isActive"]]
        around = Surroundings(
            others=others,
            read_rules=self.parts.cadence.read_rules,
            limits=self.parts.limits,
            scripts=self.parts.scripts,
        )
        with self.parts.database.transaction() as connection:
            samples = read_samples(connection, self.parts.data_folder, automation)
        return {"plan": plan_automation(automation, around, utc_now(), SLOTS), "samples": samples}

    def save(self, automation_id: str | None, document: Mapping[str, Any]) -> Change:
        """Write a new automation, or a new version of an old one."""
        if automation_id is None:
            return create_automation(self.files, document, utc_now())
        database = self.parts.database

        def cancel(id_: str, reason: str) -> list[str]:
            return cancel_pending(database, id_, reason, utc_now())

        return edit_automation(self.files, automation_id, document, cancel, utc_now())


def edit_automation_pages(parts: Parts, files: AutomationFiles) -> Blueprint:
    """Return the form's pages."""
    pages = page_routes("edit_automation")
    editor = Editor(parts, files)

    @pages.get("/automations/new")
    @asks_for(Role.ADMIN)
    def new() -> ResponseReturnValue:
        """Show an empty form."""
        return editor.show(BLANK)

    @pages.get("/automations/<automation_id>/edit")
    @asks_for(Role.ADMIN)
    def edit(automation_id: str) -> ResponseReturnValue:
        """Show an automation in the form."""
        return editor.show(files.load(automation_id))

    @pages.post("/automations/preview")
    @asks_for(Role.ADMIN)
    def preview() -> ResponseReturnValue:
        """Return the plan and the looks of what the form holds; nothing is saved."""
        document = read_form(request.form, _old(files, request.form.get("id")))
        return render_template("parts/automation_preview.html", **editor.preview(document))

    @pages.post("/automations/new")
    def create() -> ResponseReturnValue:
        """Save a new automation."""
        return _save(editor, None, BLANK)

    @pages.post("/automations/<automation_id>/edit")
    def save(automation_id: str) -> ResponseReturnValue:
        """Save a new version of an automation."""
        return _save(editor, automation_id, files.load(automation_id))

    return pages


def _old(files: AutomationFiles, automation_id: str | None) -> Mapping[str, Any]:
    return files.load(automation_id) if automation_id else BLANK


def _save(editor: Editor, automation_id: str | None, old: Mapping[str, Any]) -> ResponseReturnValue:
    document = read_form(request.form, old)
    if request.form.get("then") == "schedule":
        document |= {"status": "active", "isActive": True}
    if automation_id is not None:
        document["version"] = request.form.get("version", 0, type=int)
    try:
        change = editor.save(automation_id, document)
    except ValidationError as error:
        return editor.show(document, _beside(error), 400)
    except StaleVersionError:
        return _compare(document, old)
    flash(f"{change.document['name']} is saved.", "success")
    return redirect(url_for("pages_automations.show", automation_id=change.document["id"]), 303)


def _compare(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> ResponseReturnValue:
    """Show what somebody else saved meanwhile beside what was about to be saved over it."""
    found = [d for d in find_differences(mine, theirs) if d[0] not in {"version", "updatedAt"}]
    page = render_template(
        "automation_conflict.html", mine=mine, theirs=theirs, differences=found, form=request.form
    )
    return page, 409


def _beside(error: ValidationError) -> dict[str, str]:
    """Return each complaint under the name of its field in the form."""
    lines = (line.partition(": ") for line in flatten_messages(error.messages))
    return {path.replace("[", ".").replace("]", ""): text for path, _, text in lines}
