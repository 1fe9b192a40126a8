"""Routes about templates, and about the automations that are started from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, validate

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.template_files import TemplateFiles
from push_blaster.adapters.automations.template_schema import CATEGORIES
from push_blaster.domain.automations.automation_template import LINK_HOST, BadVariablesError
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.automations.change_template import (
    create_template,
    edit_template,
    generalise,
)
from push_blaster.use_cases.automations.start_from_template import Start, draft_automation
from push_blaster.web.automations.template_schemas import (
    SaveAsSchema,
    StartAnswerSchema,
    StartByBodySchema,
    StartSchema,
    TemplateAnswerSchema,
    TemplateBodySchema,
    TemplateListSchema,
)
from push_blaster.web.automations.versions import check_if_match, tag
from push_blaster.web.frame.repeatable import find_made_before, name_by_key, repeatable

_PATH: Final = "/api/automation/templates"
_ONE: Final = f"{_PATH}/<template_id>"


@dataclass(frozen=True, slots=True)
class _Starter:
    """Starts automations from templates."""

    templates: TemplateFiles
    files: AutomationFiles
    limits: Limits

    def start(
        self,
        template_id: str,
        variables: Mapping[str, object],
        overrides: Mapping[str, Any],
        *,
        preview: bool,
        key: str | None,
    ) -> Response:
        """Create the automation, and write it unless this is only a preview."""
        template = self.templates.load(template_id)
        named = name_by_key(overrides, key)
        automation = find_made_before(self.files, overrides, named)
        if automation is None:
            automation = self._draft(Start(template=template, variables=variables, overrides=named))
            if not preview:
                self.files.create(automation)
        origin = {name: template[name] for name in ("id", "name", "category")}
        response = jsonify(
            success=True,
            data={"automation": automation, "template": origin},
            message=_describe_start(automation, template, preview=preview),
        )
        response.status_code = 200 if preview else 201
        return tag(response, automation)

    def create(self, body: Mapping[str, Any], key: str | None) -> Response:
        """Create a template."""
        named = name_by_key(body, key)
        made = find_made_before(self.templates, body, named)
        made = made or create_template(self.templates, named, utc_now())
        return _answer_template(made, "created", 201)

    def _draft(self, start: Start) -> Mapping[str, Any]:
        try:
            return draft_automation(start, self.limits, utc_now())
        except BadVariablesError as error:
            raise ValidationError({"variables": dict(error.complaints)}) from error


def template_routes(
    templates: TemplateFiles, files: AutomationFiles, limits: Limits, database: Database
) -> Routes:
    """Return the routes about templates; `database` has the keys of repeated requests."""
    routes = Routes("templates", __name__, description="Templates of automations")
    starter = _Starter(templates, files, limits)
    _add_reads(routes, templates)
    _add_starts(routes, starter, database)
    _add_changes(routes, templates)
    _add_saving(routes, starter, database)
    return routes


def _add_reads(routes: Routes, templates: TemplateFiles) -> None:
    @routes.route(_PATH, methods=["GET"])
    @routes.query
    @routes.response(200, TemplateListSchema)
    def list_all(
        *,
        category: str | None = about(None, validate=validate.OneOf(CATEGORIES)),
        system_only: bool = False,
    ) -> ResponseReturnValue:
        """List templates, the system's first; broken files are listed beside them."""
        listing = templates.list_all()
        found = [
            template
            for template in listing.documents
            if category in {None, template["category"]}
            and (template["isSystemTemplate"] or not system_only)
        ]
        broken = [{"file": b.name, "error": b.error} for b in listing.broken]
        message = f"{len(found)} templates."
        return jsonify(success=True, data=found, message=message, broken=broken)

    @routes.route(_ONE, methods=["GET"])
    @routes.alt_response(200, schema=TemplateAnswerSchema)
    def read_one(template_id: str) -> ResponseReturnValue:
        """Read one template; its ETag is its version."""
        template = templates.load(template_id)
        return tag(jsonify(success=True, data=template, message="Found."), template)


def _add_starts(routes: Routes, starter: _Starter, database: Database) -> None:
    @routes.route(_PATH, methods=["POST"])
    @routes.arguments(TemplateBodySchema)
    @repeatable(routes, database)
    @routes.alt_response(200, schema=StartAnswerSchema)
    @routes.alt_response(201, schema=StartAnswerSchema)
    def create_or_start(
        body: Mapping[str, Any], idempotency_key: str | None
    ) -> ResponseReturnValue:
        """Start from the template `templateId`; with `pushTemplates` instead, create a template."""
        if "pushTemplates" in body:
            return starter.create(body, idempotency_key)
        return starter.start(**StartByBodySchema().load(body), key=idempotency_key)

    @routes.route(_ONE, methods=["POST"])
    @routes.arguments(StartSchema, as_kwargs=True)
    @repeatable(routes, database)
    @routes.alt_response(200, schema=StartAnswerSchema)
    @routes.alt_response(201, schema=StartAnswerSchema)
    def start(template_id: str, idempotency_key: str | None, **asked: Any) -> ResponseReturnValue:
        """Start a draft automation from a template; with `preview` it is not saved."""
        return starter.start(template_id, **asked, key=idempotency_key)


def _add_saving(routes: Routes, starter: _Starter, database: Database) -> None:
    @routes.route(f"{_PATH}/from/<automation_id>", methods=["POST"])
    @routes.arguments(SaveAsSchema, required=False, as_kwargs=True)
    @repeatable(routes, database)
    @routes.alt_response(201, schema=TemplateAnswerSchema)
    def save_as(automation_id: str, idempotency_key: str | None, **own: str) -> ResponseReturnValue:
        """Save an automation as a template, without its dates."""
        sent = {**generalise(starter.files.load(automation_id)), **own}
        return starter.create(sent, idempotency_key)


def _add_changes(routes: Routes, templates: TemplateFiles) -> None:
    @routes.route(_ONE, methods=["PUT"])
    @routes.arguments(TemplateBodySchema)
    @routes.alt_response(200, schema=TemplateAnswerSchema)
    def edit(body: Mapping[str, Any], template_id: str) -> ResponseReturnValue:
        """Change a template; with If-Match, or the version in the body, no update is lost."""
        version = check_if_match(templates, template_id)
        sent = body if version is None else {**body, "version": version}
        return _answer_template(edit_template(templates, template_id, sent, utc_now()), "saved")

    @routes.route(_ONE, methods=["DELETE"])
    def delete(template_id: str) -> ResponseReturnValue:
        """Delete a template; automations that were started from it stay."""
        templates.delete(template_id, check_if_match(templates, template_id))
        return jsonify(success=True, message="Deleted.")


def _describe_start(
    automation: Mapping[str, Any], template: Mapping[str, Any], *, preview: bool
) -> str:
    done = "would be created" if preview else "is created, as a draft"
    text = f"The automation {automation['id']!r} {done}."
    pairs = zip(automation["pushSequence"], template["pushTemplates"], strict=True)
    if any(wanted["deepLinkTemplate"] and not push["deepLink"] for push, wanted in pairs):
        text += f" Some pushes have no deep link: give {LINK_HOST}, or allow its host "
        text += "(PUSH_DEEP_LINK_HOSTS)."
    return text


def _answer_template(template: Mapping[str, Any], done: str, status: int = 200) -> Response:
    message = f"The template {template['id']!r} is {done}."
    response = jsonify(success=True, data=template, message=message)
    response.status_code = status
    return tag(response, template)
