"""Rules and layers are told in words."""

import pytest

from push_blaster.domain.cadence.names import count_by_rule, name_layer, name_rule


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("layer_3_cooldown_hours", "Pause between behaviour-responsive pushes"),
        ("combined_l2_l3_limit_hours", "Limit for layers 2 and 3 together"),
        ("layer_5_cooldown_hours", "Pause between pushes of the new-user series"),
        ("weekly_cap", "Weekly cap"),
        ("daily-limit", "Daily limit"),
        ("weeklyCap", "Weekly Cap"),
        ("layer_2_pause", "Layer 2 pause"),
        ("invalidUuid", "User id that is not valid"),
        ("At most 3 a week", "At most 3 a week"),
        ("_", "_"),
        ("", ""),
    ],
)
def test_a_rule_is_named_in_words(name: str, words: str) -> None:
    assert name_rule(name) == words


def test_each_rule_says_how_many_users_it_caps() -> None:
    counts = count_by_rule({"layer_3_cooldown_hours": 3, "weekly_cap": 2})

    assert counts == "Pause between behaviour-responsive pushes: 3, Weekly cap: 2"


def test_a_layer_has_its_number_and_its_meaning() -> None:
    assert (name_layer(3), name_layer(77)) == ("3 · Behaviour-responsive", "77 · Unknown")
