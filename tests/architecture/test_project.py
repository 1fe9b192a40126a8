"""What holds for the project as a whole: guarded routes, listed settings, numbered migrations."""

import re
import subprocess
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from chassis.bearer_auth import is_open
from push_blaster.app import create_app
from tests.audit import read_lock
from tests.push_blaster.settings import settings_for
from tests.routes import fill_rule

ROOT = Path(__file__).parents[2]
SERVICES = sorted((ROOT / "services").glob("*/migrations/versions"))

#: Answers to everybody: health, the API's description of itself, the way in, style and scripts.
OPEN = {
    *("/health", "/api/health", "/openapi.json", "/api/openapi.json"),
    *("/health/live", "/health/ready"),
    *("/api/events", "/api/web-push", "/client/<any('push.js','push-worker.js'):name>"),
    *("/sign-in", "/sign-in/provider", "/sign-in/return"),
    *("/static/<path:filename>", "/bootstrap/static/<path:filename>"),
}


@pytest.fixture
def push_app(postgres: object, tmp_path: Path) -> Flask:
    return create_app(settings_for("postgresql://127.0.0.1:9/none", tmp_path))


@pytest.mark.parametrize("name", ["cadence_app", "push_app"])
def test_every_route_asks_for_a_token_or_is_meant_to_be_open(
    name: str, request: pytest.FixtureRequest
) -> None:
    app: Flask = request.getfixturevalue(name)
    stranger = app.test_client()
    rules = list(app.url_map.iter_rules())

    answers = {
        (rule.rule, method): stranger.open(fill_rule(rule.rule), method=method)
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not is_open(app, rule.endpoint) and rule.endpoint != "static"
    }

    assert {rule.rule for rule in rules if is_open(app, rule.endpoint)} <= OPEN
    assert answers
    let_in = {where: answer for where, answer in answers.items() if not _is_sent_away(answer)}
    assert not let_in


def _is_sent_away(answer: TestResponse) -> bool:
    is_shown_the_door = answer.status_code == 303 and answer.location.startswith("/sign-in?next=")
    return answer.status_code == 401 or is_shown_the_door


def test_every_setting_is_in_env_example_and_the_other_way_round() -> None:
    read = re.compile(r'(?:env\.\w+\(|(?:read|require)_\w+(?:\(\s*env)?,)\s*"([A-Z_]+)"')
    roles = re.compile(r'"((?:PUSH|CADENCE)_\w+_TOKEN)"')
    sources = [path.read_text() for path in ROOT.glob("s*/*/*settings.py")]
    known = {name for text in sources for name in (*read.findall(text), *roles.findall(text))}
    example = (ROOT / "deploy" / "env.example").read_text()
    listed = set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE)) - {"NAME_FILE"}

    assert len(known) > 30
    assert known == listed


@pytest.mark.parametrize("folder", SERVICES, ids=lambda folder: folder.parts[-3])
def test_migrations_are_numbered_in_a_row(folder: Path) -> None:
    names = sorted(path.stem for path in folder.glob("*.py"))

    assert [name[:4] for name in names] == [f"{n:04d}" for n in range(1, len(names) + 1)]
    for number, name in enumerate(names, start=1):
        source = (folder / f"{name}.py").read_text()
        before = f'"{number - 1:04d}"' if number > 1 else "None"
        assert f'revision = "{number:04d}"\ndown_revision = {before}\n' in source


#: Taken away before anybody ran a release of it.
TAKEN_AWAY = {"0005_held_slots"}


@pytest.mark.parametrize("folder", SERVICES, ids=lambda folder: folder.parts[-3])
def test_no_migration_takes_away_what_an_older_version_still_uses(folder: Path) -> None:
    takes_away = re.compile(r"\b(DROP (TABLE|COLUMN)|RENAME|SET NOT NULL)\b")

    found = {path.stem for path in folder.glob("*.py") if takes_away.search(path.read_text())}

    assert found <= TAKEN_AWAY


@pytest.mark.parametrize("folder", SERVICES, ids=lambda folder: folder.parts[-3])
def test_no_migration_asks_for_a_column_that_an_older_version_does_not_write(folder: Path) -> None:
    added = re.compile(r"\bADD COLUMN\b[^,;]*\bNOT NULL\b[^,;]*")

    found = [line for path in folder.glob("*.py") for line in added.findall(path.read_text())]

    assert [line for line in found if "DEFAULT" not in line] == []


def test_make_says_what_it_can_do() -> None:
    done = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)

    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets
    for target in set(targets[1].split()) - {"help"}:
        assert re.search(rf"make {target} +\S", done.stdout), target


def test_nothing_of_ours_is_ignored() -> None:
    done = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    made = re.compile(
        r"^(\.venv|var|screenshots|build|dist)/|__pycache__/|_cache/|\.egg-info/|\.hypothesis/"
        r"|^\.coverage(\.|$)"
    )

    assert [path for path in done.stdout.splitlines() if not made.search(path)] == []


LOCKS = {"requirements.lock": 40, "requirements-dev.lock": 100}


@pytest.mark.parametrize(("name", "least"), LOCKS.items())
def test_a_lock_file_names_no_host_and_every_hash(name: str, least: int) -> None:
    lock = (ROOT / name).read_text()

    assert "://" not in lock
    pinned = re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE | re.IGNORECASE)
    assert len(pinned) > least
    assert len(re.findall(r"^[a-z0-9._-]+==\S+ \\$", lock, re.MULTILINE)) == len(pinned)


def test_what_the_image_has_is_what_was_tested() -> None:
    shipped, tested = (set(read_lock((ROOT / name).read_text())) for name in LOCKS)

    assert shipped < tested


def test_every_dependency_has_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[0]
    asked = [line for line in project.splitlines() if re.match(r'^  "[a-z]', line)]

    assert len(asked) > 30
    assert [line for line in asked if "# " not in line] == []
