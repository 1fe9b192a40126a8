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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Hi\n[[vra:x]]", "line 2, column 1: '[[vra:x]]' is no placeholder"),
        ("Hi [[if:x]] you", "line 1, column 4: [[if:x]] has no [[end]]; add it."),
        ("[[if:x]]a\n [[if:y]]b[[end]]", "line 1, column 1: [[if:x]] has no [[end]]; add it."),
        ("a [[end]]", "line 1, column 3: [[end]] belongs to no [[if:name]]; leave it out."),
        ("[[else]]", "line 1, column 1: [[else]] belongs to no [[if:name]]; leave it out."),
        (
            "[[if:x]]a[[else]]b[[else]]c[[end]]",
            "line 1, column 19: [[else]] belongs to no [[if:name]]; leave it out.",
        ),
        ("[[if:x|y]]a[[end]]", "line 1, column 1: '[[if:x|y]]a[[end]]' is no placeholder"),
        ("[[number:1x]]", "line 1, column 1: '[[number:1x]]' is no placeholder"),
        (
            "[[if:x]]" * 6 + "[[end]]" * 6,
            "line 1, column 41: More than 5 conditions in one another.",
        ),
    ],
)
def test_a_fault_says_at_which_line_and_column_it_is(text: str, says: str) -> None:
    with pytest.raises(MalformedPlaceholderError) as refused:
        compile_template(text)

    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    ("value", "text"),
    [("Ada", "Hi Ada!"), (" ", "Hello!"), ("0", "Hello!"), ("False", "Hello!"), ("no", "Hello!")],
)
def test_a_condition_asks_for_a_value_that_is_no_no(value: str, text: str) -> None:
    template = compile_template("[[if:name]]Hi [[var:name]][[else]]Hello[[end]]!")

    assert template.render({"name": value}) == text


def test_a_condition_without_else_gives_nothing_and_conditions_nest() -> None:
    template = compile_template("a[[if:x]]b[[if:y]]c[[else]]d[[end]][[end]]e")

    rows: list[dict[str, str]] = [{}, {"x": "1"}, {"x": "1", "y": "1"}, {"y": "1"}]
    assert [template.render(row) for row in rows] == ["ae", "abde", "abce", "ae"]


def test_only_the_text_that_a_user_gets_needs_its_values() -> None:
    push = compile_push(a_push(title="[[if:vip]]Dear [[var:name]][[else]]Hi[[end]]"))

    assert push.find_unknown([]) == ["name", "vip"]
    assert push.find_missing({"vip": "", "name": ""}) == []
    assert push.find_missing({"vip": "yes", "name": ""}) == ["name"]
    assert push.render({"vip": ""}).title == "Hi"
    with pytest.raises(MissingVariableError, match="name"):
        push.render({"vip": "yes"})


def test_values_in_a_condition_cannot_lead_a_link_elsewhere() -> None:
    push = a_push(deep_link="https://x/[[if:id]][[var:id]][[else]][[number:n]][[end]]")

    assert compile_push(push).render({"id": "a/b", "n": ""}).deep_link == "https://x/a%2Fb"
    assert compile_push(push).render({"n": "1234"}).deep_link == "https://x/1%2C234"


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
    if not template.is_personal:
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
