"""The words of the pages: days in schedules, and placeholders as chips."""

from datetime import time

import pytest

from push_blaster.domain.automations.automation import Frequency, Schedule
from push_blaster.web.frame.template_filters import (
    chips,
    counted,
    kind_words,
    platform_words,
    schedule_words,
    variable_chips,
)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((1, 2, 3, 4, 5), "On weekdays at 09:00, UTC"),
        ((5, 4, 3, 2, 1), "On weekdays at 09:00, UTC"),
        ((0, 6), "On weekends at 09:00, UTC"),
        ((0, 1, 2, 3, 4, 5, 6), "Every day at 09:00, UTC"),
        ((2,), "Every Tuesday at 09:00, UTC"),
        ((1, 2, 4), "Every Monday, Tuesday and Thursday at 09:00, UTC"),
        ((), "Every week at 09:00, UTC"),
    ],
)
def test_the_days_of_a_week_have_the_words_that_people_use(
    days: tuple[int, ...], words: str
) -> None:
    schedule = Schedule(
        frequency=Frequency.WEEKLY, timezone="UTC", execution_time=time(9), days_of_week=days
    )

    assert schedule_words(schedule) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi [[var:first_name]]!", 'Hi <span class="chip value">first name</span>!'),
        (
            "[[var:plant|garden]]",
            '<span class="chip value" title="garden, for users without a value">plant</span>',
        ),
        ("<b>[[var:x]]", '&lt;b&gt;<span class="chip value">x</span>'),
        ("[[var:Größe]]", '<span class="chip value">Größe</span>'),
        ("No placeholder", "No placeholder"),
        ("Half [[var:x", "Half [[var:x"),
    ],
)
def test_a_placeholder_is_a_chip_with_the_name_of_the_column(text: str, shown: str) -> None:
    assert str(chips(text)) == shown


def test_a_variable_of_a_template_is_a_chip_beside_the_placeholders() -> None:
    shown = variable_chips("{{ city_name }} for [[var:x]] & you")

    assert shown == (
        '<span class="chip value">city name</span> for <span class="chip value">x</span> &amp; you'
    )


@pytest.mark.parametrize(
    ("value", "noun", "words"),
    [
        (0, "user", "0 users"),
        (1, "user", "1 user"),
        (2, "push", "2 pushes"),
        (1, "push", "1 push"),
        (1_000, "planned live send", "1\u202f000 planned live sends"),
    ],
)
def test_a_number_stands_with_the_right_form_of_its_noun(value: int, noun: str, words: str) -> None:
    assert counted(value, noun) == words


def test_devices_are_named_as_people_choose_them() -> None:
    assert [kind_words(kind) for kind in ("fcm", "webpush", "new")] == [
        "App, Firebase token",
        "Browser",
        "new",
    ]
    assert [platform_words(name) for name in ("ios", None, "tv")] == ["iOS", "not said", "tv"]
