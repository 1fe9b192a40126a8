"""What stands out about an automation by itself, and beside what else sends at the same time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from push_blaster.domain.audiences.audience import (
    AudienceFile,
    find_audiences,
    read_file_name,
    read_user_ids,
)
from push_blaster.domain.automations.automation import Automation, Frequency
from push_blaster.domain.delivery.user_time import stop_limit
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.timeline import absolute_instant, plan_pushes
from push_blaster.domain.number_words import number_of
from push_blaster.domain.schedule.finding import (
    Finding,
    FindingKind,
    spell_duration,
    spell_instant,
)
from push_blaster.domain.schedule.schedule import has_slot
from push_blaster.domain.zones import Slot

SCRIPT_FIELD: Final = "audienceCriteria.customScript.scriptId"
PARAMETERS_FIELD: Final = "audienceCriteria.customScript.parameters"
TESTERS_FIELD: Final = "settings.testUserIds"
TEST_DEVICES_FIELD: Final = "settings.testDeviceIds"
_LEAD_FIELD: Final = "schedule.leadTimeMinutes"
_TIME_FIELD: Final = "schedule.executionTime"
_WINDOW_FIELD: Final = "settings.cancellationWindowMinutes"
#: From this many live sends at one instant on, some of them begin seconds late.
MANY: Final = 10


def find_timing(automation: Automation, slots: Sequence[Slot], limits: Limits) -> list[Finding]:
    """Return conflicts between schedule, lead time, window and sequence."""
    return [
        *_never(automation, slots),
        *_short_window(automation, limits),
        *_late_by_window(automation, limits),
        *_skipped_slots(automation, slots),
        *_passed_times(automation, slots),
        *_too_slow(automation, limits),
    ]


def find_many_at_once(
    automation: Automation, slots: Sequence[Slot], others: Iterable[Automation]
) -> Iterator[Finding]:
    """Yield a finding if many other automations send at the instant of the next slot."""
    if not slots:
        return
    at = slots[0].at
    together = sum(
        other.id != automation.id and other.is_scheduled and has_slot(other.schedule, at)
        for other in others
    )
    if together >= MANY:
        when = spell_instant(at, automation.schedule.timezone)
        yield Finding(
            FindingKind.MANY_AT_ONCE,
            f"{together} other automations also send on {when}, and some of them go first, so "
            "messages may go out seconds late. Choose another minute.",
            _TIME_FIELD,
        )


def find_gaps(
    automation: Automation,
    limits: Limits,
    declared: Iterable[str] = (),
    *,
    may_write_tests: bool = False,
) -> list[Finding]:
    """Return what an execution lacks: audience, test users, an approval.

    Shape: `declared` are the names of the audiences that its script declares; `may_write_tests`
    says that the script may write TEST rows.
    """
    files = [read_file_name(name) for name in declared]
    return [
        *_no_audience(automation),
        *_unknown_audiences(automation, [file for file in files if not file.is_test]),
        *_no_test_users(automation, has_rows=may_write_tests),
        *_bad_test_users(automation),
        *_approval(automation, limits),
    ]


def _never(automation: Automation, slots: Sequence[Slot]) -> Iterator[Finding]:
    if slots:
        return
    start, end = automation.schedule.start_date, automation.schedule.end_date
    if automation.schedule.frequency is Frequency.ONCE and start is None:
        field = "startDate"
        text = "It sends once, but has no date. Choose the start date."
    elif start and end and end < start:
        field = "endDate"
        text = f"It never sends: its end date {end} is before its start date {start}. Correct one."
    else:
        field = "endDate" if end else "startDate"
        text = (
            "Nothing is left to send: every date of the schedule is in the past, or no date fits "
            "its days. Change the start date, the end date or the days."
        )
    yield Finding(FindingKind.NEVER_SENDS, text, f"schedule.{field}")


def _window(automation: Automation, limits: Limits) -> timedelta:
    return max(automation.settings.cancellation_window, limits.min_window)


def _short_window(automation: Automation, limits: Limits) -> Iterator[Finding]:
    window = automation.settings.cancellation_window
    if window < limits.min_window:
        yield Finding(
            FindingKind.WINDOW_RAISED,
            f"The cancellation window is {spell_duration(window)}, but a live send always has at "
            f"least {spell_duration(limits.min_window)}, so it takes that long.",
            _WINDOW_FIELD,
        )


def _late_by_window(automation: Automation, limits: Limits) -> Iterator[Finding]:
    lead, window = automation.schedule.lead_time, _window(automation, limits)
    if lead < window:
        yield Finding(
            FindingKind.LATE_BY_WINDOW,
            f"Every send is at least {spell_duration(window - lead)} late: an execution starts "
            f"{spell_duration(lead)} before the live send, but its cancellation window takes "
            f"{spell_duration(window)}. Make the lead time longer than the cancellation window.",
            _LEAD_FIELD,
        )


def _skipped_slots(automation: Automation, slots: Sequence[Slot]) -> Iterator[Finding]:
    """Yield the first slot that begins while the slot before it is still being sent."""
    zone = automation.schedule.timezone
    for slot, following in pairwise(slots):
        ends_at = _find_end(automation, slot)
        begins_at = following.at - automation.schedule.lead_time
        if begins_at <= ends_at:
            yield Finding(
                FindingKind.SKIPS_SLOTS,
                f"The send of {spell_instant(following.at, zone)} is skipped: it starts on "
                f"{spell_instant(begins_at, zone)}, while the send before it goes on until "
                f"{spell_instant(ends_at, zone)}. Send less often, or shorten the lead time or the "
                "time between the pushes.",
                _LEAD_FIELD,
            )
            return


def _find_end(automation: Automation, slot: Slot) -> datetime:
    """Return when the last users may get the last push: its winner is decided, their time comes."""
    pushes = automation.pushes
    last = plan_pushes(pushes, slot.at, automation.schedule.timezone)[-1]
    return last + pushes[-1].decide_after + _longest_deferral(automation)


def _longest_deferral(automation: Automation) -> timedelta:
    """Return how much later than usual a push may go out in the users' own time."""
    settings = automation.settings
    has_own_time = settings.quiet_hours or settings.local_time
    return (settings.deliver_within if has_own_time else None) or timedelta(0)


def _passed_times(automation: Automation, slots: Sequence[Slot]) -> Iterator[Finding]:
    """Yield, for each push, the first slot on which its own time has already passed."""
    zone = automation.schedule.timezone
    for number, push in enumerate(automation.pushes):
        for slot in slots:
            wanted = absolute_instant(push, slot.at, zone)
            planned = plan_pushes(automation.pushes, slot.at, zone)[number]
            if wanted and wanted < planned:
                yield Finding(
                    FindingKind.TIME_PASSED,
                    f"Push {number + 1} cannot go out at its own time, "
                    f"{spell_instant(wanted, zone)}, because its turn comes later. It goes out on "
                    f"{spell_instant(planned, zone)}. Choose a later time.",
                    f"pushSequence[{number}].absoluteTime",
                )
                break


def find_awaited_winners(automation: Automation, slots: Sequence[Slot]) -> Iterator[Finding]:
    """Yield, for each experiment, when the rest of the users of the next slot gets the winner."""
    pushes, zone = automation.pushes, automation.schedule.timezone
    for slot in slots[:1]:
        planned = plan_pushes(pushes, slot.at, zone)
        for number, (push, at) in enumerate(zip(pushes, planned, strict=True)):
            if push.experiment is None:
                continue
            decided = spell_instant(at + push.decide_after, zone)
            text = (
                f"Push {number + 1} goes to {push.experiment.test_percent:g} % of its users first. "
                f"The others get the winner, for the next send on {decided}."
            )
            if number + 1 < len(pushes):
                after = spell_instant(planned[number + 1], zone)
                text += f" Push {number + 2} waits for the decision, and goes out on {after}."
            field = f"pushSequence[{number}].experiment.testPercent"
            yield Finding(FindingKind.AWAITS_WINNER, text, field)


def _too_slow(automation: Automation, limits: Limits) -> Iterator[Finding]:
    """Yield a finding if the largest allowed audience would not go out in time."""
    settings = automation.settings
    if settings.rate_per_minute is None:
        return
    users = min(limits.max_audience_size, settings.max_audience_size or limits.max_audience_size)
    users = len(automation.manual_user_ids) or users
    takes = timedelta(minutes=users / settings.rate_per_minute)
    limit = stop_limit(settings, limits.push_time_limit)
    if takes > limit:
        yield Finding(
            FindingKind.TOO_SLOW,
            f"At {number_of(settings.rate_per_minute, 'message')} a minute, "
            f"{number_of(users, 'user')} take {spell_duration(takes)}, but a push is stopped after "
            f"{spell_duration(limit)}. Send more messages a minute, or set the "
            "maximum audience size to the real size.",
            "settings.ratePerMinute",
        )


def _no_audience(automation: Automation) -> Iterator[Finding]:
    has_users = automation.manual_user_ids or automation.upload
    if automation.script_id is None and not has_users:
        yield Finding(
            FindingKind.NO_AUDIENCE,
            "Nobody would get it, because there is no audience. Choose a script, name users, or "
            "upload a file.",
            SCRIPT_FIELD,
        )


def _unknown_audiences(automation: Automation, files: Sequence[AudienceFile]) -> Iterator[Finding]:
    """Yield the pushes whose audience the script does not declare, if it declares any."""
    known = ", ".join(file.file_name for file in files)
    for number, push in enumerate(automation.pushes):
        if files and not find_audiences(push.audience_name, files):
            yield Finding(
                FindingKind.UNKNOWN_AUDIENCE,
                f"Push {number + 1} goes to the audience {push.audience_name!r}, which the script "
                f"does not declare. It declares: {known}. Choose one of these.",
                f"pushSequence[{number}].audienceName",
            )


def _no_test_users(automation: Automation, *, has_rows: bool) -> Iterator[Finding]:
    settings = automation.settings
    named = (*settings.test_user_ids, *settings.test_device_ids)
    lacks = "no test user is a user id" if named else "no test user is named here or by a script"
    has_testers = read_user_ids(named)[0] if named else has_rows
    if settings.require_test_first and not has_testers:
        yield Finding(
            FindingKind.NO_TEST_USERS,
            f"A test is required before the live send, but {lacks}, so every execution fails. Add "
            "test users.",
            TESTERS_FIELD,
        )


def _bad_test_users(automation: Automation) -> Iterator[Finding]:
    _, others = read_user_ids(automation.settings.test_user_ids)
    for text in others:
        yield Finding(
            FindingKind.BAD_TEST_USER,
            f"The test user {text!r} is no user id (a UUID), so nobody gets this test. Correct or "
            "remove it.",
            TESTERS_FIELD,
        )


def find_device_faults(
    automation: Automation, known: Mapping[UUID, str | None]
) -> Iterator[Finding]:
    """Yield the test devices of an automation that get no test.

    Shape: `known` are the registered test devices; a dead one has its name.
    """
    for text in automation.settings.test_device_ids:
        ids, _ = read_user_ids([text])
        if not ids or ids[0] not in known:
            fault = f"The test device {text!r} does not exist (any more)"
        elif name := known[ids[0]]:
            fault = f"The test device {name} is dead"
        else:
            continue
        text = f"{fault}, so it gets no test. Choose another one, or register it anew."
        yield Finding(FindingKind.BAD_TEST_DEVICE, text, TEST_DEVICES_FIELD)


def _approval(automation: Automation, limits: Limits) -> Iterator[Finding]:
    if automation.settings.require_approval:
        window = spell_duration(_window(automation, limits))
        yield Finding(
            FindingKind.NEEDS_APPROVAL,
            "An operator must approve each execution. There is time between its test and its "
            f"send, {window} or more. Without approval, nobody gets it.",
            "settings.requireApproval",
        )
