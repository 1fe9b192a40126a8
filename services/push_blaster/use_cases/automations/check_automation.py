"""The test suite of an automation: ten checks that look, run nothing, and say what they saw."""

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
from push_blaster.adapters.executions.execution_view import select_executions, select_phases
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_engines
from push_blaster.domain.audiences.audience import AudienceRow, read_user_ids
from push_blaster.domain.audiences.script import ParametersError
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.delivery.message import TransportUnavailableError
from push_blaster.domain.delivery.push_template import Wordings
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.modes import TEST_MODES, delivers
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.schedule.plan import find_timing
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


class Verdict(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105 - no password
    WARNING = "warning"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check found: what is broken, and what is odd; nothing of either is a pass."""

    broken: Sequence[str] = ()
    odd: Sequence[str] = ()
    well: str = "Nothing stands out."

    @property
    def verdict(self) -> Verdict:
        """Fail if anything is broken, a warning if anything is odd."""
        if self.broken:
            return Verdict.FAIL
        return Verdict.WARNING if self.odd else Verdict.PASS


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check by name, what it found, and how many seconds it took."""

    name: str
    seen: Seen
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
    """Look at everything that a live send of this automation will need; nothing is changed."""
    subject = _Subject(read_automation(document), document, context, now)
    results = []
    for name, check in _CHECKS.items():
        began = time.monotonic()
        seen = check(subject)
        results.append(CheckResult(name, seen, time.monotonic() - began))
    return results


def _configuration(subject: _Subject) -> Seen:
    version, script_id = subject.automation.version, subject.automation.script_id
    if subject.automation.manual_user_ids:
        return Seen(well=f"Version {version}, users named one by one.")
    if subject.automation.upload:
        return Seen(well=f"Version {version}, users of {subject.automation.upload.name}.")
    if script_id is None:
        return Seen(["audienceCriteria.customScript.scriptId is missing: there is no audience."])
    return Seen(well=f"Version {version}, script {script_id}.")


def _schedule(subject: _Subject) -> Seen:
    schedule = subject.automation.schedule
    slots = next_slots(schedule, subject.now, 3)
    odd = [f.message for f in find_timing(subject.automation, slots, subject.context.limits)]
    if schedule.lead_time < SHORT_LEAD:
        odd.append(f"leadTimeMinutes is {schedule.lead_time / MINUTE:g}, less than 30.")
    if not slots:
        return Seen(broken=odd)
    return Seen(odd=odd, well=f"Sends next at {slots[0].at.isoformat()}.")


def _push_sequence(subject: _Subject) -> Seen:
    pushes = subject.automation.pushes
    limits = subject.context.limits
    seen = [_push(push, limits) for push in pushes]
    broken = [f"Push {n}: {text}" for n, one in enumerate(seen, start=1) for text in one.broken]
    odd = [f"Push {n}: {text}" for n, one in enumerate(seen, start=1) for text in one.odd]
    if len(pushes) > MANY_PUSHES:
        odd.append(f"The sequence has {len(pushes)} pushes.")
    return Seen(broken, odd, f"{len(pushes)} pushes.")


def _push(push: Push, limits: Limits) -> Seen:
    odd = []
    if len(push.title) > LONG_TITLE:
        odd.append(f"the title has {len(push.title)} characters.")
    if len(push.body) > LONG_BODY:
        odd.append(f"the body has {len(push.body)} characters.")
    if not push.deep_link:
        odd.append("there is no deep link.")
    return Seen(_push_faults(push, limits), odd)


def _push_faults(push: Push, limits: Limits) -> list[str]:
    try:
        Wordings("", push)
    except MalformedPlaceholderError as error:
        return [str(error)]
    fault = limits.links.find_fault_as_written(push.deep_link)
    return [f"the deep link {fault}."] if fault else []


def _audience_criteria(subject: _Subject) -> Seen:
    criteria = subject.document.get("audienceCriteria") or {}
    odd = [
        f"audienceCriteria.{name} is {criteria[name]}, more than {most}."
        for name, most in {"activityDays": 365, "minTrades": 1_000}.items()
        if isinstance(criteria.get(name), int | float) and criteria[name] > most
    ]
    if subject.automation.manual_user_ids:
        good, bad = read_user_ids(subject.automation.manual_user_ids)
        odd += [f"audienceCriteria.manualUserIds: {text!r} is no user id (a UUID)." for text in bad]
        return Seen((), odd, f"{len(good)} users are named.")
    if subject.automation.upload:
        return Seen((), odd, f"The users of {subject.automation.upload.name}.")
    return _script(subject, odd)


def _script(subject: _Subject, odd: list[str]) -> Seen:
    if subject.automation.script_id is None:
        return Seen(["There is no audience script."], odd)
    try:
        check_parameters(subject.context.scripts, subject.automation)
    except (ScriptNotFoundError, ParametersError) as error:
        return Seen([str(error)], odd)
    text = f"The script {subject.automation.script_id} is there, and its parameters fit."
    return Seen((), odd, text)


def _timeline(subject: _Subject) -> Seen:
    length = _length(subject.automation)
    text = f"From the audience to the last push: {length / MINUTE:g} minutes."
    return Seen(odd=[text]) if length > LONG_TIMELINE else Seen(well=text)


def _services(subject: _Subject) -> Seen:
    broken: list[str] = []
    context = subject.context
    try:
        context.cadence.read_rules()
    except CadenceUnavailableError as error:
        broken.append(f"Cadence: {error}.")
    try:
        context.check_transport()
    except TransportUnavailableError as error:
        broken.append(f"Transport: {error}.")
    with context.database.transaction() as connection:
        engines = select_engines(connection, subject.now - ALIVE_WITHIN)
    if not engines:
        broken.append("No engine is at work: nothing will be sent.")
    return Seen(broken, well=f"Cadence and the transport answer; engines: {', '.join(engines)}.")


def _safety(subject: _Subject) -> Seen:
    settings = subject.automation.settings
    safeguards = (subject.document.get("settings") or {}).get("safeguards") or {}
    odd: list[str] = []
    if settings.cancellation_window < SHORT_WINDOW:
        minutes = settings.cancellation_window / MINUTE
        odd.append(f"cancellationWindowMinutes is {minutes:g}, less than 10.")
    if not settings.require_test_first:
        odd.append("safeguards.requireTestFirst is off.")
    if not safeguards.get("emergencyContacts"):
        odd.append("safeguards.emergencyContacts is empty.")
    return Seen(_test_users(subject), odd, "Window, tests and contacts are set.")


def _test_users(subject: _Subject) -> list[str]:
    users = subject.automation.settings.test_user_ids
    if not users:
        return ["settings.testUserIds is empty: nobody gets the test."]
    good, bad = read_user_ids(users)
    broken = [f"settings.testUserIds: {text!r} is no user id (a UUID)." for text in bad]
    reach = find_devices(
        subject.context.database,
        subject.context.device_source,
        [AudienceRow(user, {}) for user in good],
        subject.now,
        every=False,
    )
    broken += sorted(set(reach.unknown.values()))
    if not reach.devices:
        broken.append("None of settings.testUserIds has a device: nobody gets the test.")
    return broken


def _storage(subject: _Subject) -> Seen:
    broken = []
    try:
        with tempfile.NamedTemporaryFile(dir=subject.context.data_folder) as file:
            file.write(b"kept?")
            os.fsync(file.fileno())
    except OSError as error:
        broken.append(f"The data folder cannot be written: {error.strerror}.")
    listing = subject.context.files.list_all()
    odd = [f"The automation file {b.name} is broken: {b.error}" for b in listing.broken]
    try:
        subject.context.database.ping()
    except DatabaseAwayError as error:
        broken.append(f"The database is away: {error}")
    return Seen(broken, odd, "The data folder and the database keep what they are given.")


def _dry_run(subject: _Subject) -> Seen:
    """Tell of the newest dry run of this very version; one that ran before an edit shows little."""
    automation = subject.automation
    with subject.context.database.transaction() as connection:
        found = select_executions(connection, automation_id=automation.id, modes=TEST_MODES)
    ended = [e for e in found if e.has_ended and e.automation.version == automation.version]
    dry = [e for e in ended if not delivers(e.mode)]
    if not dry:
        text = f"No dry run of version {automation.version} yet; start one with real-dry-run."
        return Seen(odd=[text])
    newest = dry[0]
    if newest.phase is not Phase.COMPLETED:
        return Seen([f"{newest.id} ended as {newest.phase}: {newest.reason}"])
    return Seen(well=f"{newest.id} went through.")


def _performance(subject: _Subject) -> Seen:
    automation = subject.automation
    odd = []
    if _length(automation) > VERY_LONG_TIMELINE:
        odd.append("The whole timeline takes more than 180 minutes.")
    took = _last_audience_took(subject)
    if took is None:
        return Seen(odd=odd, well="It has not run yet.")
    text = f"The last audience took {took.total_seconds():.0f} s to make."
    if took > automation.schedule.lead_time:
        odd.append(f"{text} That is more than the lead time, so live will be late.")
    return Seen(odd=odd, well=text)


def _last_audience_took(subject: _Subject) -> timedelta | None:
    with subject.context.database.transaction() as connection:
        found = select_executions(connection, automation_id=subject.automation.id, limit=10)
        entered = select_phases(connection, [execution.id for execution in found])
    for execution in found:
        at = dict(entered.get(execution.id, []))
        if Phase.AUDIENCE_GENERATION in at and Phase.TEST_SENDING in at:
            return at[Phase.TEST_SENDING] - at[Phase.AUDIENCE_GENERATION]
    return None


def _length(automation: Automation) -> timedelta:
    return sum((push.delay for push in automation.pushes), automation.schedule.lead_time)


_CHECKS: Final[Mapping[str, Callable[[_Subject], Seen]]] = {
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
