"""The fatigue curve: its route, and how the page of the cadence rules shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from marshmallow import validate

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, request_schema
from push_blaster.domain.engagement.comparison import Comparison
from push_blaster.domain.engagement.fatigue import LEVELS
from push_blaster.domain.engagement.fatigue_curve import FatigueCurve, FatigueLevel
from push_blaster.use_cases.engagement.read_fatigue import read_fatigue
from push_blaster.web.engagement.charts import RatioChart, chart_ratios
from push_blaster.web.engagement.shown_results import draw_interval
from push_blaster.web.frame.common_schemas import refuse_unknown_names

_NUMBERS: Final = ("1st", "2nd", "3rd", "4th", "5th", "6th")

FatigueLevelSchema = answer_schema(FatigueLevel, more=("open_rate", "opt_out_rate"))
FatigueCurveSchema = answer_schema(FatigueCurve, levels=(FatigueLevelSchema,))


@dataclass(frozen=True, slots=True, kw_only=True)
class FatigueQuery:
    """Which pushes the curve is about; without a layer, all of them."""

    layer_id: int | None = about(None, validate=validate.Range(min=1, max=2**15 - 1))


def fatigue_routes(database: Database) -> Routes:
    """Return the route about fatigue."""
    routes = Routes("fatigue", __name__, description="How opening changes with more pushes")

    @routes.route("/api/results/fatigue", methods=["GET"])
    @routes.arguments(request_schema(FatigueQuery), location="query")
    @routes.response(200, FatigueCurveSchema)
    def read(query: FatigueQuery) -> FatigueCurve:
        """Read how opening and opting out change with the pushes of the last 7 days, by layer.

        Openings are compared within users, opt-outs among users with equally many planned pushes.
        The curve is about the pushes of 28 days, to a sample of the users.
        """
        refuse_unknown_names(FatigueQuery)
        return read_fatigue(database, query.layer_id, utc_now())

    return routes


@dataclass(frozen=True, slots=True)
class FatigueChart:
    """The levels whose ratio to level 1 is known, each with its comparison and its interval."""

    what: str
    drawn: Sequence[tuple[int, Comparison]]
    chart: RatioChart


@dataclass(frozen=True, slots=True)
class ShownFatigue:
    """The fatigue curve with its charts: of opening, and of opting out."""

    curve: FatigueCurve

    @property
    def charts(self) -> Sequence[FatigueChart]:
        """The charts, the one of opening first."""
        after = self.curve.levels[1:]
        return [
            _draw("Opened", [(one.level, one.opening) for one in after]),
            _draw("Led to an opt-out", [(one.level, one.opting_out) for one in after]),
        ]

    @staticmethod
    def name(level: int) -> str:
        """Return the number of a push among those of 7 days."""
        return f"{_NUMBERS[level - 1]}{' or later' if level == LEVELS else ''}"


def _draw(what: str, compared: Sequence[tuple[int, Comparison | None]]) -> FatigueChart:
    drawn = [(level, one) for level, one in compared if one and one.low is not None]
    return FatigueChart(what, drawn, chart_ratios([draw_interval(one) for _, one in drawn]))
