"""A name that is no time zone is answered with the names that are most like it."""

import pytest

from push_blaster.domain.zones import describe_no_zone, find_zone, list_places


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("Europe/Belrin", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Germany/Berlin", "Europe/Berlin"),
        ("America/NewYork", "America/New_York"),
        ("Sao Paulo", "America/Sao_Paulo"),
    ],
)
def test_a_name_like_a_zone_is_answered_with_the_zone(written: str, near: str) -> None:
    assert f"{written!r} is no time zone; did you mean {near}" in describe_no_zone(written)


@pytest.mark.parametrize("written", ["", "Mars/Base", "x" * 10_000, "🕰", "GMT+1"])
def test_a_name_like_no_zone_is_answered_with_an_example(written: str) -> None:
    told = describe_no_zone(written)

    assert told.endswith("is no time zone; use a name such as Europe/Berlin.")
    assert len(told) < 150


def test_people_choose_among_places_that_exist() -> None:
    places = list_places()

    assert {"Europe/Berlin", "America/Chicago", "UTC"} <= set(places)
    assert [name for name in places if find_zone(name) is None] == []
