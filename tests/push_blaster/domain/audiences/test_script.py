"""Parameters of audience scripts: values that fit, and the messages for other values."""

from typing import Any

import pytest

from push_blaster.domain.audiences.script import (
    Parameter,
    ParametersError,
    ParameterType,
    read_parameters,
)


def a_parameter(kind: ParameterType, **changes: Any) -> Parameter:
    return Parameter(**{"name": "wanted", "type": kind, **changes})


TONE = a_parameter(ParameterType.CHOICE, choices=("short", "long"))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "as it is", "as it is"),
        ("string", 7, "7"),
        ("integer", 48, "48"),
        ("integer", "+048", "48"),
        ("integer", 48.0, "48"),
        ("number", 0.5, "0.5"),
        ("number", "1e3", "1e3"),
        ("boolean", True, "true"),
        ("boolean", "False", "false"),
        ("date", "2026-02-28", "2026-02-28"),
    ],
)
def test_what_fits_becomes_the_text_that_the_script_sees(
    kind: str, value: object, text: str
) -> None:
    parameter = a_parameter(ParameterType(kind))

    assert read_parameters("s", [parameter], {"wanted": value}) == {"wanted": text}


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("string", ["a"], "one value"),
        ("integer", "two days", "'two days' is no whole number; give one such as 48"),
        ("integer", 1.5, "no whole number"),
        ("integer", True, "no whole number"),
        ("integer", "9" * 31, "no whole number"),
        ("number", "much", "no number"),
        ("number", "nan", "no number"),
        ("number", True, "no number"),
        ("boolean", 1, "neither true nor false"),
        ("date", "28.2.2026", "write it as YYYY-MM-DD"),
        ("date", "2026-02-30", "write it as YYYY-MM-DD"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(kind: str, value: object, said: str) -> None:
    with pytest.raises(ParametersError, match=f"wanted: .*{said}"):
        read_parameters("s", [a_parameter(ParameterType(kind))], {"wanted": value})


def test_a_choice_lists_what_there_is() -> None:
    assert read_parameters("s", [TONE], {"wanted": "long"}) == {"wanted": "long"}
    with pytest.raises(ParametersError, match="'loud' is none of short, long"):
        read_parameters("s", [TONE], {"wanted": "loud"})


def test_a_number_lies_within_its_bounds() -> None:
    share = a_parameter(ParameterType.NUMBER, minimum=0, maximum=1)

    for fitting in (0, "0.5", 1):
        read_parameters("s", [share], {"wanted": fitting})
    with pytest.raises(ParametersError, match=r"-0\.5 is too little; give 0 or more\."):
        read_parameters("s", [share], {"wanted": -0.5})
    with pytest.raises(ParametersError, match=r"2 is too much; give 1 or less\."):
        read_parameters("s", [share], {"wanted": 2})


def test_defaults_are_filled_in_and_what_is_optional_may_be_left_out() -> None:
    declared = [
        a_parameter(ParameterType.INTEGER, name="hours", default="48"),
        a_parameter(ParameterType.STRING, name="note"),
    ]

    assert read_parameters("s", declared, {"hours": None}) == {"hours": "48"}


def test_every_fault_is_told_at_once() -> None:
    declared = [
        a_parameter(ParameterType.INTEGER, name="hours"),
        a_parameter(ParameterType.STRING, name="product", required=True, description="Which."),
    ]

    with pytest.raises(ParametersError) as caught:
        read_parameters("s", declared, {"hours": "x", "huors": 3})

    assert set(caught.value.faults) == {"hours", "product", "huors"}
    assert "It has: hours, product." in caught.value.faults["huors"]
    assert "required, a string: Which." in caught.value.faults["product"]


def test_a_script_that_declares_nothing_is_given_whatever_there_is() -> None:
    given = {"a": 1, "b": True, "c": ["x"], "d": None, "e": "text"}

    expected = {"a": "1", "b": "true", "c": '["x"]', "e": "text"}
    assert read_parameters("s", [], given) == expected
