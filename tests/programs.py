"""Programs of the machine that some tests need; `.ci/run` installs them and asks for each."""

import os
import shutil

import pytest


def find_program(name: str, setting: str) -> str:
    """Return the path of `name`, servers' folders included; see `or_not_run`."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    return or_not_run(found, name, setting)


def or_not_run(found: str | None, name: str, setting: str) -> str:
    """Return what was found; without it a test is not run, and fails where `setting`=1 asks."""
    if found is None and os.environ.get(setting) == "1":  # noqa: TID251 - .ci/run sets it
        pytest.fail(f"{name} is missing, and {setting}=1 asks for it.")
    if found is None:
        pytest.skip(f"not run: {name} is not installed")  # docs/development.md tells; never in CI
    return found
