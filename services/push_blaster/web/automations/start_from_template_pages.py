"""The pages about templates: the list, and the form of a template's variables."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.problems import flatten_messages
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import DocumentExistsError
from push_blaster.adapters.automations.template_files import TemplateFiles
from push_blaster.domain.automations.automation_template import LINK_HOST, BadVariablesError
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.automations.change_template import create_template, generalise
from push_blaster.use_cases.automations.start_from_template import (
    LinkNotAllowedError,
    Start,
    draft_automation,
)
from push_blaster.web.automations.form_fields import read_number
from push_blaster.web.frame.drafts import only_shows
from push_blaster.web.frame.frame import name_by_form, page_routes


def template_pages(templates: TemplateFiles, files: AutomationFiles, limits: Limits) -> Blueprint:
    """Return the pages about templates."""
    pages = page_routes("templates")

    @pages.get("/templates")
    def list_all() -> ResponseReturnValue:
        """Show every template."""
        listing = templates.list_all()
        return render_template("templates.html", templates=listing.documents, broken=listing.broken)

    @pages.get("/templates/<template_id>")
    @asks_for(Role.ADMIN)
    def show(template_id: str) -> ResponseReturnValue:
        """Ask for the variables of a template."""
        template = templates.load(template_id)
        return _show_form(template, {}, {})

    @pages.post("/templates/<template_id>")
    def start(template_id: str) -> ResponseReturnValue:
        """Create a draft from the template, and open it; a form sent twice creates one draft."""
        template = templates.load(template_id)
        if only_shows():
            return _show_form(template, request.form, {})
        given = _read_variables(template)
        name = request.form.get("name", "").strip()
        overrides = name_by_form({"name": name} if name else {})
        asked = Start(template=template, variables=given, overrides=overrides)
        try:
            automation = draft_automation(asked, limits, utc_now())
        except (BadVariablesError, LinkNotAllowedError, ValidationError) as error:
            return _show_form(template, request.form, _find_faults(error)), 400
        with suppress(DocumentExistsError):  # the same form, sent before, has created it
            files.create(automation)
        flash("Draft created. It sends nothing until you schedule it.", "success")
        edit = url_for("pages_edit_automation.edit", automation_id=automation["id"])
        return redirect(edit, 303)

    _add_saving(pages, templates, files)
    return pages


def _add_saving(pages: Blueprint, templates: TemplateFiles, files: AutomationFiles) -> None:
    @pages.get("/automations/<automation_id>/save-as-template")
    @asks_for(Role.ADMIN)
    def ask_to_save(automation_id: str) -> ResponseReturnValue:
        """Ask for the name of the template."""
        return _show_saving(files.load(automation_id), {})

    @pages.post("/automations/<automation_id>/save-as-template")
    def save(automation_id: str) -> ResponseReturnValue:
        """Save an automation as a template; a form sent twice saves one template."""
        automation = files.load(automation_id)
        own = {name: request.form.get(name, "").strip() for name in ("name", "description")}
        named = name_by_form({**generalise(automation), **own})
        try:
            template = create_template(templates, named, utc_now())
        except DocumentExistsError:  # the same form, sent before, has saved it
            template = templates.load(named["id"])
        except ValidationError as error:
            lines = (line.partition(": ") for line in flatten_messages(error.messages))
            return _show_saving(automation, {name: text for name, _, text in lines}), 400
        flash(f"{template['name']} is saved as a template.", "success")
        return redirect(url_for(".show", template_id=template["id"]), 303)


def _show_saving(automation: Mapping[str, Any], errors: Mapping[str, str]) -> str:
    others = [text for name, text in errors.items() if name not in {"name", "description"}]
    return render_template(
        "save_as_template.html", automation=automation, errors=errors, others=others
    )


def _show_form(
    template: Mapping[str, Any], given: Mapping[str, str], errors: Mapping[str, str]
) -> str:
    """Return the form of a template; an error of no field that it shows stands above the form."""
    shown = {"name", *(variable["name"] for variable in template["variables"])}
    others = [text for name, text in errors.items() if name not in shown]
    return render_template(
        "template.html", template=template, given=given, errors=errors, others=others
    )


def _find_faults(error: Exception) -> Mapping[str, str]:
    """Return the complaints of an error, by field."""
    if isinstance(error, BadVariablesError):
        return error.complaints
    if isinstance(error, ValidationError):
        return {"": "; ".join(flatten_messages(error.messages))}
    return {LINK_HOST: str(error)}


def _read_variables(template: Mapping[str, Any]) -> dict[str, object]:
    """Return the given values by name, without empty ones.

    The form has the fields of its variables last: a variable may be named as another field is.
    """
    names = [variable["name"] for variable in template["variables"]]
    typed = {name: (request.form.getlist(name) or [""])[-1].strip() for name in names}
    kinds = {v["name"]: v["type"] for v in template["variables"]}
    return {name: _typed(kinds[name], text) for name, text in typed.items() if text}


def _typed(kind: str, text: str) -> object:
    """Return a text as its variable's type; a text that does not fit is refused later, by name."""
    reads: Mapping[str, Callable[[str], object]] = {
        "array": lambda given: [part.strip() for part in given.split(",") if part.strip()],
        "boolean": lambda given: {"yes": True, "no": False}.get(given, given),
        "number": read_number,
    }
    return reads[kind](text) if kind in reads else text
