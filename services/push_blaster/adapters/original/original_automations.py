"""An automation of the original as a draft, with notes about what differs here."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from push_blaster.adapters.original.original_pushes import Draft, NotMigratedError

#: The audiences that the original chose by the place of the push, and not by audienceName.
_WATERFALL: Final = (
    "no_shoes_level_1",
    "no_bio_level_2",
    "no_offers_level_3",
    "no_wishlist_level_4",
    "new_stars_level_5",
)
_LAYER_3: Final = ("recent_offer_creators", "recent_closet_adders", "recent_wishlist_adders")
_UNUSED_TIMES: Final = ("scheduledTime", "executionTime", "sendTime")

Raw = Mapping[str, Any]


def draft_original_automation(raw: Raw) -> Draft:
    """Return the automation as a draft, with its own id; NotMigratedError."""
    if "TEST SCHEDULED:" in str(raw.get("name")) or _part(raw, "settings").get("isTest"):
        raise NotMigratedError("It is what a scheduled test left behind.")
    findings = [finding for judge in _JUDGES for finding in judge(raw)]
    criteria = dict(_part(raw, "audienceCriteria"))
    if criteria.get("customScript"):
        criteria.pop("manualUserIds", None)
    pushes = [_mend_push(push) for push in _pushes(raw)]
    document = {**raw, "version": 1, "audienceCriteria": criteria, "pushSequence": pushes}
    return Draft(document, findings)


def _part(raw: Raw, name: str) -> Raw:
    part = raw.get(name)
    return part if isinstance(part, Mapping) else {}


def _pushes(raw: Raw) -> list[Raw]:
    found = raw.get("pushSequence")
    return [p for p in found if isinstance(p, Mapping)] if isinstance(found, list) else []


def _mend_push(push: Raw) -> Raw:
    return {**push, "layerId": 5} if push.get("layerId") == 0 else push


def _status(raw: Raw) -> Iterator[str]:
    if raw.get("isActive") or raw.get("status") in ("active", "scheduled", "running"):
        yield f"It was {raw.get('status')!r} and comes as a draft. Look at it, then activate it."


def _send_time(raw: Raw) -> Iterator[str]:
    schedule = _part(raw, "schedule")
    at = schedule.get("executionTime") or schedule.get("scheduledTime")
    if schedule.get("frequency") == "custom" or schedule.get("cronExpression"):
        yield "The original began at the instant of cronExpression; here that is the live send."
    elif at:
        window = _part(raw, "settings").get("cancellationWindowMinutes") or 25
        yield f"The original sent {window} minutes before {at}; here the live send is at {at}."


def _day(raw: Raw) -> Iterator[str]:
    schedule = _part(raw, "schedule")
    always = {"weekly": "on Mondays", "monthly": "on the 1st"}.get(str(schedule.get("frequency")))
    if always and not schedule.get("cronExpression"):
        yield f"The original sent always {always}; here it is the day of startDate, or of " + (
            "daysOfWeek." if "Monday" in always else "dayOfMonth."
        )
    if "T" in str(schedule.get("startDate") or ""):
        yield f"startDate {schedule['startDate']} is an instant; the day as written counts."
    if schedule.get("scheduledDate") or schedule.get("scheduledTime"):
        yield "scheduledDate and scheduledTime are read as startDate and executionTime."


def _sequence(raw: Raw) -> Iterator[str]:
    for number, push in enumerate(_pushes(raw), start=1):
        if not push.get("id"):
            yield f"Push {number} has no id; it gets one."
        if push.get("layerId") == 0:
            yield f"Push {number} is on layer 0, which has been layer 5 since; so it is here."
        unused = [name for name in _UNUSED_TIMES if _part(push, "timing").get(name)]
        if unused:
            yield f"Push {number}: not used here: timing.{', timing.'.join(unused)}."
        if _part(push, "timing").get("delayAfterPrevious"):
            yield f"Push {number}: delayAfterPrevious is waited for; the original waited 2 s."


def _criteria(raw: Raw) -> Iterator[str]:
    criteria = _part(raw, "audienceCriteria")
    if criteria.get("customQuery"):
        yield "audienceCriteria.customQuery is kept and never run: a script has to find its users."
    if criteria.get("customScript") and criteria.get("manualUserIds"):
        yield "Its script makes the audience; manualUserIds are left out."
    if _part(raw, "settings").get("testUserIds"):
        yield "settings.testUserIds get the tests; the original sent them to users of its scripts."


def _audiences(raw: Raw) -> Iterator[str]:
    script = str(_part(_part(raw, "audienceCriteria"), "customScript").get("scriptId") or "")
    pushes = _pushes(raw)
    if not script:
        return
    by_place = _WATERFALL if "waterfall" in script else _LAYER_3
    for number, push in enumerate(pushes, start=1):
        name, was = push.get("audienceName") or "default", by_place[(number - 1) % len(by_place)]
        if name == was:
            continue
        if name in ("default", "TEST") and (len(pushes) > 1 or name == "TEST"):
            yield (
                f"Push {number} names no audience (audienceName {name!r}); by its place the "
                f"original took {was}. Name one that the script writes."
            )
        else:
            yield f"Push {number} goes to {name!r}; by its place the original took {was}."


_JUDGES: Final[tuple[Callable[[Raw], Iterator[str]], ...]] = (
    _status,
    _send_time,
    _day,
    _sequence,
    _criteria,
    _audiences,
)
