"""Routes that look ahead and back: the reach of an audience, and other rules over history."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from cadence_contract import (
    FORECAST_PUSHES_PATH,
    INVALID_UUID,
    ForecastPushesSchema,
    InstantField,
    LayerField,
    PushForecastsSchema,
    RulesSchema,
    UserIdsField,
)
from cadence_service.domain.cadence import Send
from cadence_service.domain.user_ids import read_texts
from cadence_service.use_cases.forecast_pushes import PushForecast, forecast_pushes
from cadence_service.use_cases.forecast_reach import forecast_reach
from cadence_service.use_cases.simulate_rules import Simulation, Span, simulate_rules
from cadence_service.web.audience import check_size
from cadence_service.web.rule_shapes import read_rule
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import CamelSchema, StrictSchema
from chassis.service import Routes

#: What is replayed if nothing else is asked for.
USUAL_SPAN: Final = timedelta(days=28)


class ForecastBodySchema(StrictSchema):
    """Body of POST /forecast."""

    user_ids = UserIdsField(fewest=1, required=True)
    layer_id = LayerField(required=True)
    start = InstantField(load_default=None, data_key="from")
    hours = fields.Integer(
        strict=True, load_default=168, validate=validate.Range(min=0, max=24 * 31)
    )


class ReachPointSchema(CamelSchema):
    """How many may be reached at an instant."""

    at = InstantField()
    eligible = fields.Integer()
    held_back = fields.Dict(
        keys=fields.String(), values=fields.Integer(), data_key="exclusionBreakdown"
    )


class ForecastSchema(CamelSchema):
    """The reach curve of an audience, if nothing more is sent meanwhile."""

    asked = fields.Integer(data_key="askedCount")
    invalid = fields.Integer(data_key="invalidUuid")
    fault = fields.String(data_key="failOpenReason", allow_none=True)
    points = fields.List(fields.Nested(ReachPointSchema), data_key="reach")


class SimulationBodySchema(RulesSchema):
    """Body of POST /simulate."""

    class Meta(StrictSchema.Meta):
        pass

    start = InstantField(load_default=None, data_key="from")
    end = InstantField(load_default=None, data_key="until")
    share = fields.Float(
        load_default=1.0,
        data_key="shareOfUsers",
        validate=validate.Range(min=0, max=1, min_inclusive=False),
        metadata={"description": "Replays only this part of the users; counts are theirs."},
    )


class OutcomeSchema(CamelSchema):
    """Sends that would have gone out, and that would have been held back."""

    allowed = fields.Integer()
    held_back = fields.Integer()


class SimulationSchema(CamelSchema):
    """What other rules would have done with recorded history."""

    start = InstantField(data_key="from")
    end = InstantField(data_key="until")
    total = fields.Nested(OutcomeSchema)
    by_layer = fields.Dict(keys=fields.String(), values=fields.Nested(OutcomeSchema))
    by_day = fields.Dict(keys=fields.String(), values=fields.Nested(OutcomeSchema))
    by_rule = fields.Dict(keys=fields.String(), values=fields.Integer())
    users = fields.Integer()
    users_affected = fields.Integer()


def forecast_routes(database: BulkDatabase) -> Routes:
    """Return the routes that forecast and simulate."""
    routes = Routes("forecast", __name__, description="Forecasts and simulations")

    @routes.route("/forecast", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ForecastBodySchema)
    @routes.response(200, ForecastSchema)
    def forecast(body: dict[str, Any]) -> Any:
        """Tell how many of an audience may be reached, now and hour by hour."""
        asked = read_texts(body["user_ids"])
        check_size(asked)
        start = body["start"] or utc_now()
        with database.transaction() as connection:
            return forecast_reach(connection, asked, body["layer_id"], start, body["hours"])

    @routes.route(FORECAST_PUSHES_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ForecastPushesSchema)
    @routes.response(200, PushForecastsSchema)
    def forecast_sequence(body: dict[str, Any]) -> dict[str, Any]:
        """Tell how many each push of a sequence would reach; a push counts those before it."""
        asked = read_texts(body["user_ids"])
        check_size(asked)
        pushes = [Send(push["layer_id"], push["scheduled_for"]) for push in body["pushes"]]
        with database.transaction() as connection:
            found = forecast_pushes(connection, asked.users, pushes)
        return {"pushes": [_show_push(push, len(asked.invalid)) for push in found]}

    @routes.route("/simulate", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(SimulationBodySchema)
    @routes.response(200, SimulationSchema)
    def simulate(body: dict[str, Any]) -> dict[str, Any]:
        """Replay recorded history under other rules; nothing is changed."""
        span = _span(body)
        rules = [read_rule(sent) for sent in body["rules"]]
        with database.transaction() as connection:
            return _show(span, simulate_rules(connection, rules, span))

    return routes


def _show_push(push: PushForecast, invalid: int) -> dict[str, Any]:
    breakdown = {**push.held_back, INVALID_UUID: invalid}
    return {
        "eligible": push.eligible,
        "excluded_count": sum(breakdown.values()),
        "exclusion_breakdown": breakdown,
        "failed_open": push.fault is not None,
        "fail_open_reason": push.fault,
    }


def _span(body: dict[str, Any]) -> Span:
    end: datetime = body["end"] or utc_now()
    start: datetime = body["start"] or end - USUAL_SPAN
    if start >= end:
        raise ValidationError({"from": ["Has to be before `until`."]})
    return Span(start=start, end=end, share=body["share"])


def _show(span: Span, simulation: Simulation) -> dict[str, Any]:
    total = {"allowed": 0, "held_back": 0}
    by_layer: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(total, 0))
    by_day: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(total, 0))
    by_rule: defaultdict[str, int] = defaultdict(int)
    for (layer_id, day, rule), sends in sorted(simulation.outcomes.items(), key=str):
        verdict = "allowed" if rule is None else "held_back"
        for counts in (total, by_layer[str(layer_id)], by_day[day.isoformat()]):
            counts[verdict] += sends
        if rule is not None:
            by_rule[rule] += sends
    return {
        "start": span.start,
        "end": span.end,
        "total": total,
        "by_layer": by_layer,
        "by_day": by_day,
        "by_rule": by_rule,
        "users": simulation.users,
        "users_affected": simulation.users_affected,
    }
