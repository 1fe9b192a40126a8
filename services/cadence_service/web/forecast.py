"""Routes that forecast the reach of an audience, and simulate other rules over history."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from marshmallow import RAISE, ValidationError, fields, validate

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
from cadence_service.adapters.report_queue import ReportQueue
from cadence_service.domain.cadence import Send
from cadence_service.domain.user_ids import read_texts
from cadence_service.use_cases.forecast_pushes import PushForecast, forecast_pushes
from cadence_service.use_cases.forecast_reach import Forecast, forecast_reach
from cadence_service.use_cases.simulate_rules import Simulation, Span, simulate_rules
from cadence_service.web.audience import check_size
from cadence_service.web.rule_shapes import read_rule
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import CamelSchema, JsonNumber
from chassis.service import Routes

#: What is replayed if nothing else is asked for.
USUAL_SPAN: Final = timedelta(days=28)


class ForecastBodySchema(CamelSchema):
    """Body of POST /forecast."""

    user_ids = UserIdsField(min_count=1, required=True)
    layer_id = LayerField(required=True)
    start = InstantField(load_default=None, data_key="from")
    hours = fields.Integer(
        strict=True, load_default=168, validate=validate.Range(min=0, max=24 * 31)
    )


class ReachPointSchema(CamelSchema):
    """How many may be reached at an instant."""

    at = InstantField()
    eligible = fields.Integer()
    capped = fields.Dict(
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

    class Meta:
        unknown = RAISE

    start = InstantField(load_default=None, data_key="from")
    end = InstantField(load_default=None, data_key="until")
    share = JsonNumber(
        load_default=1.0,
        data_key="shareOfUsers",
        validate=validate.Range(min=0, max=1, min_inclusive=False),
        metadata={"description": "Replays only this part of the users; counts are theirs."},
    )


class OutcomeSchema(CamelSchema):
    """Sends that would have gone out, and sends that would have been capped."""

    allowed = fields.Integer()
    capped = fields.Integer(data_key="heldBack")


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
    reports = ReportQueue(database)

    @routes.route("/forecast", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ForecastBodySchema, as_kwargs=True)
    @routes.response(200, ForecastSchema)
    def forecast(
        user_ids: list[str], layer_id: int, start: datetime | None, hours: int
    ) -> Forecast:
        """Forecast how many of an audience may be reached, now and hour by hour."""
        asked = read_texts(user_ids)
        check_size(asked)
        with reports.turn() as connection:
            return forecast_reach(connection, asked, layer_id, start or utc_now(), hours)

    @routes.route(FORECAST_PUSHES_PATH, methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(ForecastPushesSchema, as_kwargs=True)
    @routes.response(200, PushForecastsSchema)
    def forecast_sequence(user_ids: list[str], pushes: list[Any]) -> dict[str, list[_PushShape]]:
        """Forecast how many each push of a sequence reaches; a push counts those before it."""
        asked = read_texts(user_ids)
        check_size(asked)
        sends = [Send(push["layer_id"], push["scheduled_for"]) for push in pushes]
        with database.transaction() as connection:
            found = forecast_pushes(connection, asked.users, sends)
        return {"pushes": [_shape_push(push, len(asked.invalid)) for push in found]}

    @routes.route("/simulate", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(SimulationBodySchema, as_kwargs=True)
    @routes.response(200, SimulationSchema)
    def simulate(
        rules: list[Any], start: datetime | None, end: datetime | None, share: float
    ) -> _SimulationShape:
        """Replay recorded history under other rules; nothing is changed."""
        end = end or utc_now()
        span = Span(start=start or end - USUAL_SPAN, end=end, share=share)
        if span.start >= span.end:
            raise ValidationError({"from": ["Has to be before `until`."]})
        with reports.turn() as connection:
            return _SimulationShape(span, simulate_rules(connection, map(read_rule, rules), span))

    return routes


@dataclass(frozen=True, slots=True)
class _PushShape:
    """What PushForecastSchema shows."""

    eligible: int
    exclusion_breakdown: dict[str, int]
    fail_open_reason: str | None

    @property
    def excluded_count(self) -> int:
        return sum(self.exclusion_breakdown.values())

    @property
    def failed_open(self) -> bool:
        return self.fail_open_reason is not None


def _shape_push(push: PushForecast, invalid: int) -> _PushShape:
    return _PushShape(push.eligible, {**push.capped, INVALID_UUID: invalid}, push.fault)


@dataclass(slots=True)
class _Outcome:
    """What OutcomeSchema shows."""

    allowed: int = 0
    capped: int = 0


class _SimulationShape:
    """What SimulationSchema shows: the outcomes, added up in three ways."""

    def __init__(self, span: Span, simulation: Simulation) -> None:
        self.start, self.end = span.start, span.end
        self.users, self.users_affected = simulation.users, simulation.users_affected
        self.total = _Outcome()
        self.by_layer: defaultdict[str, _Outcome] = defaultdict(_Outcome)
        self.by_day: defaultdict[str, _Outcome] = defaultdict(_Outcome)
        self.by_rule: Counter[str] = Counter()
        for (layer_id, day, rule), sends in sorted(simulation.outcomes.items(), key=str):
            for outcome in (self.total, self.by_layer[str(layer_id)], self.by_day[f"{day}"]):
                outcome.allowed += sends if rule is None else 0
                outcome.capped += 0 if rule is None else sends
            if rule is not None:
                self.by_rule[rule] += sends
