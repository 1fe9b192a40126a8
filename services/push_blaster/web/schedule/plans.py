"""Routes that plan the next sends of a saved automation or of a draft."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.schemas import InstantField, OpenSchema
from chassis.service import Routes
from chassis.typed_schemas import about, object_schema, request_schema
from push_blaster.adapters.automations.automation_document import read_automation, read_draft
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.schedule.finding import Finding
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.schedule.plan_automation import Plan, load_context, plan_automation
from push_blaster.web.access.audit import only_reads
from push_blaster.web.frame.common_schemas import up_to


@dataclass(frozen=True, slots=True)
class PlanQuery:
    """Query of a plan."""

    count: int = up_to(100, 5)
    start: datetime | None = about(
        None,
        like=InstantField,
        data_key="from",
        description="slots after this instant; default: now",
    )


class DraftSchema(OpenSchema):
    """An automation that need not be saved, and needs no id."""


SlotSchema = object_schema("Slot", slot=datetime, local=str, begins_at=datetime, remark=str | None)
PlanSchema = object_schema("Plan", slots=(SlotSchema,), findings=list[Finding])


def plan_routes(context: WebContext) -> Routes:
    """Return the routes that plan automations."""
    routes = Routes("plans", __name__, description="What automations would send next")

    def plan(automation: Automation, query: PlanQuery) -> dict[str, object]:
        after = query.start or utc_now()
        return _show_plan(plan_automation(automation, load_context(context), after, query.count))

    @routes.route("/api/automation/recipes/<automation_id>/plan", methods=["GET"])
    @routes.arguments(request_schema(PlanQuery), location="query")
    @routes.response(200, PlanSchema)
    def plan_saved(query: PlanQuery, automation_id: str) -> dict[str, object]:
        """Plan the next sends of an automation, with what stands out about it."""
        return plan(read_automation(context.files.load(automation_id)), query)

    @routes.route("/api/automation/plan", methods=["POST"])
    @only_reads
    @asks_for(Role.VIEWER, simulates=True)
    @routes.arguments(request_schema(PlanQuery), location="query")
    @routes.arguments(DraftSchema)
    @routes.response(200, PlanSchema)
    def plan_draft(query: PlanQuery, draft: dict[str, Any]) -> dict[str, object]:
        """Plan an automation that is not saved; nothing is changed."""
        return plan(read_draft(draft, utc_now()), query)

    return routes


def _show_plan(plan: Plan) -> dict[str, object]:
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
