"""Which CSV a push is bound to."""

import pytest

from push_blaster.domain.audiences.audience import (
    AudienceBindingError,
    bind_audience,
    read_file_name,
)


@pytest.mark.parametrize(
    ("name", "audience", "is_test"),
    [
        ("recent-buyers.csv", "recent_buyers", False),
        ("recent-buyers_20250818_120000.csv", "recent_buyers", False),
        ("recent-buyers_TEST_20250818_120000.csv", "recent_buyers", True),
        ("no-shoes-new-user-test-20250818_120000.csv", "no_shoes_new_user", True),
        ("Trending Items.CSV", "trending_items", False),
        ("latest-testers.csv", "latest_testers", False),
        ("a_20250818T120000Z.csv", "a", False),
        ("level-5.csv", "level_5", False),
        ("TEST.csv", "", True),
        ("продавцы_TEST_20250818.csv", "продавцы", True),
        ("Cafe\u0301 Gäste.Csv", "caf\u00e9_gäste", False),
        ("ग्राहक-2.csv", "ग्राहक_2", False),
    ],
)
def test_a_file_name_tells_its_audience(name: str, audience: str, is_test: bool) -> None:
    read = read_file_name(name)

    assert (read.audience, read.is_test) == (audience, is_test)


FILES = [read_file_name(name) for name in ("a-b_20250101_000000.csv", "a-b_TEST.csv", "c.csv")]


def test_a_push_is_bound_by_name_and_never_to_a_test_file() -> None:
    assert bind_audience("A B", FILES).file_name == "a-b_20250101_000000.csv"
    assert bind_audience("a_b", FILES, is_test=True).file_name == "a-b_TEST.csv"


@pytest.mark.parametrize(
    ("wanted", "other"), [("продавцы", "покупатели.csv"), ("कि", "की.csv"), ("客户", "名前.csv")]
)
def test_an_audience_in_another_script_is_not_given_another_one(wanted: str, other: str) -> None:
    with pytest.raises(AudienceBindingError, match="was not written"):
        bind_audience(wanted, [read_file_name(other)])


def test_two_files_whose_names_become_equal_are_both_named() -> None:
    files = [read_file_name(name) for name in ("Продавцы.csv", "продавцы.csv", "x.csv")]

    with pytest.raises(AudienceBindingError, match=r"ambiguous: Продавцы\.csv, продавцы\.csv"):
        bind_audience("ПРОДАВЦЫ", files)


def test_a_name_that_a_former_version_gave_still_means_its_file() -> None:
    assert bind_audience("k_ufer", [read_file_name("käufer.csv")]).file_name == "käufer.csv"


def test_default_is_the_only_file_that_there_is() -> None:
    assert bind_audience("default", [FILES[0], FILES[1]]).file_name == FILES[0].file_name
    with pytest.raises(
        AudienceBindingError, match=r"is ambiguous: a-b_20250101_000000\.csv, c\.csv"
    ):
        bind_audience("default", FILES)


def test_a_missing_audience_lists_what_was_found() -> None:
    with pytest.raises(AudienceBindingError, match=r"It wrote: a-b_20250101_000000\.csv, a-b_TEST"):
        bind_audience("x", FILES)
    with pytest.raises(AudienceBindingError, match="no CSV file at all"):
        bind_audience("x", [])
