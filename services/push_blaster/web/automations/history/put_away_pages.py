"""The pages that duplicate, archive and delete automations, and undo it."""

from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.automations.document_files import (
    DocumentExistsError,
    DocumentNotFoundError,
)
from push_blaster.adapters.automations.version_table import select_last_removal, select_removed
from push_blaster.domain.automations.version import Version
from push_blaster.use_cases.automations.change_automation import delete_automation
from push_blaster.use_cases.automations.put_away import (
    archive,
    duplicate_automation,
    duplicate_document,
    unarchive,
    undo_delete,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.web.automations.history.version_pages import KINDS
from push_blaster.web.automations.recipes import judge_activation
from push_blaster.web.frame.frame import flash_with_undo, name_by_form, page_routes

#: How many deleted automations the page lists.
MAX_LISTED: Final = 200


def put_away_pages(context: WebContext) -> Blueprint:
    """Return these pages."""
    pages = page_routes("put_away")
    _add_duplicate(pages, context)
    _add_archive(pages, context)
    _add_deletion(pages, context)
    return pages


def _add_duplicate(pages: Blueprint, context: WebContext) -> None:
    @pages.post("/automations/<automation_id>/duplicate")
    def duplicate(automation_id: str) -> ResponseReturnValue:
        """Create a draft like the automation, and open it; a form sent twice creates one draft."""
        original = context.files.load(automation_id)
        draft = name_by_form(duplicate_document(original, None))
        try:
            copy = duplicate_automation(context.files, original, draft, utc_now()).document
        except DocumentExistsError:  # the same form, sent before, has created it
            copy = context.files.load(draft["id"])
        flash(
            f"This is {copy['name']}, a draft. It sends nothing until you schedule it.", "success"
        )
        edit = url_for("pages_edit_automation.edit", automation_id=copy["id"])
        return redirect(edit, 303)


def _add_archive(pages: Blueprint, context: WebContext) -> None:
    @pages.get("/automations/<automation_id>/<any(archive,delete):action>")
    @asks_for(Role.ADMIN)
    def confirm(automation_id: str, action: str) -> ResponseReturnValue:
        """Ask for confirmation."""
        automation = read_automation(context.files.load(automation_id))
        return render_template("automation_put_away.html", automation=automation, action=action)

    @pages.post("/automations/<automation_id>/archive")
    def put_into(automation_id: str) -> ResponseReturnValue:
        """Archive the automation."""
        was_on = read_automation(context.files.load(automation_id)).is_scheduled
        change = archive(context.files, context.database, automation_id, None, utc_now())
        undo = url_for(".take_out", automation_id=automation_id)
        text = _describe(f"{change.document['name']} is archived.", change.cancelled)
        flash_with_undo(text, undo, {"resume": "yes"} if was_on else {})
        return redirect(url_for("pages_automations.list_all"), 303)

    @pages.post("/automations/<automation_id>/unarchive")
    def take_out(automation_id: str) -> ResponseReturnValue:
        """Take the automation out of the archive; the undo of an archiving also resumes it."""
        files, database = context.files, context.database
        judge = judge_activation(context) if "resume" in request.form else None
        change = unarchive(files, database, automation_id, None, judge, utc_now())
        flash(f"{change.document['name']} is out of the archive.", "success")
        return redirect(url_for("pages_automations.show", automation_id=automation_id), 303)


def _add_deletion(pages: Blueprint, context: WebContext) -> None:
    @pages.get("/deleted-automations")
    def list_deleted() -> ResponseReturnValue:
        """List the deleted automations that can be brought back."""
        with context.database.transaction() as connection:
            found = select_removed(connection, MAX_LISTED)
        return render_template(
            "deleted_automations.html",
            deleted=found,
            kinds=KINDS,
            kept_for=context.versions_kept_for,
            most=MAX_LISTED,
        )

    @pages.post("/automations/<automation_id>/delete")
    def delete(automation_id: str) -> ResponseReturnValue:
        """Delete the automation; it can be brought back. A form sent twice deletes it once."""
        files, database = context.files, context.database
        try:
            name = files.load(automation_id)["name"]
            cancelled = delete_automation(files, database, automation_id, None, utc_now())
        except DocumentNotFoundError:
            name, cancelled = _find_deleted(database, automation_id).document["name"], ()
        undo = url_for(".bring_back", automation_id=automation_id)
        flash_with_undo(_describe(f"{name} is deleted.", cancelled), undo)
        return redirect(url_for("pages_automations.list_all"), 303)

    @pages.post("/automations/<automation_id>/undo-delete")
    def bring_back(automation_id: str) -> ResponseReturnValue:
        """Undo the deletion of the automation."""
        document = undo_delete(context.files, context.database, automation_id, utc_now())
        flash(f"{document['name']} is back, {_describe_state(document['status'])}.", "success")
        return redirect(url_for("pages_automations.show", automation_id=automation_id), 303)


def _find_deleted(database: Database, automation_id: str) -> Version:
    with database.transaction() as connection:
        removed = select_last_removal(connection, automation_id)
    if removed is None:
        raise DocumentNotFoundError(f"There is no automation {automation_id!r}.")
    return removed


def _describe(text: str, cancelled: tuple[str, ...]) -> str:
    return f"{text} Cancelled: {', '.join(cancelled)}." if cancelled else text


def _describe_state(status: str) -> str:
    return "as it was" if status != "paused" else "paused"
