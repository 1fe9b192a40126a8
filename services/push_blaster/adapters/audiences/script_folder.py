"""The folder of audience scripts, as their headers describe them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from chassis.names import write_plain
from push_blaster.adapters.audiences.script_header import read_header
from push_blaster.domain.audiences.script import Parameter

#: How many characters of a script are looked at; its header comes first.
MAX_SOURCE: Final = 1024 * 1024
_TEST_WORD: Final = re.compile(r"(?<![^\W_])test(?![^\W_])", re.IGNORECASE)


class ScriptNotFoundError(Exception):
    """There is no script with this id."""


class ScriptIdClashError(ScriptNotFoundError):
    """Several scripts have that id; the message names their files."""


class AudienceName(NamedTuple):
    """An audience that a script writes."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An audience script.

    Shape: `audiences` are descriptions by name; without `parameters` the script takes any;
    `arguments` are the `--names` in its source; a script without the word TEST in its source
    writes no TEST rows; `faults` are header lines that cannot be read.
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
    mentions_test: bool
    faults: tuple[str, ...]

    @property
    def script_path(self) -> str:
        """The name of its file."""
        return self.path.name

    def read_lines(self) -> list[str]:
        """Return the lines of its source, as it is now."""
        return _read_source(self.path).splitlines()

    @property
    def named_audiences(self) -> list[AudienceName]:
        """The audiences that it writes."""
        return [AudienceName(*audience) for audience in self.audiences.items()]

    @property
    def requires_parameters(self) -> list[str]:
        """The required parameters; if none are declared, those that the source uses."""
        if self.parameters:
            return [parameter.name for parameter in self.parameters if parameter.required]
        return sorted(self.arguments & {"product_id"})

    @property
    def former_id(self) -> str:
        """The id that version 0.1.0 gave the script: it kept only the letters from a to z."""
        return re.sub(r"[^a-z0-9]", "_", self.path.stem.lower())


class ScriptFolder:
    """The scripts of one folder: every `.py` file in it."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made if it is not there."""
        self.folder = folder
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # the user of scripts reads them

    def list_all(self) -> list[Script]:
        """Return every script, by file name; scripts of one id say so in their faults."""
        paths = [path for path in sorted(self.folder.glob("*.py")) if path.is_file()]
        scripts = [_read_script(path) for path in paths]
        uses = Counter(script.id for script in scripts)
        return [
            replace(script, faults=(*script.faults, _describe_clash(script.id, scripts)))
            if uses[script.id] > 1
            else script
            for script in scripts
        ]

    def find(self, script_id: str) -> Script:
        """Return one script, by its present id or by its id in a former version.

        Raises: ScriptIdClashError; ScriptNotFoundError, which lists the scripts in the folder.
        """
        scripts = self.list_all()
        found = [script for script in scripts if script.id == script_id]
        found = found or [script for script in scripts if script.former_id == script_id]
        if len(found) > 1:
            raise ScriptIdClashError(_describe_clash(script_id, found))
        if not found:
            known = ", ".join(script.id for script in scripts) or "none"
            raise ScriptNotFoundError(
                f"There is no audience script {script_id!r} in the scripts folder. Known: {known}."
            )
        return found[0]


def _describe_clash(script_id: str, scripts: Sequence[Script]) -> str:
    files = ", ".join(s.path.name for s in scripts if script_id in {s.id, s.former_id})
    return f"Several scripts have the id {script_id!r}: {files}. Rename all but one of them."


def _read_source(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MAX_SOURCE)


def _read_script(path: Path) -> Script:
    source = _read_source(path)
    header = read_header(source)
    runtime = re.match(r"\d+", header.fields.get("runtime", ""))
    return Script(
        id=write_plain(path.stem),
        name=path.stem.replace("_", " ").replace("-", " ").title(),
        path=path,
        description=header.fields.get("description", "Audience generation script"),
        category=header.fields.get("category", "general"),
        estimated_runtime=int(runtime[0]) if runtime else 60,
        last_modified=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        audiences=header.audiences,
        parameters=tuple(header.parameters),
        arguments=frozenset(re.findall(r"--([^\W\d][\w-]*)", source)),
        mentions_test=bool(_TEST_WORD.search(source)),
        faults=tuple(header.faults),
    )
