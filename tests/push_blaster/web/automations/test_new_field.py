"""A field that is added to automations as docs/development.md says: in two places, once each."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chassis.postgres import Database
from tests.documents import ROOT

DOMAIN = "services/push_blaster/domain/automations/automation.py"
SCHEMA = "services/push_blaster/adapters/automations/settings_schema.py"
ATTRIBUTE = "    rate_per_minute: int | None = None\n"
FIELD = """    courier_name = declare(
        optional(fields.String, validate=validate.OneOf(["post", "pigeon"])),
        FormField("Brought by", "delivery", "post or pigeon"),
        gives="courier",
    )
"""
BEFORE = "    rate_per_minute = declare(\n"
SEEN = """
import json, sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from marshmallow import ValidationError
from push_blaster.adapters.automations.automation_document import (
    complete_document, complete_or_why, read_automation)
from push_blaster.app import create_app
from tests.builders import a_document
from tests.page_reader import form_values
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.page_support import Visitor

def read(**settings):
    return read_automation(complete_document(a_document(settings=settings))).settings.courier

app = create_app(settings_for(sys.argv[1], Path(sys.argv[2])))
admin = Visitor(app, "admin")
client = app.test_client()
client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
news = a_document(id="news", settings={"courierName": "post"})
client.post("/api/automation/recipes", json=news)
edit = "/automations/news/edit"
page = admin.get(edit)
schemas = client.get("/api/openapi.json").get_json()["components"]["schemas"]
changed = admin.save(edit, **{"settings.courierName": "pigeon"})
stored = client.get("/api/automation/recipes/news").get_json()["data"]
print(json.dumps({
    "read": [read(courierName="pigeon"), read()],
    "refused": complete_or_why(a_document(settings={"courierName": "ship"}))[1],
    "openapi": schemas["AutomationSettings"]["properties"]["courierName"],
    "label": "Brought by" in page and "post or pigeon" in page,
    "shown": form_values(page, "editor")["settings.courierName"],
    "saved": [changed.status_code, stored["settings"]["courierName"]],
}))
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the sources in which settings have a courier more."""
    for name in ("services", "shared"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    add(tmp_path / DOMAIN, ATTRIBUTE, '    courier: str = "post"\n', after=True)
    add(tmp_path / SCHEMA, BEFORE, FIELD, after=False)
    return tmp_path


def add(path: Path, beside: str, text: str, *, after: bool) -> None:
    source = path.read_text()
    assert source.count(beside) == 1, f"{beside!r} is not once in {path.name}"
    path.write_text(source.replace(beside, beside + text if after else text + beside))


def test_a_field_that_is_declared_once_is_in_schema_document_and_form(
    house: Path, database: Database, push_url: str
) -> None:
    folders = map(str, (house / "services", house / "shared", ROOT))
    told = subprocess.run(
        [sys.executable, "-c", SEEN, push_url, str(house / "data"), *folders],
        cwd=house,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr[-3_000:]
    seen: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    assert seen["read"] == ["pigeon", "post"]
    assert seen["refused"] == "settings.courierName: Must be one of: post, pigeon."
    assert seen["openapi"] == {"type": "string", "nullable": True, "enum": ["post", "pigeon", None]}
    assert seen["label"]
    assert seen["shown"] == ["post"]
    assert seen["saved"] == [303, "pigeon"]
