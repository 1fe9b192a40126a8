"""Templates of automations: variables, and texts that they fill in."""

from typing import Any

import pytest

from push_blaster.domain.automations.automation_template import (
    BadVariablesError,
    Value,
    Variable,
    VariableType,
    complete_values,
    fill_in,
    fill_in_link,
    find_malformed,
    find_names,
    write_texts,
)


def a_variable(**changes: Any) -> Variable:
    return Variable(**{"name": "x", "type": VariableType.STRING, **changes})


def a_number(**changes: Any) -> Variable:
    return a_variable(type=VariableType.NUMBER, **changes)


def complaint(variable: Variable, **given: object) -> str:
    with pytest.raises(BadVariablesError) as caught:
        complete_values([variable], given)
    return caught.value.complaints["x"]


def test_a_required_variable_with_a_default_may_be_left_out() -> None:
    assert complete_values([a_number(required=True, default=30)], {}) == {"x": 30}
    assert complete_values([a_number(required=True, default=30)], {"x": None}) == {"x": 30}


def test_an_optional_one_without_a_default_is_left_out() -> None:
    assert complete_values([a_variable()], {}) == {}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (VariableType.NUMBER, 0, "0"),
        (VariableType.NUMBER, 24.0, "24"),
        (VariableType.NUMBER, 0.5, "0.5"),
        (VariableType.NUMBER, 10**400, "1" + 400 * "0"),
        (VariableType.BOOLEAN, False, "false"),
        (VariableType.STRING, "", ""),
        (VariableType.ARRAY, [], ""),
        (VariableType.ARRAY, ["a", 2, True], "a, 2, true"),
        (VariableType.STRING, "{{x}} [[var:y]] \\1", "{{x}} [[var:y]] \\1"),
    ],
)
def test_every_value_is_filled_in_as_it_is(kind: VariableType, value: Value, text: str) -> None:
    variable = a_variable(type=kind, default="unused" if kind is VariableType.STRING else None)
    values = complete_values([variable], {"x": value})

    assert values == {"x": value}
    assert fill_in("<{{x}}|{{ x }}>", write_texts([variable], values)) == f"<{text}|{text}>"


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        (a_variable(required=True), None, "Missing. Give a string."),
        (a_variable(), 5, "5 is no string. Give a string."),
        (a_number(), "5", "'5' is no number. Give a number."),
        (a_number(), True, "True is no number. Give a number."),
        (a_number(), float("nan"), "nan is no number. Give a number."),
        (a_variable(type=VariableType.BOOLEAN), 0, "0 is no boolean. Give a boolean."),
        (a_variable(type=VariableType.ARRAY), "a", "'a' is no array. Give an array."),
        (a_variable(type=VariableType.ARRAY), [{}], "[{}] is no array. Give an array."),
        (
            a_number(minimum=1, maximum=168),
            0.5,
            "0.5 is below the minimum. Give a number from 1 to 168.",
        ),
        (a_number(maximum=7), 8, "8 is above the maximum. Give a number to 7."),
        (a_variable(minimum=1), "", "'' is below the minimum. Give a string from 1 characters."),
        (
            a_variable(type=VariableType.ARRAY, maximum=1),
            ["a", "b"],
            "['a', 'b'] is above the maximum. Give an array to 1 items.",
        ),
        (
            a_variable(pattern="[a-z]+"),
            "ab1",
            "'ab1' does not fit the pattern. Give a string that fits the pattern [a-z]+.",
        ),
        (a_variable(options=("a", "b")), "c", "'c' is none of the options. Give one of: a, b."),
        (
            a_variable(type=VariableType.ARRAY, options=("a", "b")),
            ["a", "c"],
            "'c' is none of the options. Give an array of any of: a, b.",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(
    variable: Variable, value: object, text: str
) -> None:
    assert complaint(variable, x=value) == text


def test_limits_are_inclusive() -> None:
    variable = a_number(minimum=1, maximum=168)

    assert complete_values([variable], {"x": 1}) == {"x": 1}
    assert complete_values([variable], {"x": 168}) == {"x": 168}


def test_every_fault_is_told_at_once_and_unknown_variables_too() -> None:
    variables = [a_variable(name="a", required=True), a_number(name="b")]

    with pytest.raises(BadVariablesError) as caught:
        complete_values(variables, {"b": "x", "c": 1})

    assert set(caught.value.complaints) == {"a", "b", "c"}
    assert caught.value.complaints["c"].endswith("Its variables: a, b.")


def test_a_wording_stands_for_a_value_in_texts() -> None:
    variable = a_variable(wording={"low": "Whenever you like", "": "Nothing"})

    assert write_texts([variable], {"x": "low"}) == {"x": "Whenever you like"}
    assert write_texts([variable], {"x": "high"}) == {"x": "high"}
    assert write_texts([variable], {"x": ""}) == {"x": "Nothing"}


def test_an_audiences_placeholders_pass_through() -> None:
    text = "{{x}} for [[var:first_name|you]]"

    assert fill_in(text, {"x": "News"}) == "News for [[var:first_name|you]]"


def test_a_text_without_a_value_has_a_gap_and_a_link_is_none() -> None:
    assert fill_in("a{{x}}b", {}) == "ab"
    assert fill_in_link("https://{{host}}/{{x}}", {"host": "h.example"}) == ""
    assert fill_in_link("https://h.example/fix", {}) == "https://h.example/fix"


def test_a_value_cannot_turn_a_link_elsewhere() -> None:
    link = fill_in_link("https://h.example/{{x}}", {"x": "a/../b?c#d e"})

    assert link == "https://h.example/a%2F..%2Fb%3Fc%23d%20e"


def test_names_and_what_only_looks_like_one() -> None:
    assert find_names("{{a}} {{ b }} {{a}} [[var:c]]") == ["a", "b"]
    assert find_malformed("{{a}} and {{1x}} more") == "{{1x}} more"
    assert find_malformed("{{a") == "{{a"
    assert find_malformed("{ {{a}} }") is None


@pytest.mark.parametrize(
    "name", ["имя", "नाम", "שם_פרטי", "名前2", "Straße", "ชื่อ", "caf\u00e9", "_x"]
)
def test_a_name_has_letters_of_any_script(name: str) -> None:
    text = f"Hi {{{{ {name} }}}}!"

    assert find_names(text) == [name]
    assert find_malformed(text) is None
    assert fill_in(text, {name: "Ada"}) == "Hi Ada!"
    assert fill_in_link(f"https://a.test/{{{{{name}}}}}", {name: "ü"}) == "https://a.test/%C3%BC"


def test_a_name_is_the_same_in_both_ways_to_write_its_letters() -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"

    assert find_names(f"{{{{{composed}}}}} {{{{{apart}}}}}") == [composed]
    assert complete_values([a_variable(name=composed)], {apart: "x"}) == {composed: "x"}
    assert fill_in(f"{{{{{apart}}}}}", {composed: "x"}) == "x"


@pytest.mark.parametrize("name", ["1а", "первое имя", "a-b", "a.b", "", "😀"])
def test_what_is_no_name_in_any_script_is_malformed(name: str) -> None:
    text = f"Hi {{{{{name}}}}}"

    assert find_malformed(text) == text[3:]
    assert fill_in(text, {name: "x"}) == text
