"""The folder of audience scripts, as their headers describe them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from push_blaster.adapters.audiences.script_header import read_header
from push_blaster.domain.audiences.script import Parameter


class ScriptNotFoundError(Exception):
    """There is no script with this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An audience script.

    Shape: `audiences` are descriptions by name; without `parameters` the script takes any;
    `arguments` are the `--names` in its source; `faults` are header lines that cannot be read.
    Units: `estimated_runtime` in seconds.
    """

    id: str
    name: str
    path: Path
    description: str
    category: str
    estimated_runtime: int
    last_modified: datetime
    audiences: Mapping[str, str]
    parameters: tuple[Parameter, ...]
    arguments: frozenset[str]
    faults: tuple[str, ...]


class ScriptFolder:
    """The scripts of one folder: every `.py` file in it."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if it is not there."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def list_all(self) -> list[Script]:
        """Return every script, by file name."""
        return [_read_script(path) for path in sorted(self.folder.glob("*.py"))]

    def find(self, script_id: str) -> Script:
        """Return one script; ScriptNotFoundError lists the scripts."""
        scripts = {script.id: script for script in self.list_all()}
        if script_id not in scripts:
            known = ", ".join(scripts) or "none"
            raise ScriptNotFoundError(
                f"There is no audience script {script_id!r} in the scripts folder. Known: {known}."
            )
        return scripts[script_id]


def _read_script(path: Path) -> Script:
    source = path.read_text(encoding="utf-8", errors="replace")
    header = read_header(source)
    runtime = re.match(r"\d+", header.fields.get("runtime", ""))
    return Script(
        id=re.sub(r"[^a-z0-9]", "_", path.stem.lower()),
        name=path.stem.replace("_", " ").replace("-", " ").title(),
        path=path,
        description=header.fields.get("description", "Audience generation script"),
        category=header.fields.get("category", "general"),
        estimated_runtime=int(runtime[0]) if runtime else 60,
        last_modified=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        audiences=header.audiences,
        parameters=tuple(header.parameters),
        arguments=frozenset(re.findall(r"--([A-Za-z][\w-]*)", source)),
        faults=tuple(header.faults),
    )
