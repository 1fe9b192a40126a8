"""Numbers and dates of a row as people of a language write them."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format
from babel.numbers import NumberPattern, get_decimal_symbol, get_group_symbol, parse_pattern

#: The language of users whose language nobody knows.
USUAL_LANGUAGE: Final = "en"
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.([0-9]{1,10}))?")
#: More digits than a number may have, so that none is rounded.
_DIGITS: Final = 50
#: The mark between the thousands in Switzerland.
_QUOTE: Final = "'"
#: The longest tag of a language that is looked up.
_LONGEST_TAG: Final = 35
#: How long the code of a language may be; a longer name, such as root, is none.
_LONGEST_CODE: Final = 3


def write_number(text: str, language: str) -> str | None:
    """Return a number with the marks of the language, and as many decimals; None if it is none.

    Shape: `text` has digits of ASCII, and a point before the decimals.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    locale = find_locale(language)
    pattern = _with_decimals(locale, len(found[1] or ""))
    with localcontext(prec=_DIGITS):
        if get_group_symbol(locale) != _QUOTE:
            return str(pattern.apply(Decimal(text), locale))
        # The library reads two of these marks in a number as a quotation, and drops them.
        in_english = str(pattern.apply(Decimal(text), find_locale(USUAL_LANGUAGE)))
    return in_english.translate({ord(","): _QUOTE, ord("."): get_decimal_symbol(locale)})


def write_date(text: str, language: str) -> str | None:
    """Return a day, or a day with its time of day, in words of the language; None if it is none.

    Shape: `text` is a date or an instant of ISO 8601; the time of day stays as it is written.
    """
    locale = find_locale(language)
    try:
        if len(text) <= len("2026-12-04"):
            return format_date(date.fromisoformat(text), "long", locale)
        at = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
    day = format_date(at.date(), "long", locale)
    time = format_time(at.time(), "short", locale=locale)
    pattern = str(get_datetime_format("medium", locale)).replace("'", "")
    return pattern.replace("{1}", day).replace("{0}", time)


@lru_cache(maxsize=512)
def find_locale(language: str) -> Locale:
    """Return the rules of a language such as `de-AT`, else those of `de`, else those of English."""
    parts = language[: _LONGEST_TAG + 1].replace("_", "-").split("-")
    while parts and len(language) <= _LONGEST_TAG and len(parts[0]) <= _LONGEST_CODE:
        try:
            return Locale.parse("_".join(parts))
        except (ValueError, TypeError, UnknownLocaleError):
            parts.pop()
    return Locale.parse(USUAL_LANGUAGE)


@lru_cache(maxsize=512)
def _with_decimals(locale: Locale, decimals: int) -> NumberPattern:
    whole = str(locale.decimal_formats[None].pattern).partition(".")[0]
    return parse_pattern(f"{whole}.{'0' * decimals}" if decimals else whole)


#: What writes the value of a placeholder, by the kind of the placeholder.
FORMATS: Final[Mapping[str, Callable[[str, str], str | None]]] = {
    "number": write_number,
    "date": write_date,
}
