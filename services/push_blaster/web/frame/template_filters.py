"""The words of the pages: lengths of time, numbers, schedules, phases."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from markupsafe import Markup

from push_blaster.domain.audiences.script_failure import read_failure
from push_blaster.domain.automations.automation import Frequency, Schedule
from push_blaster.domain.cadence.names import name_layer, name_rule
from push_blaster.domain.delivery.template import (
    Condition,
    MalformedPlaceholderError,
    Placeholder,
    Template,
    compile_template,
)
from push_blaster.domain.executions.funnel import COUNTS
from push_blaster.domain.number_words import list_words, pluralize
from push_blaster.web.frame.internal_facts import tell_internal
from push_blaster.web.frame.page_times import read_times
from push_blaster.web.frame.plain_words import leave_out_names

DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

#: Days of the week that have a name together.
_GROUPS: Final = {
    frozenset(range(7)): "Every day",
    frozenset(range(1, 6)): "On weekdays",
    frozenset({0, 6}): "On weekends",
}

#: What has which colour on pages: phases, statuses and levels; see app.css.
_COLOURED: Final[Mapping[str, str]] = {
    "calm": "waiting cancelled stopped revoked off",
    "busy": "audience_generation test_sending audience_ready test_sent",
    "held": "cancellation_window skipped paused held_back no_token holdout deferred "
    "quiet_hours local_time_passed exited no_winner warning expired degraded",
    "live": "live_execution sending running",
    "good": "completed active scheduled succeeded sent success valid healthy on",
    "bad": "failed missed broken in_doubt token_dead missing_variable bad_deep_link too_long "
    "not_in_time critical error failing",
}
#: How a phase, a status or a level is coloured.
TONES: Final[Mapping[str, str]] = {
    name: tone for tone, names in _COLOURED.items() for name in names.split()
}

#: The states of the ledger in the words of the funnel.
OUTCOMES: Final[Mapping[str, str]] = {
    state.value: f"{count.label[0].upper()}{count.label[1:]}"
    for count in COUNTS.values()
    for state in count.states
}

MODES: Final[Mapping[str, str]] = {
    "live": "Live",
    "test-dry-run": "Test dry run",
    "test-live-send": "Test send",
    "real-dry-run": "Dry run",
    "simulation": "Simulation",
    "test-scheduled-send": "Scheduled test",
}

#: The kinds of devices, as people choose one.
DEVICE_KINDS: Final[Mapping[str, str]] = {
    "fcm": "App, Firebase token",
    "fid": "App, Firebase id",
    "apns": "iOS app, token of Apple",
    "apns_sandbox": "iOS app, token of Apple's sandbox",
    "webpush": "Browser",
    "webhook": "Webhook",
    "file": "File of sent messages",
}
PLATFORMS: Final[Mapping[str, str]] = {
    "": "not said",
    "ios": "iOS",
    "android": "Android",
    "web": "Web",
}

#: The units of a length of time, in seconds, each with its smaller unit; times.js reads them too.
SPAN_UNITS: Final = (
    (86_400, "d", 3_600, "h"),
    (3_600, "h", 60, "min"),
    (60, "min", 1, "s"),
)

_VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def day_words(day: date, *, with_year: bool = True) -> str:
    """Return a day as a person says it."""
    return f"{day:%a} {day.day} {day:{'%b %Y' if with_year else '%b'}}"


def count_down(at: datetime, now: datetime) -> str:
    """Return the time until `at`, or since then."""
    text = span(abs(at - now))
    return f"in {text}" if at > now else f"{text} ago"


def span(length: timedelta) -> str:
    """Return a length of time in its two largest units."""
    seconds = int(length.total_seconds())
    for size, large, per, small in SPAN_UNITS:
        if seconds >= size:
            rest = seconds % size // per
            return f"{seconds // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"


def number(value: float | None) -> str:
    """Return a number with its thousands separated."""
    return "—" if value is None else f"{value:,}".replace(",", "\u202f")


def counted(value: int, noun: str) -> str:
    """Return a number with its noun: 1 user, 2 users."""
    return f"{number(value)} {noun if value == 1 else pluralize(noun)}"


def kind_words(kind: str) -> str:
    """Return the words for a kind of devices."""
    return DEVICE_KINDS.get(kind, kind)


def platform_words(platform: str | None) -> str:
    """Return the words for a platform."""
    return PLATFORMS.get(platform or "", platform or "")


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 in percent; one that is not 0 is never shown as 0."""
    if share is None:
        return "—"
    if 0 < share < 0.001:
        return "under 0.1 %"
    text = f"{share * 100:.1f}".removesuffix(".0")
    return f"{text} %"


def times(ratio: float) -> str:
    """Return how many times as often something happens."""
    return f"{number(round(ratio))} times" if ratio >= 100 else f"{ratio:.2f} times"


def plain(value: object) -> object:
    """Return the text of a number in a form: a whole number without decimals."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def spell_out(name: str) -> str:
    """Return a name of the API as words: live_execution is Live execution."""
    return name.replace("_", " ").replace("-", " ").capitalize()


def outcome(state: str) -> str:
    """Return the words for a user's state in the ledger."""
    return OUTCOMES.get(state) or spell_out(state)


def mode_words(mode: str) -> str:
    """Return the words for a mode."""
    return MODES.get(mode, mode)


def tone(name: str) -> str:
    """Return the colour of a phase, status or level."""
    return TONES.get(name, "calm")


def schedule_words(schedule: Schedule) -> str:
    """Return a schedule as a person would say it."""
    at = f"{schedule.execution_time:%H:%M}" if schedule.execution_time else "00:00"
    said: dict[Frequency, Callable[[], str]] = {
        Frequency.ONCE: lambda: f"Once, on {schedule.start_date or 'no date'} at {at}",
        Frequency.DAILY: lambda: f"Every day at {at}",
        Frequency.WEEKLY: lambda: f"{_days(schedule)} at {at}",
        Frequency.MONTHLY: lambda: f"Every month on the {_day_of_month(schedule)} at {at}",
        Frequency.CUSTOM: lambda: f"Cron {schedule.cron_expression}",
    }
    return f"{said[schedule.frequency]()}, {schedule.timezone}"


def _days(schedule: Schedule) -> str:
    days = schedule.days_of_week
    if not days and schedule.start_date:
        days = (schedule.start_date.isoweekday() % 7,)
    names = [DAYS[day] for day in sorted(days)]
    return _GROUPS.get(frozenset(days)) or f"Every {list_words(names) or 'week'}"


def _day_of_month(schedule: Schedule) -> str:
    day = schedule.day_of_month or (schedule.start_date.day if schedule.start_date else 1)
    ending = "th" if day in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def as_text(value: object) -> str:
    """Return any value of a document as a person reads it."""
    if isinstance(value, list):
        return ", ".join(map(as_text, value)) or "—"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {as_text(part)}" for name, part in value.items()) or "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "—" if value in (None, "") else text


def chips(text: str) -> str | Markup:
    """Return a text of a push with each placeholder as a chip that has the name of the column."""
    try:
        return _show_template(compile_template(text))
    except MalformedPlaceholderError:
        return text


def _show_template(template: Template) -> Markup:
    return Markup("").join(map(_show_piece, template.pieces))


def _show_piece(piece: str | Placeholder | Condition) -> str | Markup:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Placeholder):
        return _chip(piece)
    otherwise = _word("else") + _show_template(piece.otherwise) if piece.otherwise.pieces else ""
    start = _word(f"if {piece.name.replace('_', ' ')}")
    return start + _show_template(piece.then) + otherwise + _word("end")


def _word(word: str) -> Markup:
    return Markup('<span class="chip">{}</span>').format(word)


def _chip(placeholder: Placeholder) -> Markup:
    name, fallback = placeholder.name.replace("_", " "), placeholder.fallback
    if fallback is None:
        return Markup('<span class="chip value">{}</span>').format(name)
    title = f"{fallback}, for users without a value" if fallback else "Nothing without a value"
    return Markup('<span class="chip value" title="{}">{}</span>').format(title, name)


def variable_chips(text: str) -> Markup:
    """Return a text of a template with each variable, and each placeholder, as a chip."""
    return Markup("").join(
        _chip(Placeholder(piece, None)) if place % 2 else chips(piece)
        for place, piece in enumerate(_VARIABLE.split(text))
    )


def pair_up(name: str) -> tuple[str, str]:
    """Return an option of a choice: what is sent, and what is shown."""
    return name, name


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "day_words": day_words,
    "span": span,
    "number": number,
    "counted": counted,
    "kind_words": kind_words,
    "platform_words": platform_words,
    "percent": percent,
    "times": times,
    "plain": plain,
    "words": spell_out,
    "outcome": outcome,
    "mode_words": mode_words,
    "layer_words": name_layer,
    "rule_words": name_rule,
    "tone": tone,
    "pair_up": pair_up,
    "as_text": as_text,
    "chips": chips,
    "variable_chips": variable_chips,
    "parsed": datetime.fromisoformat,
    "failure": read_failure,
    "internal": tell_internal,
}


def _say(text: str | None) -> Markup:
    """Return a message without the names of settings, and with times as the reader sees them."""
    return read_times().format_text(leave_out_names(text))


#: The filters for times; each shows them as the reader of the page chose.
TIME_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "instant": lambda at, own=None, **how: read_times().show_instant(at, own, **how),
    "clock_time": lambda at: read_times().show_clock_time(at),
    "time_of_day": lambda at, _zone=None: read_times().show_time_of_day(at),
    "countdown": lambda at, now: read_times().show_countdown(at, count_down(at, now)),
    "planned_time": lambda at, own: read_times().show_planned(at, own),
    "weekday": lambda at: read_times().name_day(at),
    "wall_time": lambda at: read_times().show_wall_time(at),
    "with_times": lambda text: read_times().format_text(text),
    "in_words": _say,
    "sentence": lambda text: _say(read_failure(text).sentence),
    "schedule_words": lambda schedule: read_times().format_text(schedule_words(schedule)),
}
