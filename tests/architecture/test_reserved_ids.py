"""No automation gets an id under which one of our own paths would hide it."""

from collections.abc import Iterator
from pathlib import Path

from flask import Flask

from push_blaster.adapters.automations.automation_files import AUTOMATIONS
from push_blaster.app import create_app
from tests.push_blaster.settings import settings_for

ANY = "<automation_id>"


def test_every_part_of_a_path_that_hides_an_automation_is_reserved(tmp_path: Path) -> None:
    app = create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))

    hiding = set(_find_hiding(app))

    assert hiding >= {"new", "recipes"}, "the search finds what is known"
    assert {name for name in hiding if not AUTOMATIONS.reserved.fullmatch(name)} == set()


def _find_hiding(app: Flask) -> Iterator[str]:
    """Yield each fixed part that stands where another path has an automation's id."""
    rules = [(rule.methods or set(), rule.rule.split("/")) for rule in app.url_map.iter_rules()]
    for methods, parts in rules:
        if ANY not in parts:
            continue
        place = parts.index(ANY)
        for other_methods, others in rules:
            may_meet = "GET" in methods & other_methods and len(parts) == len(others)
            if may_meet and others[place][:1] != "<" and _leads_there(parts, others, place):
                yield others[place]


def _leads_there(parts: list[str], others: list[str], place: int) -> bool:
    """Return whether the paths are the same but for an id; before the id they have to be."""
    after = zip(parts[place + 1 :], others[place + 1 :], strict=True)
    return parts[:place] == others[:place] and all(
        own == other or "<" in own + other for own, other in after
    )
