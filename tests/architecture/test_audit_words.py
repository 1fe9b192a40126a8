"""The audit log has words for every request that it records."""

import re
from pathlib import Path
from typing import Final

import pytest
from flask import Flask

from push_blaster.app import create_app
from push_blaster.use_cases.automations.control_automation import Action
from push_blaster.use_cases.original.control_sequence import SequenceAction
from push_blaster.web.access.audit_words import ABOUT, WORDS, find_words, list_groups
from push_blaster.web.automations.control import EXECUTE_NOW
from push_blaster.web.frame.csrf import READS
from tests.push_blaster.settings import settings_for

#: Routes with an action in their body.
ACTIONS: Final = {
    "control.act": (*Action, EXECUTE_NOW),
    "control.act_on_many": (Action.PAUSE, Action.RESUME),
    "sequences.act": tuple(SequenceAction),
}


@pytest.fixture
def app_of_routes(tmp_path: Path) -> Flask:
    return create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))


@pytest.fixture
def recorded(app_of_routes: Flask) -> list[tuple[str, str]]:
    """The endpoint and the rule of every route that is recorded."""
    return [
        (rule.endpoint, rule.rule)
        for rule in app_of_routes.url_map.iter_rules()
        if (rule.methods or set()) - READS
        and not hasattr(app_of_routes.view_functions[rule.endpoint], "only_reads")
    ]


def actions_of(endpoint: str, rule: str) -> list[str | None]:
    """Return the actions of a route, in its path or in its body; None for a route without any."""
    found = re.search(r"<any\(([^)]*)\):action>", rule)
    named = found[1].split(",") if found else ACTIONS.get(endpoint, ())
    return [action.strip("'") for action in named] or [None]


def test_every_recorded_route_has_words(recorded: list[tuple[str, str]]) -> None:
    silent = [
        (endpoint, action)
        for endpoint, rule in recorded
        for action in actions_of(endpoint, rule)
        if find_words(endpoint, {"action": action} if action else {}) is None
        or (action and f"{endpoint}:{action}" not in WORDS)
    ]

    assert len(recorded) > 40
    assert silent == [], "give these routes words in audit_words.py"


def test_no_words_are_left_of_a_route_that_is_gone(app_of_routes: Flask) -> None:
    assert {one.partition(":")[0] for one in WORDS} <= app_of_routes.view_functions.keys()


def test_every_recorded_route_belongs_to_a_filter(recorded: list[tuple[str, str]]) -> None:
    known = {group for about in ABOUT for group in list_groups(about)}

    assert {endpoint.partition(".")[0] for endpoint, _ in recorded} <= known
