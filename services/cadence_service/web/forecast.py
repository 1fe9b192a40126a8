"""Routes that forecast the reach of an audience, and simulate other rules over history."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
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
from cadence_service.domain.cadence import Send, read_rule
from cadence_service.domain.user_ids import read_texts
from cadence_service.use_cases.forecast_pushes import PushForecast, forecast_pushes
from cadence_service.use_cases.forecast_reach import Forecast, forecast_reach
from cadence_service.use_cases.simulate_rules import Simulation, Span, simulate_rules
from cadence_service.web.audience import check_size
from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.schemas import JsonNumber
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema

#: What is replayed if nothing else is asked for.
USUAL_SPAN: Final = timedelta(days=28)
USER_IDS: Final[Any] = about(like=partial(UserIdsField, min_count=1))


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


@dataclass(slots=True)
class SimulatedSends:
    """Sends that would have gone out, and sends that would have been capped."""

    allowed: int = 0
    capped: int = about(0, data_key="heldBack")


OutcomeSchema = answer_schema(SimulatedSends, "Outcome")
OutcomesField = partial(fields.Dict, keys=fields.String(), values=fields.Nested(OutcomeSchema))


@dataclass(slots=True, kw_only=True)
class SimulationAnswer:
    """The effect of other rules on recorded history, added up in three ways."""

    start: datetime = about(data_key="from")
    end: datetime = about(data_key="until")
    users: int
    users_affected: int
    total: SimulatedSends = field(default_factory=SimulatedSends)
    by_layer: dict[str, SimulatedSends] = field(default_factory=lambda: defaultdict(SimulatedSends))
    by_day: dict[str, SimulatedSends] = field(default_factory=lambda: defaultdict(SimulatedSends))
    by_rule: dict[str, int] = field(default_factory=Counter)


SimulationSchema = answer_schema(
    SimulationAnswer,
    "Simulation",
    total=OutcomeSchema,
    by_layer=OutcomesField(),
    by_day=OutcomesField(),
)


def forecast_routes(database: BulkDatabase) -> Routes:
    """Return the routes that forecast and simulate."""
    routes = Routes("forecast", __name__, description="Forecasts and simulations")
    reports = ReportQueue(database)

    @routes.route("/forecast", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.body("ForecastBody")
    @routes.response(200, answer_schema(Forecast))
    def forecast(
        *,
        user_ids: list[str] = USER_IDS,
        layer_id: int = about(like=LayerField),
        start: datetime | None = about(None, like=InstantField, data_key="from"),
        hours: int = about(168, strict=True, validate=validate.Range(min=0, max=24 * 31)),
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
    def forecast_sequence(user_ids: list[str], pushes: list[Any]) -> dict[str, object]:
        """Forecast how many each push of a sequence reaches; a push counts those before it."""
        asked = read_texts(user_ids)
        check_size(asked)
        sends = [Send(push["layer_id"], push["scheduled_for"]) for push in pushes]
        with database.transaction() as connection:
            found = forecast_pushes(connection, asked.users, sends)
        return {"pushes": [_show_push(push, len(asked.invalid)) for push in found]}

    @routes.route("/simulate", methods=["POST"])
    @asks_for(Role.OPERATOR)
    @routes.arguments(SimulationBodySchema, as_kwargs=True)
    @routes.response(200, SimulationSchema)
    def simulate(
        rules: list[Any], start: datetime | None, end: datetime | None, share: float
    ) -> SimulationAnswer:
        """Replay recorded history under other rules; nothing is changed."""
        end = end or utc_now()
        span = Span(start=start or end - USUAL_SPAN, end=end, share=share)
        if span.start >= span.end:
            raise ValidationError({"from": ["Has to be before `until`."]})
        with reports.turn() as connection:
            replayed = [read_rule(**rule) for rule in rules]
            return _add_up(span, simulate_rules(connection, replayed, span))

    return routes


def _show_push(push: PushForecast, invalid: int) -> dict[str, object]:
    breakdown = {**push.capped, INVALID_UUID: invalid}
    return {
        "eligible": push.eligible,
        "excluded_count": sum(breakdown.values()),
        "exclusion_breakdown": breakdown,
        "failed_open": push.fault is not None,
        "fail_open_reason": push.fault,
    }


def _add_up(span: Span, simulation: Simulation) -> SimulationAnswer:
    found = SimulationAnswer(
        start=span.start,
        end=span.end,
        users=simulation.users,
        users_affected=simulation.users_affected,
    )
    for (layer_id, day, rule), sends in sorted(simulation.outcomes.items(), key=str):
        for outcome in (found.total, found.by_layer[str(layer_id)], found.by_day[f"{day}"]):
            outcome.allowed += sends if rule is None else 0
            outcome.capped += 0 if rule is None else sends
        if rule is not None:
            found.by_rule[rule] += sends
    return found
