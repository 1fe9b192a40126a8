"""Patterns of templates: whatever somebody writes, a check ends soon."""

import time

import pytest

from push_blaster.domain.automations.automation_template import Variable, VariableType, find_fault


def _find(pattern: str, value: str) -> str | None:
    variable = Variable(name="city", type=VariableType.STRING, pattern=pattern)
    return find_fault(variable, value)


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("[A-Z][a-z]+", "Berlin", True),
        ("[A-Z][a-z]+", "Berlin 1", False),
        ("берлин|рим", "рим", True),
        (".{3}", "\U0001f331ab", True),
        (".*", "\ud800", True),
        (".*", "x" * 10_001, False),
    ],
)
def test_a_pattern_fits_the_whole_text(pattern: str, value: str, *, fits: bool) -> None:
    assert (_find(pattern, value) is None) is fits


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)*b", "(a*)*b", "([a-z]+.?)+b", "(.?){500}b"])
def test_a_pattern_that_hangs_other_machines_ends_soon(pattern: str) -> None:
    began_at = time.monotonic()

    fault = _find(pattern, "a" * 9_999)

    assert fault
    assert time.monotonic() - began_at < 5
