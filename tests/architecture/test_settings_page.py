"""docs/settings.md, deploy/env.example and the code say the same of every setting."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from cadence_service.settings import CadenceSettings
from chassis.settings import SettingsError
from push_blaster.settings import PushSettings
from tests.documents import ALL_TEXT, ROOT, read_tables

PAGE: Final = "docs/settings.md"
TOLD: Final = {
    row["setting"].strip("`"): row["default"]
    for row in read_tables(PAGE, "setting", "default", "what it is", "change it when")
}
LINES: Final = re.findall(
    r"^(# )?([A-Z_]+)=(.*)$", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE
)
EXAMPLE: Final = {name: "—" if is_off else value for is_off, name, value in LINES}
REQUIRED: Final = sorted(name for name, default in TOLD.items() if default == "required")


def test_the_page_has_every_setting_of_env_example_with_its_default() -> None:
    there = EXAMPLE.keys() - {"NAME_FILE"}

    assert list(there - TOLD.keys()) == [], f"write a line for each into a table of {PAGE}"
    assert list(TOLD.keys() - there) == [], f"{PAGE} names what is not there"
    assert {name: EXAMPLE[name] for name in TOLD.keys() - set(REQUIRED)} == {
        name: default for name, default in TOLD.items() if default != "required"
    }


def start(monkeypatch: pytest.MonkeyPatch, told: Mapping[str, str], folder: Path) -> object:
    """Return the settings of both services when this is all that they are told."""
    for name in EXAMPLE:
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        value = "token-of-the-tests" if value.startswith("change-me") else value
        monkeypatch.setenv(name, str(folder) if name == "PUSH_DATA_DIR" else value)
    return PushSettings.from_environ(), CadenceSettings.from_environ()


def test_the_example_s_placeholders_start_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PUSH_ADMIN_TOKEN", EXAMPLE["PUSH_ADMIN_TOKEN"])
    monkeypatch.setenv("CADENCE_API_TOKEN", EXAMPLE["CADENCE_API_TOKEN"])

    with pytest.raises(SettingsError, match=r"PUSH_ADMIN_TOKEN is a .* CADENCE_API_TOKEN is a "):
        PushSettings.from_environ()


def test_to_be_told_a_default_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    required = {name: EXAMPLE[name] for name in REQUIRED}
    written = {name: value for is_off, name, value in LINES if not is_off}

    assert start(monkeypatch, required, tmp_path) == start(monkeypatch, written, tmp_path)


@pytest.mark.parametrize("name", REQUIRED)
def test_without_what_the_page_calls_required_nothing_starts(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = {required: EXAMPLE[required] for required in REQUIRED if required != name}

    with pytest.raises(SettingsError, match=name):
        start(monkeypatch, told, tmp_path)


def test_every_setting_that_a_page_names_is_there() -> None:
    named = re.compile(r"\b(?:PUSH|CADENCE|FCM|FIREBASE|WEBPUSH|WEBHOOK|METRICS|LOG)_[A-Z_]+[A-Z]")
    of_the_server = set(named.findall((ROOT / "deploy" / "make-databases.sql").read_text()))
    variable_of_an_example = "PUSH_ID"

    unknown = set(named.findall(ALL_TEXT)) - EXAMPLE.keys() - {variable_of_an_example}
    unknown -= of_the_server

    assert {name for name in unknown if name.removesuffix("_FILE") not in EXAMPLE} == set()
