"""Cases that nobody thought of, thrown at the routes that an OpenAPI document tells of.

`make fuzz CASES=100000` throws so many at both services together.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import getenv
from typing import Any, Final

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chassis.problems import PROBLEM_JSON

#: Of both services together; a route gets its part of those of its service.
CASES: Final = int(getenv("FUZZ_CASES", "1200"))
CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CALM: Final = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)


def operations(app: Flask, path: str) -> list[Any]:
    """Return every method of every route that the document at `path` tells of."""
    found = schemathesis.openapi.from_wsgi(path, app).get_all_operations()
    return [operation.ok() for operation in found if isinstance(operation, Ok)]


@dataclass(frozen=True, slots=True)
class Thrown:
    """How cases are thrown: how many at a route, with which token, and with which ids by name.

    Shape: every second case asks for what is `known`.
    """

    cases: int
    token: str
    known: Mapping[str, str]


def throw_at(operation: Any, thrown: Thrown, request: pytest.FixtureRequest) -> None:
    """Throw this route's cases at it, and note how it answered."""
    answers: Counter[str] = Counter()

    @settings(CALM, max_examples=max(1, thrown.cases))
    @given(case=_cases(operation), asks_for_known=st.booleans())
    def throw(case: Any, *, asks_for_known: bool) -> None:
        if asks_for_known:
            _name_known(operation, case, thrown.known)
        response = case.call(headers={"Authorization": f"Bearer {thrown.token}"})
        case.validate_response(response, checks=CHECKS)
        _check_told(operation, response)
        answers[f"{response.status_code // 100}xx"] += 1

    throw()
    request.node.user_properties.append(("answers", dict(answers)))


def _cases(operation: Any) -> st.SearchStrategy[Any]:
    """Return what fits the description, and what does not where there is anything to get wrong."""
    fitting = operation.as_strategy()
    if not (operation.body or operation.query or operation.headers):
        return fitting  # type: ignore[no-any-return]  # schemathesis tells no types
    return fitting | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)  # type: ignore[no-any-return]  # likewise


def _name_known(operation: Any, case: Any, known: Mapping[str, str]) -> None:
    for parameters, part in (
        (operation.path_parameters, case.path_parameters),
        (operation.query, case.query),
    ):
        names = {parameter.name for parameter in parameters}
        part.update({name: value for name, value in known.items() if name in names})
    if isinstance(case.body, dict):
        case.body.update({name: known[name] for name in case.body.keys() & known.keys()})


def _check_told(operation: Any, response: Any) -> None:
    """Check the answer: a success has its own status, a refusal is a problem with its reason."""
    told = operation.definition.raw["responses"]
    if not 400 <= response.status_code < 500:
        assert str(response.status_code) in told, (operation.label, response.status_code)
        return
    assert response.headers["content-type"] == [PROBLEM_JSON], operation.label
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]


def add_up(reports: Iterator[Any]) -> Mapping[str, Counter[str]]:
    """Return by test file how its cases were answered."""
    told: dict[str, Counter[str]] = {}
    for report in reports:
        for name, answers in report.user_properties:
            if name == "answers":
                told.setdefault(report.location[0], Counter()).update(answers)
    return told
