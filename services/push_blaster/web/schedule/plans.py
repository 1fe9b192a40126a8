"""Routes that plan the next sends of a saved automation or of a draft."""

from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import INCLUDE, fields, validate

from chassis.bearer_auth import Role, asks_for, simulates
from chassis.clock import utc_now
from chassis.schemas import CamelSchema
from chassis.service import Routes
from push_blaster.adapters.automations.automation_document import read_automation, read_draft
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.plan import FindingKind
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_automation import Plan, load_context, plan_automation
from push_blaster.web.access.audit import only_reads
from push_blaster.web.frame.instants import InstantField


class PlanQuerySchema(CamelSchema):
    """Query of a plan."""

    count = fields.Integer(load_default=5, validate=validate.Range(min=1, max=100))
    start = InstantField(
        load_default=None,
        data_key="from",
        metadata={"description": "slots after this instant; default: now"},
    )


class DraftSchema(CamelSchema):
    """An automation that need not be saved, and needs no id."""

    class Meta:
        unknown = INCLUDE


class SlotSchema(CamelSchema):
    """One planned live send."""

    slot = fields.AwareDateTime()
    local = fields.String()
    begins_at = fields.AwareDateTime()
    remark = fields.String(allow_none=True)


class FindingSchema(CamelSchema):
    """A finding that people should know before the automation sends."""

    kind = fields.Enum(FindingKind, by_value=True)
    message = fields.String()


class PlanSchema(CamelSchema):
    """The next planned live sends of an automation, even if it is not active."""

    slots = fields.List(fields.Nested(SlotSchema))
    findings = fields.List(fields.Nested(FindingSchema))


def plan_routes(context: WebContext) -> Routes:
    """Return the routes that plan automations."""
    routes = Routes("plans", __name__, description="What automations would send next")

    def plan(automation: Automation, query: dict[str, Any]) -> dict[str, Any]:
        after = query["start"] or utc_now()
        return _show_plan(plan_automation(automation, load_context(context), after, query["count"]))

    @routes.route("/api/automation/recipes/<automation_id>/plan", methods=["GET"])
    @routes.arguments(PlanQuerySchema, location="query")
    @routes.response(200, PlanSchema)
    def plan_saved(query: dict[str, Any], automation_id: str) -> dict[str, Any]:
        """Plan the next sends of an automation, with what stands out about it."""
        return plan(read_automation(context.files.load(automation_id)), query)

    @routes.route("/api/automation/plan", methods=["POST"])
    @only_reads
    @simulates
    @asks_for(Role.VIEWER)
    @routes.arguments(PlanQuerySchema, location="query")
    @routes.arguments(DraftSchema)
    @routes.response(200, PlanSchema)
    def plan_draft(query: dict[str, Any], draft: dict[str, Any]) -> dict[str, Any]:
        """Plan an automation that is not saved; nothing is changed."""
        return plan(read_draft(draft, utc_now()), query)

    return routes


def _show_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan in the shape of PlanSchema."""
    schedule = plan.automation.schedule
    zone = ZoneInfo(schedule.timezone)
    return {
        "slots": [
            {
                "slot": slot.at,
                "local": slot.at.astimezone(zone).isoformat(),
                "begins_at": slot.at - schedule.lead_time,
                "remark": slot.remark,
            }
            for slot in plan.slots
        ],
        "findings": plan.findings,
    }
