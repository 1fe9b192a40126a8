"""Routes about results: what pushes did."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from flask import Response
from marshmallow import ValidationError, fields, validate

from chassis.clock import utc_now
from chassis.http.request_classes import RequestClass, of_class
from chassis.names import camel_case
from chassis.postgres import Database
from chassis.service import Routes
from chassis.typed_schemas import about, answer_schema, object_schema, request_schema
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import DocumentNotFoundError
from push_blaster.adapters.csv_cells import write_csv
from push_blaster.adapters.engagement.result_table import ResultFilter, select_known
from push_blaster.domain.engagement.results import (
    COUNT_NAMES,
    AutomationResults,
    Counts,
    Grouping,
    PushResults,
    Result,
)
from push_blaster.use_cases.engagement.read_results import (
    ResultQuery,
    find_zone,
    read_automation_results,
    read_every_result,
    read_results,
)
from push_blaster.web.frame.common_schemas import refuse_unknown_names, say_unknown, up_to
from push_blaster.web.frame.csv_answers import answer_csv
from push_blaster.web.frame.list_filters import PeriodQuery

#: How far back results go if nothing else is asked.
USUAL: Final = timedelta(days=30)
#: How many results an export reads at once.
PAGE: Final = 1_000
#: How much of a CSV is kept in memory, and how much of it is sent at once, in characters.
IN_MEMORY: Final = 1_000_000
PIECE: Final = 64_000
_PATH: Final = "/api/results"
_UPLIFT: Final = ("ratio", "low", "high", "sentence")
_RATES: Final = (
    *("delivery_rate", "open_rate", "opt_out_rate"),
    *("conversion_rate", "holdout_conversion_rate"),
)
NOTE: Final = (
    "A conversion counts for each automation whose goal it reaches, so the conversions of "
    "automations do not add up to those of all users."
)

CountsSchema = answer_schema(Counts, "ResultCounts", value=fields.Float())
ResultSchema = answer_schema(
    Result,
    more=_RATES,
    counts=CountsSchema,
    holdout=CountsSchema,
    global_holdout=CountsSchema,
)
PushResultsSchema = answer_schema(PushResults, result=ResultSchema, variants=(ResultSchema,))
ResultListSchema = object_schema(
    "ResultList",
    results=(ResultSchema,),
    zone=str,
    since=fields.AwareDateTime(data_key="from", allow_none=True),
    until=fields.AwareDateTime(allow_none=True),
    note=str,
    next_cursor=int | None,
)
AutomationResultsSchema = answer_schema(
    AutomationResults,
    total=ResultSchema,
    pushes=(PushResultsSchema,),
    days=(ResultSchema,),
    executions=(ResultSchema,),
)


class GroupField(fields.Enum[Grouping]):
    """A grouping by its name; an unknown name is refused with the most similar one."""

    def __init__(self, **options: Any) -> None:
        """Take the options of a field."""
        super().__init__(Grouping, by_value=True, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Grouping:
        if value not in list(Grouping):
            raise ValidationError(say_unknown("group", str(value), [one.value for one in Grouping]))
        return Grouping(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsQuery(PeriodQuery):
    """Which results; without `from`, those of the last 30 days."""

    group: Grouping = about(
        Grouping.AUTOMATION, like=GroupField, description="What one result is about."
    )
    automation_id: str | None = None
    push_id: str | None = None
    layer_id: int | None = about(None, validate=validate.Range(min=1, max=2**15 - 1))
    execution_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsPageQuery(ResultsQuery):
    """One page of results."""

    limit: int = up_to(PAGE, 100)
    cursor: int = about(0, validate=validate.Range(min=0, max=10**9))


def result_routes(database: Database, files: AutomationFiles) -> Routes:
    """Return the routes about results."""
    routes = Routes("results", __name__, description="What pushes did")

    @routes.route(_PATH, methods=["GET"])
    @routes.arguments(request_schema(ResultsPageQuery), location="query")
    @routes.response(200, ResultListSchema)
    def list_all(query: ResultsPageQuery) -> Mapping[str, object]:
        """List results: by automation, push, variant, layer, execution or day.

        Only live sends count; tests and dry runs do not. Days are those of the automation's zone,
        and of UTC across automations.
        """
        refuse_unknown_names(type(query))
        now = utc_now()
        asked = _ask(database, files, query, now)
        found = read_results(database, replace(asked, offset=query.cursor, limit=query.limit), now)
        is_full = len(found) == query.limit
        return {
            "results": found,
            "zone": asked.zone,
            "since": asked.asked.since,
            "until": asked.asked.until,
            "note": NOTE,
            "next_cursor": query.cursor + query.limit if is_full else None,
        }

    @routes.route(f"{_PATH}.csv", methods=["GET"])
    @of_class(RequestClass.EXPORT)
    @routes.arguments(request_schema(ResultsQuery), location="query")
    @routes.answers(content_type="text/csv")
    def export(query: ResultsQuery) -> Response:
        """Export results as a CSV file that is safe to open in a spreadsheet."""
        refuse_unknown_names(type(query))
        now = utc_now()
        asked = _ask(database, files, query, now)
        return answer_csv(_write(database, asked, now), f"results-by-{query.group}.csv")

    @routes.route("/api/automation/recipes/<automation_id>/results", methods=["GET"])
    @routes.arguments(request_schema(PeriodQuery), location="query")
    @routes.response(200, AutomationResultsSchema)
    def read_one(query: PeriodQuery, automation_id: str) -> AutomationResults:
        """Read the results of one automation: in all, by push, variant, day and execution.

        An automation that was deleted keeps its results. Without `from`, the results are those of
        the last 30 days.
        """
        refuse_unknown_names(PeriodQuery)
        now = utc_now()
        fault = _find_fault(database, files, "automation_id", automation_id, None)
        if fault:
            raise DocumentNotFoundError(fault)
        zone = find_zone(database, automation_id)
        since, until = query.find_period(zone)
        asked = ResultFilter(automation_id=automation_id, since=since or now - USUAL, until=until)
        return read_automation_results(database, asked, zone, now)

    return routes


def _ask(
    database: Database, files: AutomationFiles, query: ResultsQuery, now: datetime
) -> ResultQuery:
    """Return the query with the zone of its days; ValidationError for an unknown name."""
    for column in ("automation_id", "push_id", "execution_id"):
        value = getattr(query, column)
        if value is None:
            continue
        fault = _find_fault(database, files, column, value, query.automation_id)
        if fault:
            raise ValidationError({camel_case(column): [fault]})
    zone = find_zone(database, query.automation_id)
    since, until = query.find_period(zone)
    asked = ResultFilter(
        since=since or now - USUAL,
        until=until,
        automation_id=query.automation_id,
        push_id=query.push_id,
        layer_id=query.layer_id,
        execution_id=query.execution_id,
    )
    return ResultQuery(grouping=query.group, asked=asked, zone=zone)


def _find_fault(
    database: Database, files: AutomationFiles, column: str, value: str, automation_id: str | None
) -> str | None:
    """Return why a name is refused that neither results nor the saved automations have."""
    own = None if column == "automation_id" else automation_id
    with database.transaction() as connection:
        known = set(select_known(connection, column, value, own))
    saved = files.read_all()
    if column == "automation_id":
        known |= saved.keys()
    elif column == "push_id":
        known |= {push.id for one in saved.values() for push in one.automation.pushes}
    return None if value in known else say_unknown(camel_case(column), value, sorted(known))


def _write(database: Database, asked: ResultQuery, now: datetime) -> Iterator[str]:
    """Yield results as CSV; the file is written before the first piece of it is sent."""
    with SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="") as file:
        file.write(write_csv([[camel_case(one) for one in _COLUMNS]]))
        for page in read_every_result(database, replace(asked, limit=PAGE), now):
            file.write(write_csv(_row(one) for one in page))
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


_COLUMNS: Final = (
    *("automation_id", "automation_name", "push_id", "variant", "layer_id", "execution_id", "day"),
    *("executions", "first_sent_at", "last_sent_at", "is_open"),
    *COUNT_NAMES,
    *_RATES,
    *("holdout_assigned", "holdout_converted"),
    *("uplift_ratio", "uplift_low", "uplift_high", "uplift_sentence"),
)


def _row(result: Result) -> list[object]:
    """Return the cells of a result, in the order of the columns."""
    uplift = result.uplift
    cells = {
        **result.key._asdict(),
        **{name: getattr(result.counts, name) for name in COUNT_NAMES},
        "holdout_assigned": result.holdout.assigned,
        "holdout_converted": result.holdout.converted,
        **({f"uplift_{one}": getattr(uplift, one) for one in _UPLIFT} if uplift else {}),
    }
    return [cells[name] if name in cells else getattr(result, name, None) for name in _COLUMNS]
