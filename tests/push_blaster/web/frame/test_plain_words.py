"""Marketing's pages use people's words: no names of settings, fields and errors, no T, no slot."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.rows import execute
from push_blaster.web.frame.plain_words import leave_out_names
from tests.architecture.sources import ROOT
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

SETTINGS = re.compile(
    r"\b(?:PUSH|CADENCE|FCM|APNS|FIREBASE|WEBHOOK|WEBPUSH|LOG|METRICS)_[A-Z0-9_]+\b"
)
UNKNOWN_WORDS = (
    SETTINGS,
    re.compile(r"\b\w+(?:Error|Exception)\b"),
    re.compile(r"\bT\b"),
    re.compile(r"\b[Ss]lots?\b"),
    re.compile(r"\b(?:settings|schedule|safeguards|audienceCriteria|pushSequence)[.\[]\w"),
)
#: Pages of engineers and administrators.
NOT_MARKETING = (
    "pages_api_docs.",
    "pages_scripts.",
    "pages_tokens.",
    "pages_audit_log.",
    "pages_sign_in.",
)
BAD_SCRIPT = """
def main():
    return {}["city"]

main()
"""
OLD_REASON = (
    "Push 1 was stopped: it took longer than PUSH_TIME_LIMIT_SECONDS (settings.ratePerMinute)."
)


class _VisibleText(HTMLParser):
    """Collects what a person sees or hears, without the output of scripts and names in code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style", "pre", "samp", "code"}:
            self._hidden.append(tag)
        shown = {"title", "aria-label", "placeholder", "alt"}
        self.texts += [value for name, value in attrs if name in shown and value]

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.texts.append(" ".join(data.split()))


def find_unknown(page: str) -> list[str]:
    texts = _VisibleText(page).texts
    return [text for text in texts for word in UNKNOWN_WORDS if word.search(text)]


def marketing_paths(app: Flask, **values: str) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        is_page = rule.endpoint.startswith("pages_") and "GET" in (rule.methods or ())
        if is_page and not rule.endpoint.startswith(NOT_MARKETING):
            for action in re.findall(r"<any\(([^)]*)\)", rule.rule) or [""]:
                for one in action.replace("'", "").split(","):
                    path = re.sub(r"<any[^>]*>", one, rule.rule)
                    yield re.sub(r"<(?:\w+:)?(\w+)>", lambda m: values.get(m[1], NOTHING), path)


def walk(app: Flask, admin: Visitor, **values: str) -> dict[str, list[str]]:
    """Return the unknown words of each page that has some."""
    found = {}
    for path in marketing_paths(app, **values):
        answer = admin.client.get(path)
        assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text)
        found[path] = find_unknown(answer.text)
    return {path: texts for path, texts in found.items() if texts}


@pytest.fixture
def today(bench: Bench) -> Bench:
    bench.now = utc_now() - timedelta(minutes=10)
    return bench


NOTHING = "00000000-0000-4000-8000-000000000000"
VALUES = {"template_id": "onboarding_funnel", "version_id": "1"}


def test_the_empty_pages_use_peoples_words(app: Flask, admin: Visitor) -> None:
    found = walk(app, admin, automation_id="none", execution_id="none", **VALUES)

    assert found == {}


@pytest.mark.slow
def test_the_pages_of_automations_that_do_not_fit_use_peoples_words(
    app: Flask, admin: Visitor, client: FlaskClient, tmp_path: Path
) -> None:
    daily = {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"}
    create(
        client,
        status="active",
        isActive=True,
        schedule={**daily, "leadTimeMinutes": 1},
        settings={
            "testUserIds": ["nobody"],
            "cancellationWindowMinutes": 3,
            "ratePerMinute": 1,
            "requireApproval": True,
            "localTime": True,
        },
    )
    create(client, id="past", schedule={**daily, "endDate": "2020-01-01"})
    (tmp_path / "automations" / "torn.json").write_text("{")

    for automation_id in ("news", "past"):
        found = walk(app, admin, automation_id=automation_id, execution_id="none", **VALUES)
        assert found == {}, automation_id


def end_as(bench: Bench, execution_id: str, **columns: Any) -> None:
    sets = ", ".join(f"{name} = %({name})s" for name in columns)
    sql = f"UPDATE executions SET {sets} WHERE id = %(id)s"  # noqa: S608 - names of this file
    with bench.database.transaction() as connection:
        execute(connection, sql, {**columns, "id": execution_id})


def test_the_pages_of_what_went_wrong_use_peoples_words(
    app: Flask, admin: Visitor, client: FlaskClient, today: Bench
) -> None:
    create(client, audienceCriteria={"customScript": {"scriptId": "users"}})
    today.write_script(BAD_SCRIPT)
    failed = today.run(today.start())
    page = admin.get(f"/executions/{failed.id}")
    found = walk(app, admin, automation_id="news", execution_id=failed.id, **VALUES)

    assert "in line 3: there is no &#39;city&#39;." in page
    assert page.count("KeyError: &#39;city&#39;") == 3, "in outputs of the script only"
    assert found == {}

    for columns in ({"phase": "failed"}, {"phase": "completed", "uncapped_reason": OLD_REASON}):
        end_as(today, failed.id, reason=OLD_REASON, approval_reason=OLD_REASON, **columns)
        found = walk(app, admin, automation_id="news", execution_id=failed.id, **VALUES)
        assert found == {}


def test_a_message_leaves_out_what_stands_in_brackets() -> None:
    assert leave_out_names("Stopped after 4 h (PUSH_TIME_LIMIT_SECONDS).") == "Stopped after 4 h."
    assert leave_out_names("Off (schedule.graceMinutes, PUSH_X_Y) now.") == "Off now."
    assert leave_out_names("Set PUSH_DATA_DIR.") == "Set a setting of the installation."
    assert leave_out_names("UNREGISTERED (as FCM says)") == "UNREGISTERED (as FCM says)"
    assert leave_out_names(None) == ""


def test_every_setting_is_known_as_one() -> None:
    page = ROOT / "docs/settings.md"
    names = re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", page.read_text(), re.MULTILINE)

    assert names
    assert [name for name in names if not SETTINGS.fullmatch(name) and "_" in name] == []
