"""Merging: what one person changed, over what another person has saved."""

from typing import Any

import pytest

from push_blaster.web.frame.merging import MINE, THEIRS, UNKNOWN, Choose, Merge, merge


def undecided(_: str) -> None:
    return None


def merged(base: Any, mine: Any, theirs: Any, choose: Choose = undecided) -> Merge:
    return merge(base, mine, theirs, "id", choose)


def push(name: str, title: str = "") -> dict[str, str]:
    return {"id": name, "title": title or name}


def titles(found: Merge) -> list[str]:
    return [one["title"] for one in found.document["pushes"]]


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "both"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 2}),
        ({"s": {"a": 1, "b": 1}}, {"s": {"a": 2, "b": 1}}, {"s": {"a": 1}}, {"s": {"a": 2}}),
        ({"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}),
        ({}, {"a": ""}, {"b": 2}, {"b": 2}),
        ({"days": [5, 1]}, {"days": [1, 5]}, {"days": [5, 1, 2]}, {"days": [5, 1, 2]}),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}),
    ],
)
def test_each_field_goes_to_whoever_changed_it(
    base: Any, mine: Any, theirs: Any, both: Any
) -> None:
    found = merged(base, mine, theirs)

    assert (found.document, found.conflicts) == (both, [])


def test_a_field_that_both_changed_is_asked_about_and_goes_where_it_is_wanted() -> None:
    base, mine, theirs = ({"s": {"a": n}} for n in (1, 2, 3))

    (conflict,) = merged(base, mine, theirs).conflicts

    assert conflict == ("s.a", "s.a", 2, 3)
    assert merged(base, mine, theirs, lambda _: MINE).document == mine
    assert merged(base, mine, theirs, lambda _: THEIRS).document == theirs


@pytest.mark.parametrize(
    ("mine", "theirs", "order"),
    [
        ("ab", "abc", "abc"),
        ("ba", "ab", "ba"),
        ("ba", "abc", "bac"),
        ("abx", "aby", "abyx"),
        ("a", "ab", "a"),
        ("axb", "ab", "axb"),
        ("abx", "b", "bx"),
    ],
)
def test_objects_of_lists_are_known_by_their_name_not_their_place(
    mine: str, theirs: str, order: str
) -> None:
    def lists(names: str) -> dict[str, Any]:
        return {"pushes": [push(name) for name in names]}

    found = merged(lists("ab"), lists(mine), lists(theirs))

    assert "".join(titles(found)) == order
    assert not found.conflicts


def test_a_change_follows_its_object_to_another_place() -> None:
    base = {"pushes": [push("a"), push("b")]}
    mine = {"pushes": [push("a"), push("b", "Mine")]}
    theirs = {"pushes": [push("new"), push("b"), push("a", "Theirs")]}

    assert titles(merged(base, mine, theirs)) == ["new", "Mine", "Theirs"]


def test_what_one_removed_and_the_other_changed_is_a_conflict() -> None:
    base = {"pushes": [push("a"), push("b")]}
    without, changed = {"pushes": [push("a")]}, {"pushes": [push("a"), push("b", "New")]}

    (i_removed,) = merged(base, without, changed).conflicts
    (they_removed,) = merged(base, changed, without).conflicts

    assert i_removed[2:] == (None, push("b", "New"))
    assert they_removed[2:] == (push("b", "New"), None)
    assert merged(base, without, changed, lambda _: MINE).document == without
    assert merged(base, changed, without, lambda _: MINE).document == changed


@pytest.mark.parametrize("mine", ["bca", "aa"])
def test_lists_that_cannot_be_put_together_are_compared_as_a_whole(mine: str) -> None:
    base, theirs = ([push(n) for n in names] for names in ("abc", "cab"))

    (conflict,) = merged({"p": base}, {"p": [push(n) for n in mine]}, {"p": theirs}).conflicts

    assert conflict.path == "p"


def test_without_what_the_form_was_drawn_from_every_difference_is_a_conflict() -> None:
    found = merged(UNKNOWN, {"a": 1, "b": 1, "s": {"c": 2}}, {"a": 1, "b": 2, "s": {"c": 3}})

    assert [one.name for one in found.conflicts] == ["b", "s.c"]
