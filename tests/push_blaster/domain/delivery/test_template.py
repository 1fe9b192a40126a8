"""Placeholders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.domain.delivery.push_template import compile_push
from push_blaster.domain.delivery.template import (
    MalformedPlaceholderError,
    MissingVariableError,
    compile_template,
    name_column,
)
from tests.builders import a_push


def test_a_placeholder_takes_the_rows_value_or_its_fallback() -> None:
    template = compile_template("Hi [[var:name|friend]], your [[var:plant]]!")

    assert template.render({"name": "Ada", "plant": "fig"}) == "Hi Ada, your fig!"
    assert template.render({"name": " ", "plant": "fig"}) == "Hi friend, your fig!"
    assert compile_template("[[var:x|]]").render({}) == ""


def test_a_value_that_is_missing_without_fallback_is_named() -> None:
    with pytest.raises(MissingVariableError, match="plant"):
        compile_template("[[var:plant]]").render({"plant": ""})


@pytest.mark.parametrize(
    "text",
    [
        "[[vra:x]]",
        "[[var:]]",
        "[[var:x",
        "[[ var:x ]]",
        "[[x]]",
        "[[var:1x]]",
        "[[var:a-b]]",
        "[[var:a b]]",
        "[[var:ä b]]",
        "[[var:x|a|b]]",
        "[[",
    ],
)
def test_what_only_looks_like_a_placeholder_is_refused(text: str) -> None:
    with pytest.raises(MalformedPlaceholderError, match="is no placeholder"):
        compile_template(f"Hello {text}")


@given(st.text().filter(lambda value: bool(value.strip())))
def test_a_value_comes_out_as_it_is_whatever_it_holds(value: str) -> None:
    assert compile_template("<[[var:x]]>").render({"x": value}) == f"<{value.strip()}>"


@given(st.text())
def test_any_text_is_rendered_or_refused_but_never_changed(text: str) -> None:
    try:
        template = compile_template(text)
    except MalformedPlaceholderError:
        assert "[[" in text
        return
    if not template.placeholders:
        assert template.render({}) == text


@pytest.mark.parametrize("name", ["имя", "नाम", "ชื่อ", "prénom", "名前", "نام\u200cکاربر", "_x1"])
def test_a_name_may_have_letters_of_any_script(name: str) -> None:
    assert compile_template(f"[[var:{name}|-]]").render({name: "Ada"}) == "Ada"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("first_name", "First Name"),
        ("firstName", "first_name"),
        ("ИМЯ", "имя"),
        ("prénom", "Pre\u0301nom"),
        ("x", "X"),
    ],
)
def test_a_column_is_found_however_it_is_written(name: str, column: str) -> None:
    push = a_push(title=f"[[var:{name}]]")

    assert compile_push(push).find_unknown([column]) == []
    assert compile_push(push).find_missing({column: "Ada"}) == []
    assert compile_push(push).render({column: "Ada"}).title == "Ada"


def test_the_column_of_the_very_same_name_comes_first() -> None:
    assert compile_template("[[var:Name]]").render({"name": "a", "Name": "b"}) == "b"


def test_a_column_is_offered_under_a_name_that_finds_it() -> None:
    assert [name_column(c) for c in ("First Name", "имя", "Preis (€)", "1st", "")] == [
        "First_Name",
        "имя",
        None,
        None,
        None,
    ]


def test_values_cannot_lead_a_link_elsewhere() -> None:
    push = a_push(deep_link="https://shop.example.com/[[var:path]]?q=[[var:q|none]]")

    texts = compile_push(push).render({"path": "../@evil.example/a b", "q": ""})

    assert texts.deep_link == "https://shop.example.com/..%2F%40evil.example%2Fa%20b?q=none"


def test_placeholders_without_a_column_are_found_in_all_three_texts() -> None:
    push = a_push(title="[[var:a]]", body="[[var:b|x]]", deep_link="https://x/[[var:c]]")

    assert compile_push(push).find_unknown(["a"]) == ["b", "c"]


def test_a_fault_says_in_which_text_it_is() -> None:
    with pytest.raises(MalformedPlaceholderError, match="deepLink: "):
        compile_push(a_push(deep_link="https://x/[[y]]"))
