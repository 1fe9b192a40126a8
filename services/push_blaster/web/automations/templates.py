"""Routes about templates, and about the automations that are started from them."""

from typing import Any

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.clock import utc_now
from chassis.service import Routes
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.template_files import TemplateFiles
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
    TemplateQuerySchema,
)
from push_blaster.web.automations.versions import check_if_match, tag


def template_routes(templates: TemplateFiles, files: AutomationFiles, limits: Limits) -> Routes:
    """Return the routes about templates."""
    routes = Routes("templates", __name__, description="Templates of automations")
    path, one = "/api/automation/templates", "/api/automation/templates/<template_id>"

    @routes.route(path, methods=["GET"])
    @routes.arguments(TemplateQuerySchema, location="query")
    @routes.response(200, TemplateListSchema)
    def list_all(query: dict[str, Any]) -> ResponseReturnValue:
        """List templates, the system's first; broken files are listed beside them."""
        listing = templates.list_all()
        found = [
            template
            for template in listing.documents
            if query["category"] in {None, template["category"]}
            and (template["isSystemTemplate"] or not query["system_only"])
        ]
        broken = [{"file": b.name, "error": b.error} for b in listing.broken]
        message = f"{len(found)} templates."
        return jsonify(success=True, data=found, message=message, broken=broken)

    @routes.route(path, methods=["POST"])
    @routes.arguments(TemplateBodySchema)
    @routes.alt_response(200, schema=StartAnswerSchema)
    @routes.alt_response(201, schema=StartAnswerSchema)
    def create_or_start(body: dict[str, Any]) -> ResponseReturnValue:
        """Start from the template `templateId`; with `pushTemplates` instead, make a new one."""
        if "pushTemplates" in body:
            return _answer(create_template(templates, body, utc_now()), "created", 201)
        asked = StartByBodySchema().load(body)
        return _start(templates, files, limits, asked["template_id"], asked)

    @routes.route(one, methods=["GET"])
    @routes.alt_response(200, schema=TemplateAnswerSchema)
    def read_one(template_id: str) -> ResponseReturnValue:
        """Read one template; its ETag is its version."""
        template = templates.load(template_id)
        return tag(jsonify(success=True, data=template, message="Found."), template)

    @routes.route(one, methods=["POST"])
    @routes.arguments(StartSchema)
    @routes.alt_response(200, schema=StartAnswerSchema)
    @routes.alt_response(201, schema=StartAnswerSchema)
    def start(body: dict[str, Any], template_id: str) -> ResponseReturnValue:
        """Start from a template: an automation, as a draft; with `preview`, saved nowhere."""
        return _start(templates, files, limits, template_id, body)

    @routes.route(one, methods=["PUT"])
    @routes.arguments(TemplateBodySchema)
    @routes.alt_response(200, schema=TemplateAnswerSchema)
    def edit(body: dict[str, Any], template_id: str) -> ResponseReturnValue:
        """Change a template; send If-Match, or the version in the body, to lose no update."""
        version = check_if_match(templates, template_id)
        sent = body if version is None else {**body, "version": version}
        return _answer(edit_template(templates, template_id, sent, utc_now()), "saved")

    @routes.route(one, methods=["DELETE"])
    @routes.answers()
    def delete(template_id: str) -> ResponseReturnValue:
        """Delete a template; what was started from it stays."""
        templates.delete(template_id, check_if_match(templates, template_id))
        return jsonify(success=True, message="Deleted.")

    @routes.route(f"{path}/from/<automation_id>", methods=["POST"])
    @routes.arguments(SaveAsSchema, required=False)
    @routes.alt_response(201, schema=TemplateAnswerSchema)
    def save_as(body: dict[str, Any], automation_id: str) -> ResponseReturnValue:
        """Save an automation as a template, without its dates."""
        sent = {**generalise(files.load(automation_id)), **body}
        return _answer(create_template(templates, sent, utc_now()), "created", 201)

    return routes


def _start(
    templates: TemplateFiles,
    files: AutomationFiles,
    limits: Limits,
    template_id: str,
    asked: dict[str, Any],
) -> Response:
    template = templates.load(template_id)
    start = Start(template=template, variables=asked["variables"], overrides=asked["overrides"])
    try:
        automation = draft_automation(start, limits, utc_now())
    except BadVariablesError as error:
        raise ValidationError({"variables": dict(error.complaints)}) from error
    if not asked["preview"]:
        files.create(automation)
    origin = {name: template[name] for name in ("id", "name", "category")}
    data = {"automation": automation, "template": origin}
    response = jsonify(success=True, data=data, message=_tell(automation, template, asked))
    response.status_code = 200 if asked["preview"] else 201
    return tag(response, automation)


def _tell(automation: dict[str, Any], template: dict[str, Any], asked: dict[str, Any]) -> str:
    done = "would be made" if asked["preview"] else "is created, as a draft"
    text = f"The automation {automation['id']!r} {done}."
    pairs = zip(automation["pushSequence"], template["pushTemplates"], strict=True)
    if any(wanted["deepLinkTemplate"] and not push["deepLink"] for push, wanted in pairs):
        text += f" Some pushes have no deep link: give {LINK_HOST}, or set PUSH_DEEP_LINK_HOSTS."
    return text


def _answer(template: dict[str, Any], done: str, status: int = 200) -> Response:
    message = f"The template {template['id']!r} is {done}."
    response = jsonify(success=True, data=template, message=message)
    response.status_code = status
    return tag(response, template)
