"""Forecast how many users cadence will cap at each push, once the audience is frozen."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from push_blaster.adapters.audiences.preparer import Preparer
from push_blaster.adapters.devices.opt_out_reader import OptOutReader
from push_blaster.domain.cadence.cadence import PlannedSend, PushForecast
from push_blaster.domain.cadence.names import count_by_rule
from push_blaster.domain.executions.execution import Execution, LogLevel, PushAudience, PushProgress
from push_blaster.domain.executions.modes import goes_to_audience
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.executions.timeline import counted_at, live_instant, plan_execution
from push_blaster.use_cases.audiences.forecast_audience import Willingness, forecast_pushes
from push_blaster.use_cases.context import SendContext, StepContext, note
from push_blaster.use_cases.delivery.find_opted_out import find_named


def forecast_execution(context: SendContext, execution: Execution, preparer: Preparer) -> Execution:
    """Return the execution with a forecast for each push; the forecast reserves no slots.

    One question covers all pushes to the same audience, so that later pushes count earlier ones.
    If cadence is away, the forecast says so, and the execution continues.
    """
    planned = _planned_sends(execution, context.clock())
    forecasts: dict[int, PushForecast] = {}
    named = () if goes_to_audience(execution.mode) else find_named(execution)
    willing = Willingness(OptOutReader(context.database), execution.automation, frozenset(named))
    for audience, positions in _group(execution.pushes):
        sends = [planned[position] for position in positions]
        path = context.data_folder / audience.file
        size = path.stat().st_size
        found = preparer.run(size, forecast_pushes, context.cadence, path, sends, willing)
        forecasts.update(zip(positions, found, strict=True))
    for position, forecast in sorted(forecasts.items()):
        _note_forecast(context, execution, position, forecast)
    pushes = tuple(
        replace(push, forecast=_make_document(forecasts[push.position]))
        if push.position in forecasts
        else push
        for push in execution.pushes
    )
    return replace(execution, pushes=pushes)


def _group(pushes: Sequence[PushProgress]) -> list[tuple[PushAudience, list[int]]]:
    """Return the distinct audiences, each with the positions of the pushes that go to it."""
    groups: dict[str, tuple[PushAudience, list[int]]] = {}
    for push in pushes:
        if push.audience is not None:
            _, positions = groups.setdefault(push.audience.sha256, (push.audience, []))
            positions.append(push.position)
    return list(groups.values())


def _planned_sends(execution: Execution, now: datetime) -> dict[int, PlannedSend]:
    """Return layer and counted instant of each push, if all goes as planned from `now` on."""
    automation = execution.automation
    live_at = live_instant(execution.slot, now, automation.settings.cancellation_window)
    nominal, expected = (plan_execution(execution, start) for start in (execution.slot, live_at))
    return {
        position: PlannedSend(push.layer_id, counted_at(*instants))
        for position, (push, instants) in enumerate(
            zip(automation.pushes, zip(nominal, expected, strict=True), strict=True), start=1
        )
    }


def _note_forecast(
    context: StepContext, execution: Execution, position: int, forecast: PushForecast
) -> None:
    if forecast.eligible is None:
        text = f"No forecast of push {position}: {forecast.reason}."
        note(context, execution.id, Phase.AUDIENCE_GENERATION, text, LogLevel.WARNING)
    else:
        note(context, execution.id, Phase.AUDIENCE_GENERATION, _describe(position, forecast))


def _make_document(forecast: PushForecast) -> dict[str, object]:
    """Return the forecast as it is stored and answered, by the names of the funnel."""
    is_known = forecast.eligible is not None
    return {
        "at": forecast.at.isoformat(),
        "eligible": forecast.eligible,
        "excluded": forecast.excluded if is_known else None,
        "exclusionBreakdown": dict(forecast.capped) if is_known else None,
        "optedOut": forecast.opted_out if is_known else None,
        "failedOpen": forecast.failed_open,
        "reason": forecast.reason,
    }


def _describe(position: int, forecast: PushForecast) -> str:
    at = forecast.at.isoformat(timespec="seconds")
    text = f"Forecast of push {position}, at {at}: {forecast.eligible} eligible"
    if forecast.capped:
        by_rule = count_by_rule(dict(sorted(forecast.capped.items())))
        text += f", {forecast.excluded} capped by cadence ({by_rule})"
    if forecast.opted_out:
        text += f", {forecast.opted_out} opted out"
    if forecast.failed_open:
        text += f", unchecked: {forecast.reason}"
    return f"{text}."
