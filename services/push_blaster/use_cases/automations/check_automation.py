"""The test suite of an automation: ten checks that change nothing and start nothing."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from chassis.postgres import DatabaseAwayError
from push_blaster.adapters.audiences.script_folder import ScriptNotFoundError
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.devices.named_devices import select_named_devices
from push_blaster.adapters.executions.execution_view import select_executions, select_phases
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_engines
from push_blaster.domain.audiences.audience import AudienceRow, read_user_ids
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.domain.audiences.script_failure import read_failure
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.delivery.message import TransportUnavailableError
from push_blaster.domain.delivery.push_template import (
    Wordings,
    find_faults_as_written,
    name_link,
)
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.executions.execution_filter import ExecutionFilter
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.modes import TEST_MODES, delivers
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.number_words import number_of
from push_blaster.domain.schedule.finding import FindingKind, spell_duration, spell_instant
from push_blaster.domain.schedule.plan import find_gaps, find_timing
from push_blaster.domain.schedule.schedule import next_slots
from push_blaster.use_cases.audiences.fit_parameters import check_parameters
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.devices.find_devices import find_devices

MINUTE: Final = timedelta(minutes=1)
LONG_TITLE: Final = 100
LONG_BODY: Final = 200
MANY_PUSHES: Final = 10
SHORT_LEAD: Final = 30 * MINUTE
SHORT_WINDOW: Final = 10 * MINUTE
LONG_TIMELINE: Final = 120 * MINUTE
VERY_LONG_TIMELINE: Final = 180 * MINUTE
#: Criteria of an audience, with their words, and the most that is usual.
_LARGE_CRITERIA: Final = (("activityDays", "days", 365), ("minTrades", "trades", 1_000))


class CheckStatus(StrEnum):
    """The result of a check."""

    PASS = "pass"  # noqa: S105 - no password
    WARNING = "warning"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The errors and warnings that a check found; `ok` is its text if it found none."""

    errors: Sequence[str] = ()
    warnings: Sequence[str] = ()
    ok: str = "Nothing stands out."

    @property
    def status(self) -> CheckStatus:
        """Fail if there are errors, else a warning if there are warnings."""
        if self.errors:
            return CheckStatus.FAIL
        return CheckStatus.WARNING if self.warnings else CheckStatus.PASS


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check by name, its outcome, and how many seconds it took."""

    name: str
    outcome: CheckOutcome
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Subject:
    automation: Automation
    document: Mapping[str, Any]
    context: WebContext
    now: datetime


def check_automation(
    document: Mapping[str, Any], context: WebContext, now: datetime
) -> list[CheckResult]:
    """Check everything that a live send of this automation needs, without changing anything."""
    subject = _Subject(read_automation(document), document, context, now)
    results = []
    for name, check in _CHECKS.items():
        began = time.monotonic()
        outcome = check(subject)
        results.append(CheckResult(name, outcome, time.monotonic() - began))
    return results


def _configuration(subject: _Subject) -> CheckOutcome:
    version, script_id = subject.automation.version, subject.automation.script_id
    if subject.automation.manual_user_ids:
        return CheckOutcome(ok=f"Version {version}, users named one by one.")
    if subject.automation.upload:
        return CheckOutcome(ok=f"Version {version}, users of {subject.automation.upload.name}.")
    if script_id is None:
        return CheckOutcome(
            ["There is no audience. Choose a script, name users, or upload a file."]
        )
    return CheckOutcome(ok=f"Version {version}, script {script_id}.")


def _schedule(subject: _Subject) -> CheckOutcome:
    schedule = subject.automation.schedule
    slots = next_slots(schedule, subject.now, 3)
    warnings = [f.message for f in find_timing(subject.automation, slots, subject.context.limits)]
    if schedule.lead_time < SHORT_LEAD:
        lead = spell_duration(schedule.lead_time)
        warnings.append(f"The lead time is {lead}. Make it 30 min or more.")
    if not slots:
        return CheckOutcome(errors=warnings)
    at = spell_instant(slots[0].at, schedule.timezone)
    return CheckOutcome(warnings=warnings, ok=f"Sends next on {at}.")


def _push_sequence(subject: _Subject) -> CheckOutcome:
    pushes = subject.automation.pushes
    limits = subject.context.limits
    seen = [_push(push, limits) for push in pushes]
    errors = [f"Push {n}: {text}" for n, one in enumerate(seen, start=1) for text in one.errors]
    warnings = [f"Push {n}: {text}" for n, one in enumerate(seen, start=1) for text in one.warnings]
    if len(pushes) > MANY_PUSHES:
        warnings.append(f"The sequence has {number_of(len(pushes), 'push')}.")
    return CheckOutcome(errors, warnings, f"{number_of(len(pushes), 'push')}.")


def _push(push: Push, limits: Limits) -> CheckOutcome:
    warnings = []
    if push.content.silent:
        return CheckOutcome(_push_faults(push, limits))
    if len(push.title) > LONG_TITLE:
        warnings.append(f"the title has {len(push.title)} characters, and phones cut it.")
    if len(push.body) > LONG_BODY:
        warnings.append(f"the text has {len(push.body)} characters, and phones cut it.")
    if not push.deep_link:
        warnings.append("there is no deep link.")
    return CheckOutcome(_push_faults(push, limits), warnings)


def _push_faults(push: Push, limits: Limits) -> list[str]:
    try:
        Wordings("", push)
    except MalformedPlaceholderError as error:
        return [str(error)]
    worded = [push.worded(variant) for variant in push.variants or (None,)]
    found = (fault for one in worded for fault in find_faults_as_written(limits.links, one))
    return [f"{name_link(name)} {fault}." for name, fault in dict.fromkeys(found)]


def _audience_criteria(subject: _Subject) -> CheckOutcome:
    criteria = subject.document.get("audienceCriteria") or {}
    warnings = [
        f"The audience asks for {criteria[name]} {what}, more than {limit}."
        for name, what, limit in _LARGE_CRITERIA
        if isinstance(criteria.get(name), int | float) and criteria[name] > limit
    ]
    if subject.automation.manual_user_ids:
        good, bad = read_user_ids(subject.automation.manual_user_ids)
        warnings += [
            f"The user {text!r} is no user id (a UUID). Correct or remove it." for text in bad
        ]
        return CheckOutcome((), warnings, f"{number_of(len(good), 'user')} named.")
    if subject.automation.upload:
        return CheckOutcome((), warnings, f"The users of {subject.automation.upload.name}.")
    return _script(subject, warnings)


def _script(subject: _Subject, warnings: list[str]) -> CheckOutcome:
    if subject.automation.script_id is None:
        return CheckOutcome(["There is no audience script."], warnings)
    try:
        check_parameters(subject.context.scripts, subject.automation)
    except (ScriptNotFoundError, ParametersError) as error:
        return CheckOutcome([str(error)], warnings)
    script = subject.context.scripts.find(subject.automation.script_id)
    gaps = find_gaps(subject.automation, subject.context.limits, script.audiences)
    unknown = [f.message for f in gaps if f.kind is FindingKind.UNKNOWN_AUDIENCE]
    if unknown:
        return CheckOutcome(unknown, warnings)
    text = f"The script {subject.automation.script_id} is there, and its parameters fit."
    return CheckOutcome((), warnings, text)


def _timeline(subject: _Subject) -> CheckOutcome:
    length = _length(subject.automation)
    text = f"From the audience to the last push: {length / MINUTE:g} minutes."
    return CheckOutcome(warnings=[text]) if length > LONG_TIMELINE else CheckOutcome(ok=text)


def _services(subject: _Subject) -> CheckOutcome:
    errors: list[str] = []
    context = subject.context
    try:
        context.cadence.read_rules()
    except CadenceUnavailableError as error:
        errors.append(f"The cadence rules cannot be checked: {error}.")
    try:
        context.check_transport()
    except TransportUnavailableError as error:
        errors.append(f"No message can be sent: {error}.")
    with context.database.transaction() as connection:
        engines = select_engines(connection, subject.now - ALIVE_WITHIN)
    if not engines:
        errors.append("No engine is at work: nothing will be sent.")
    return CheckOutcome(
        errors, ok=f"Cadence and the provider can be used; engines: {', '.join(engines)}."
    )


def _safety(subject: _Subject) -> CheckOutcome:
    settings = subject.automation.settings
    safeguards = (subject.document.get("settings") or {}).get("safeguards") or {}
    warnings: list[str] = []
    if settings.cancellation_window < SHORT_WINDOW:
        window = spell_duration(settings.cancellation_window)
        warnings.append(f"The cancellation window is {window}. Make it 10 min or more.")
    if not settings.require_test_first:
        warnings.append("No successful test is required before the live send.")
    if not safeguards.get("emergencyContacts"):
        warnings.append("There are no emergency contacts.")
    return CheckOutcome(_test_users(subject), warnings, "Window, tests and contacts are set.")


def _test_users(subject: _Subject) -> list[str]:
    settings, database = subject.automation.settings, subject.context.database
    if not settings.names_testers:
        return ["There are no test users: nobody gets the test."]
    good, bad = read_user_ids(settings.test_user_ids)
    errors = [
        f"The test user {text!r} is no user id (a UUID). Correct or remove it." for text in bad
    ]
    reach = find_devices(
        database,
        subject.context.device_source,
        [AudienceRow(user, {}) for user in good],
        subject.now,
        every=False,
    )
    errors += sorted(set(reach.unknown.values()))
    with database.transaction() as connection:
        ids, _ = read_user_ids(settings.test_device_ids)
        named = select_named_devices(connection, ids)
    if not reach.devices and all(device.dead_at for device in named):
        errors.append("None of the test users has a device: nobody gets the test.")
    return errors


def _storage(subject: _Subject) -> CheckOutcome:
    errors = []
    try:
        with tempfile.NamedTemporaryFile(dir=subject.context.data_folder) as file:
            file.write(b"kept?")
            os.fsync(file.fileno())
    except OSError as error:
        errors.append(f"The data folder cannot be written: {error.strerror}.")
    listing = subject.context.files.list_all()
    warnings = [f"The automation file {b.name} is broken: {b.error}" for b in listing.broken]
    try:
        subject.context.database.ping()
    except DatabaseAwayError as error:
        errors.append(f"The database is away: {error}")
    return CheckOutcome(errors, warnings, "The data folder and the database can be written.")


def _dry_run(subject: _Subject) -> CheckOutcome:
    """Check the newest dry run of this version; a dry run of an older version shows little."""
    automation = subject.automation
    with subject.context.database.transaction() as connection:
        found = select_executions(
            connection, ExecutionFilter(automation_id=automation.id, modes=TEST_MODES)
        )
    ended = [e for e in found if e.has_ended and e.automation.version == automation.version]
    dry = [e for e in ended if not delivers(e.mode)]
    if not dry:
        text = f"No dry run of version {automation.version} yet. Start one."
        return CheckOutcome(warnings=[text])
    newest = dry[0]
    if newest.phase is not Phase.COMPLETED:
        reason = read_failure(newest.reason or "").sentence
        return CheckOutcome([f"The dry run {newest.id} ended as {newest.phase}. {reason}"])
    return CheckOutcome(ok=f"{newest.id} went through.")


def _performance(subject: _Subject) -> CheckOutcome:
    automation = subject.automation
    warnings = []
    if _length(automation) > VERY_LONG_TIMELINE:
        warnings.append("The whole timeline takes more than 180 minutes.")
    took = _last_audience_took(subject)
    if took is None:
        return CheckOutcome(warnings=warnings, ok="It has not run yet.")
    text = f"The last audience took {took.total_seconds():.0f} s to make."
    if took > automation.schedule.lead_time:
        warnings.append(f"{text} That is more than the lead time, so live will be late.")
    return CheckOutcome(warnings=warnings, ok=text)


def _last_audience_took(subject: _Subject) -> timedelta | None:
    with subject.context.database.transaction() as connection:
        found = select_executions(
            connection, ExecutionFilter(automation_id=subject.automation.id), limit=10
        )
        entered = select_phases(connection, [execution.id for execution in found])
    for execution in found:
        at = dict(entered.get(execution.id, []))
        if Phase.AUDIENCE_GENERATION in at and Phase.TEST_SENDING in at:
            return at[Phase.TEST_SENDING] - at[Phase.AUDIENCE_GENERATION]
    return None


def _length(automation: Automation) -> timedelta:
    waits = (push.delay + push.decide_after for push in automation.pushes)
    return sum(waits, automation.schedule.lead_time)


_CHECKS: Final[Mapping[str, Callable[[_Subject], CheckOutcome]]] = {
    "Configuration": _configuration,
    "Schedule": _schedule,
    "Push Sequence": _push_sequence,
    "Audience Criteria": _audience_criteria,
    "Timeline Calculation": _timeline,
    "Service Integration Health": _services,
    "Safety Controls": _safety,
    "Storage Operations": _storage,
    "Dry Run Simulation": _dry_run,
    "Performance": _performance,
}
