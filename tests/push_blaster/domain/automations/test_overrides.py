"""Overrides: what fits the fields of a provider, and how they are merged."""

from typing import Any

import pytest

from push_blaster.domain.automations.overrides import FIELDS, find_type_faults, merge_part

WRONG = [
    ({"android": {"ttl": "soon"}}, "android.ttl is no duration such as 3600s"),
    ({"android": {"ttl": "-1s"}}, "android.ttl is no duration such as 3600s"),
    ({"android": {"priority": "urgent"}}, "android.priority is none of NORMAL, HIGH"),
    (
        {"android": {"notification": {"vibrate_timings": ["1s", "2"]}}},
        "android.notification.vibrate_timings[1] is no duration such as 3600s",
    ),
    (
        {"android": {"notification": {"color": "blue"}}},
        "android.notification.color is no color such as #2060ff",
    ),
    (
        {"android": {"notification": {"event_time": "tomorrow"}}},
        "android.notification.event_time is no instant such as 2030-01-31T09:00:00Z",
    ),
    (
        {"android": {"notification": {"visibility": "hidden"}}},
        "android.notification.visibility is none of PRIVATE, PUBLIC, SECRET",
    ),
    (
        {"apns": {"payload": {"aps": {"interruption-level": "loud"}}}},
        "apns.payload.aps.interruption-level is none of active, passive, time-sensitive, critical",
    ),
    (
        {"webpush": {"fcm_options": {"link": "http://x.example"}}},
        "webpush.fcm_options.link is no https URL",
    ),
    (
        {"apns": {"fcm_options": {"analytics_label": "a b"}}},
        "apns.fcm_options.analytics_label is no label of 1 to 50 letters of ASCII, digits"
        " and -_.~%",
    ),
]
RIGHT = [
    {"android": {"ttl": "3.5s", "priority": "high"}},
    {"android": {"ttl": "[[var:seconds]]s", "notification": {"color": "#20Ff00"}}},
    {"android": {"notification": {"event_time": "2030-01-31T09:00:00.5+01:00"}}},
    {"webpush": {"notification": {"dir": "rtl"}, "fcm_options": {"link": "https://x.example/"}}},
]


@pytest.mark.parametrize(("platforms", "fault"), WRONG)
def test_a_value_that_every_phone_would_miss_is_named(platforms: Any, fault: str) -> None:
    assert [" ".join(found) for found in find_type_faults(platforms, dict(FIELDS))] == [fault]


@pytest.mark.parametrize("platforms", RIGHT)
def test_values_of_the_providers_form_and_placeholders_fit(platforms: Any) -> None:
    assert list(find_type_faults(platforms, dict(FIELDS))) == []


def test_a_header_has_one_name_in_any_case() -> None:
    merged = merge_part({"headers": {"TTL": "60", "Urgency": "high"}}, {"headers": {"ttl": "5"}})

    assert merged == {"headers": {"TTL": "5", "Urgency": "high"}}
