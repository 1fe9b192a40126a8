"""Numbers and dates in the languages of users."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.domain.delivery.push_template import Wordings, compile_push
from push_blaster.domain.delivery.template import compile_template
from push_blaster.domain.delivery.value_formats import find_locale
from tests.builders import a_push


@pytest.mark.parametrize(
    ("language", "number", "day"),
    [
        ("", "1,234,567.50", "December 4, 2026"),
        ("en-GB", "1,234,567.50", "4 December 2026"),
        ("de", "1.234.567,50", "4. Dezember 2026"),
        ("DE_at", "1.234.567,50", "4. Dezember 2026"),
        ("de-ZZ", "1.234.567,50", "4. Dezember 2026"),
        ("hi", "12,34,567.50", "4 दिसंबर 2026"),
        ("ar", "1,234,567.50", "4 ديسمبر 2026"),
        ("de-CH", "1'234'567.50", "4. Dezember 2026"),
        ("it-CH", "1'234'567.50", "4 dicembre 2026"),
        ("gsw", "1'234'567.50", "4. Dezämber 2026"),
        ("tlh", "1,234,567.50", "December 4, 2026"),
        ("root", "1,234,567.50", "December 4, 2026"),
    ],
)
def test_a_value_is_written_as_the_users_language_does(
    language: str, number: str, day: str
) -> None:
    template = compile_template("[[number:n]]/[[date:d]]")

    row = {"n": "1234567.50", "d": "2026-12-04", "language": language}
    assert template.render(row).replace("\N{NO-BREAK SPACE}", " ") == f"{number}/{day}"


@pytest.mark.parametrize("value", ["1234", "-7", "+0.125", "0", "123456789012345678901234567890"])
def test_no_digit_of_a_number_is_lost(value: str) -> None:
    written = compile_template("[[number:n]]").render({"n": value})

    assert written.replace(",", "") == value.lstrip("+")
    swiss = compile_template("[[number:n]]").render({"n": value, "language": "de-CH"})
    assert swiss == written.replace(",", "'")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("2026-12-04T09:30:00+01:00", "4. Dezember 2026, 09:30"),
        ("2026-12-04 21:05", "4. Dezember 2026, 21:05"),
        ("0001-01-01", "1. Januar 1"),
        ("9999-12-31T23:59:59-12:00", "31. Dezember 9999, 23:59"),
    ],
)
def test_a_time_of_day_stays_as_it_is_written(value: str, written: str) -> None:
    assert compile_template("[[date:at]]").render({"at": value, "language": "de"}) == written


@pytest.mark.parametrize("kind", ["number", "date"])
@pytest.mark.parametrize("value", ["many", "12,5", "1e5", "NaN", "٣", "2026-02-30", "2026-12-04T"])
def test_what_is_none_gives_way_to_the_fallback_or_stays(kind: str, value: str) -> None:
    assert compile_template(f"[[{kind}:x|soon]]").render({"x": value}) == "soon"
    assert compile_template(f"[[{kind}:x]]").render({"x": value}) == value


@given(value=st.text(max_size=40), language=st.text(max_size=40))
def test_no_value_and_no_language_is_a_fault(value: str, language: str) -> None:
    row = {"x": value, "language": language}

    assert compile_template("[[number:x|-]][[date:x|-]]").render(row)
    assert find_locale(language).language


def test_the_column_of_the_language_is_kept_where_a_text_needs_it() -> None:
    columns = ["Language", "count", "other"]
    formatted = a_push(title="[[if:count]][[number:count]][[end]]")
    plain = a_push(title="[[var:count]]")

    kept = [Wordings("a", push).find_used(columns) for push in (formatted, plain)]

    assert kept == [["Language", "count"], ["count"]]
    assert compile_push(formatted).find_unknown(["count"]) == []
