"""Names and ids: what a reader would take for the same is the same."""

import pytest

from chassis.names import column_key, fold, trim_id


@pytest.mark.parametrize(
    ("one", "other"),
    [("Müller", "mu\u0308ller"), ("ПОКУПКИ", "покупки"), ("straße", "STRASSE"), ("Ⅷ", "ⅷ")],
)
def test_names_are_equal_whatever_their_case_and_encoding(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("продавцы", "покупатели"), ("कि", "की"), ("é", "e")])
def test_different_letters_make_different_names(one: str, other: str) -> None:
    assert fold(one) != fold(other)
    assert column_key(one) != column_key(other)


def test_spaces_underscores_and_what_no_eye_sees_do_not_count_in_a_column() -> None:
    assert column_key("\ufeffFirst\u00a0\u200bName ") == column_key("first__name") == "firstname"


def test_an_id_loses_what_no_eye_sees_and_keeps_the_rest() -> None:
    assert trim_id("\u200b \u00a0a B\u2060-c\u200e\t") == "a B-c"
