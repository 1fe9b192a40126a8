"""Headers of audience scripts: in comments, in docstrings, and where there is none."""

from pathlib import Path

import pytest

from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.audiences.script_header import read_header
from push_blaster.domain.audiences.script import Parameter, ParameterType

LINES = """\
description: Whoever bought.
category: sales
runtime: 30 s
audiences: new_buyers, old_buyers
audience old_buyers: Bought before this year.
parameter hours (integer, default 48, at least 1, at most 720): How far to look back.
parameter product (string, required): Which product.
parameter tone (choice of short|long, default short): Which text.
parameter since (date)
"""
PARAMETERS = [
    Parameter(
        name="hours",
        type=ParameterType.INTEGER,
        default="48",
        minimum=1,
        maximum=720,
        description="How far to look back.",
    ),
    Parameter(
        name="product", type=ParameterType.STRING, required=True, description="Which product."
    ),
    Parameter(
        name="tone",
        type=ParameterType.CHOICE,
        choices=("short", "long"),
        default="short",
        description="Which text.",
    ),
    Parameter(name="since", type=ParameterType.DATE),
]
COMMENTS = "".join(f"# {line}\n" for line in LINES.splitlines())


def test_names_of_audiences_have_letters_of_any_script() -> None:
    header = read_header("# audiences: покупатели, नाम\n# audience नाम: Whoever bought.\n")

    assert header.audiences == {"नाम": "Whoever bought.", "покупатели": "покупатели"}


@pytest.mark.parametrize(
    "source",
    [
        f"{COMMENTS}import csv\n",
        f'"""Buyers.\n\n{LINES}"""\nimport csv\n',
        f'#!/usr/bin/env python3\n\n"""{LINES}"""\nimport csv\n',
        f"import csv\n\n{COMMENTS}",
    ],
)
def test_a_header_may_stand_in_comments_or_in_the_docstring(source: str) -> None:
    header = read_header(source)

    assert header.fields["description"] == "Whoever bought."
    assert header.audiences == {
        "old_buyers": "Bought before this year.",
        "new_buyers": "new buyers",
    }
    assert header.parameters == PARAMETERS
    assert header.faults == []


def test_code_that_looks_like_a_header_is_none() -> None:
    header = read_header('import csv\n\nclass A:\n    description: str = "x"\n    category: int\n')

    assert (header.fields, header.parameters) == ({}, [])


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ("flot", "'flot' is no type. Types: string, number"),
        ("integer, default many", "'many' is no whole number"),
        ("choice of a|b, default c", "'c' is none of a, b"),
        ("string, optional", "'optional' is none of: required, default …"),
        ("integer, default 0, at least 1", "0 is too little; give 1 or more."),
        ("integer, at most many", "could not convert string to float: 'many'"),
        ("date, at least 1", "only numbers have bounds, and date is none."),
    ],
)
def test_a_parameter_that_cannot_be_understood_is_a_fault(terms: str, said: str) -> None:
    header = read_header(f"# parameter hours ({terms}): How far.")

    assert header.parameters == []
    assert said in header.faults[0]


def test_a_script_without_a_header_has_the_originals_defaults(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("parser.add_argument('--product_id', required=True)")

    script = ScriptFolder(tmp_path).find("old")

    assert (script.description, script.category, script.estimated_runtime) == (
        "Audience generation script",
        "general",
        60,
    )
    assert script.parameters == ()
    assert "product_id" in script.arguments


@pytest.mark.parametrize("name", ["город", "नाम", "stadt_größe", "_x"])
def test_names_of_parameters_have_letters_of_any_script(name: str) -> None:
    header = read_header(f"# parameter {name} (string, default Berlin): where\n")

    ((found, default),) = [(p.name, p.default) for p in header.parameters]
    assert (found, default, header.faults) == (name, "Berlin", [])
