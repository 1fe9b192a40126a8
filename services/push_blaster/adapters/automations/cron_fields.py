"""Which cron expressions an automation may have: unambiguous ones that fire at some time."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from croniter import CroniterError, croniter

#: Every minute of an hour by its number, and much in the other fields.
MAX_CRON: Final = 400
_ANY_DAY: Final = frozenset({"*", "?"})
#: croniter reads `R` and `H` as random, so the slots would change at every reading.
_BY_CHANCE: Final = re.compile(r"(^|,)[RH](?=[/(,]|$)", re.IGNORECASE)
_NTH_WEEKDAY: Final = re.compile(r"#|L\d", re.IGNORECASE)
#: Other systems write the second first; read as ours, a sixth field such as `*` fires all the time.
_SECOND: Final = re.compile(r"[0-9]{1,2}")
_HOW_TO: Final = (
    "Write minute, hour, day, month, weekday and, if need be, one second as the last field, such "
    "as '30 12 * * MON-FRI' or '30 12 * * MON-FRI 15'; the day 'L' is the month's last, the "
    "weekday 'FRI#2' the second Friday and 'L5' the last one."
)


class BadCronError(ValueError):
    """The expression cannot be a schedule; the message says why, and what to write."""


def check_cron(expression: str) -> None:
    """Raise BadCronError unless the expression is unambiguous and fires at some time."""
    fault = _find_excess(expression) or _find_ambiguity(expression) or _find_error(expression)
    if fault:
        raise BadCronError(
            f"{expression[:MAX_CRON]!r} is no cron expression that ever fires: {fault}. {_HOW_TO}"
        )


def _find_excess(expression: str) -> str | None:
    size = len(expression)
    return f"it has {size} characters, and {MAX_CRON} are allowed" if size > MAX_CRON else None


def _find_ambiguity(expression: str) -> str | None:
    fields = expression.split()
    if expression.startswith("@"):
        return None
    if len(fields) not in {5, 6}:
        return f"it has {len(fields)} fields, not 5 or 6"
    return _find_bad_second(fields) or _find_bad_day(fields)


def _find_bad_second(fields: Sequence[str]) -> str | None:
    if not all(_SECOND.fullmatch(second) for second in fields[5:]):
        return f"its last field, the second, is {fields[5]!r} and not one number"
    if fields[5:] and _fits_second_first(fields):
        return (
            "other systems write the second first and the weekday last, and would read it as the "
            f"hour {fields[2]} on the weekday {fields[5]}; here it is the hour {fields[1]} on the "
            f"day {fields[2]} of the month, at the second {fields[5]}. For the first, leave out "
            f"the second: {' '.join(fields[1:])!r}. For the other, take a second from 8 to 59"
        )
    return None


def _fits_second_first(fields: Sequence[str]) -> bool:
    """Return whether six fields also make a schedule if the second is their first one.

    One number would be its second, and the third field its hours: whoever gives a day of the month
    in this place can be understood in two ways. A push at every hour is nobody's intention.
    """
    second, *others = fields
    if not _SECOND.fullmatch(second) or fields[2] in _ANY_DAY:
        return False
    return _find_error(" ".join([*others, second])) is None


def _find_bad_day(fields: Sequence[str]) -> str | None:
    if any(_BY_CHANCE.search(field) for field in fields):
        return "R and H mean a time by chance"
    if fields[2] not in _ANY_DAY and _NTH_WEEKDAY.search(fields[4]):
        return f"the day {fields[2]} and the weekday {fields[4]} cannot both be given"
    return None


def _find_error(expression: str) -> str | None:
    try:
        croniter(expression, datetime(2026, 1, 1)).get_next()  # noqa: DTZ001 - naive local time
    except (CroniterError, ValueError, KeyError) as error:
        return str(error)
    return None
