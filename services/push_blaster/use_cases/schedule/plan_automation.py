"""Plan an automation: its next slots, and findings about the automation and its neighbours."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.audiences.script_folder import (
    Script,
    ScriptFolder,
    ScriptNotFoundError,
)
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.devices.named_devices import select_named_devices
from push_blaster.adapters.executions.suspensions import select_cancelled
from push_blaster.adapters.schedule.schedule_marks import select_generations
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.executions.execution import execution_id
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.schedule.cap_conflicts import find_cap_conflicts
from push_blaster.domain.schedule.finding import Finding, FindingKind
from push_blaster.domain.schedule.plan import (
    PARAMETERS_FIELD,
    SCRIPT_FIELD,
    find_awaited_winners,
    find_device_faults,
    find_gaps,
    find_many_at_once,
    find_timing,
)
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.domain.zones import Slot
from push_blaster.use_cases.audiences.fit_parameters import check_parameters, uses_script
from push_blaster.use_cases.context import WebContext

#: Returns why some of an automation's slots are not sent.
FindCancelled = Callable[[str, Sequence[datetime]], Mapping[datetime, str]]
#: Returns the registered test devices; a dead one has its name.
FindTestDevices = Callable[[], Mapping[UUID, str | None]]
#: Returns the cadence rules in force; CadenceUnavailableError.
ReadRules = Callable[[], Sequence[CadenceRule]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The next slots of an automation, and findings about them."""

    automation: Automation
    slots: list[Slot]
    findings: list[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """The other automations, rules and limits that a plan considers.

    Shape: without `scripts` the plan does not check the automation's script, and without
    `find_test_devices` not its test devices. `find_cancelled` returns why slots to come of a saved
    automation are not sent.
    """

    others: Iterable[Automation]
    read_rules: ReadRules
    limits: Limits
    scripts: ScriptFolder | None = None
    find_cancelled: FindCancelled = lambda _, __: {}
    find_test_devices: FindTestDevices | None = None


def load_context(context: WebContext) -> PlanContext:
    """Return the context in which automations of this service are planned."""
    return PlanContext(
        others=[stored.automation for stored in context.files.read_all().values()],
        read_rules=context.cadence.read_rules,
        limits=context.limits,
        scripts=context.scripts,
        find_cancelled=partial(_find_cancelled, context.database),
        find_test_devices=partial(_find_test_devices, context.database),
    )


def plan_automation(
    automation: Automation, context: PlanContext, after: datetime, count: int
) -> Plan:
    """Return the first `count` slots after `after`, even if the automation is not active."""
    slots = next_slots(automation.schedule, after, count)
    findings = [
        *find_own_faults(automation, slots, context.limits, context.scripts),
        *_find_device_faults(automation, context),
        *find_many_at_once(automation, slots, context.others),
        *_find_cap_conflicts(automation, slots, context),
    ]
    return Plan(automation, _remark(automation, slots, context), findings)


def find_own_faults(
    automation: Automation,
    slots: Sequence[Slot],
    limits: Limits,
    scripts: ScriptFolder | None,
) -> list[Finding]:
    """Return findings about an automation alone, without its neighbours and the cadence rules."""
    script = _find_script(automation, scripts)
    declared, may_write = (script.audiences, script.mentions_test) if script else ((), False)
    return [
        *find_timing(automation, slots, limits),
        *find_awaited_winners(automation, slots),
        *find_gaps(automation, limits, declared, may_write_tests=may_write),
        *_find_script_faults(automation, scripts),
    ]


def _find_script(automation: Automation, scripts: ScriptFolder | None) -> Script | None:
    """Return the script that writes the automation's audience, if there is one."""
    if scripts is None or not uses_script(automation):
        return None
    try:
        return scripts.find(automation.script_id or "")
    except ScriptNotFoundError:
        return None


def _remark(automation: Automation, slots: Sequence[Slot], context: PlanContext) -> list[Slot]:
    """Say of each slot that is not sent why."""
    cancelled = context.find_cancelled(automation.id, [slot.at for slot in slots])
    return [
        replace(slot, remark=cancelled[slot.at]) if slot.at in cancelled else slot for slot in slots
    ]


def _find_cancelled(
    database: Database, automation_id: str, slots: Sequence[datetime]
) -> Mapping[datetime, str]:
    with database.transaction() as connection:
        generation = select_generations(connection, [automation_id])[automation_id]
        ids = {execution_id(automation_id, slot, generation=generation): slot for slot in slots}
        ended = select_cancelled(connection, list(ids))
    return {ids[id_]: f"Not sent: {reason}" for id_, reason in ended.items()}


def _find_device_faults(automation: Automation, context: PlanContext) -> Iterable[Finding]:
    if not automation.settings.test_device_ids or context.find_test_devices is None:
        return ()
    return find_device_faults(automation, context.find_test_devices())


def _find_test_devices(database: Database) -> Mapping[UUID, str | None]:
    with database.transaction() as connection:
        found = select_named_devices(connection)
    return {device.id: device.name if device.dead_at else None for device in found}


def _find_script_faults(automation: Automation, scripts: ScriptFolder | None) -> list[Finding]:
    if scripts is None:
        return []
    try:
        check_parameters(scripts, automation)
    except ScriptNotFoundError as error:
        return [Finding(FindingKind.NO_AUDIENCE, str(error), SCRIPT_FIELD)]
    except ParametersError as error:
        return [Finding(FindingKind.BAD_PARAMETERS, str(error), PARAMETERS_FIELD)]
    return []


def _find_cap_conflicts(
    automation: Automation, slots: Sequence[Slot], context: PlanContext
) -> list[Finding]:
    try:
        return find_cap_conflicts(automation, slots, context.others, context.read_rules())
    except CadenceUnavailableError as error:
        text = f"It is unknown whether cadence rules keep people from getting it: {error}."
        return [Finding(FindingKind.RULES_UNKNOWN, text)]
