"""JSON is read up to a number of values and a nesting: what is parsed costs memory."""

import orjson
import pytest

from chassis.http.fast_json import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_VALUES,
    TooComplexError,
    read_json,
)


def test_what_is_within_the_limits_is_read() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert read_json("[" + "1," * 999_999 + "1]")[-1] == 1
    assert read_json(f'{{"a": {deepest[1:-1]}, "b": {[[]] * 100}}}')["b"][99] == []


@pytest.mark.slow
def test_what_stands_in_a_text_counts_for_nothing() -> None:
    rows = 'a,"b",[{\\\n' * 300_000

    assert read_json(orjson.dumps({"csvData": rows, "splitCount": 3}))["csvData"] == rows
    with pytest.raises(TooComplexError):
        read_json(b'["x\\"",' + b'"",' * MAX_VALUES + b"1]")


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * 500 + "1" + "}" * 500,
        f"[{'[],' * 70}{'[' * (MAX_DEPTH + 1)}{']' * (MAX_DEPTH + 1)}]",
        "[" + "{}," * MAX_CONTAINERS + "1]",
        "[" + "1," * MAX_VALUES + "1]",
    ],
    ids=["arrays", "objects", "behind others", "many objects", "many values"],
)
def test_what_nests_too_deeply_or_has_too_many_values_is_refused(text: str) -> None:
    with pytest.raises(TooComplexError, match="more than"):
        read_json(text)
