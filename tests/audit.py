"""`make audit`: what is known against the versions that requirements-dev.lock pins.

The package index tells of each version what is known; one that tells only of the newest version
leaves open what an older one has, and the summary says so. Ends with 1 if something is known that
is no exception.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import requests
from pip._internal.models.index import PyPI

#: All that requirements.lock pins for the image is in it, too.
LOCK: Final = Path(__file__).parents[1] / "requirements-dev.lock"
#: Faults that do not concern us: by id, why, and since when.
EXCEPTIONS: Final[Mapping[str, str]] = {}
TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Pinned:
    """A package as the lock file has it."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known against a pinned package; None where the index tells of a newer one only."""

    pinned: Pinned
    known: Sequence[str] | None


def read_lock(text: str) -> list[Pinned]:
    """Return what the lock file pins."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
    return [Pinned(*pair) for pair in found]


def judge(pinned: Pinned) -> Judged:
    """Ask the package index about one package; requests' errors are raised."""
    told = _ask(f"{pinned.name}/{pinned.version}") or _ask(pinned.name)
    if told is None or told["info"]["version"] != pinned.version:
        return Judged(pinned, None)
    known = [v["id"] for v in told["vulnerabilities"] if not v.get("withdrawn")]
    return Judged(pinned, known)


def _ask(what: str) -> dict[str, Any] | None:
    answer = requests.get(f"{PyPI.pypi_url}/{what}/json", timeout=TIMEOUT_S)
    if answer.status_code == requests.codes.not_found:
        return None
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def summarise(
    judged: Sequence[Judged], exceptions: Mapping[str, str] = EXCEPTIONS
) -> tuple[list[str], bool]:
    """Return the lines of the summary, and whether all is well."""
    faults = [(one.pinned, id_) for one in judged for id_ in sorted(one.known or ())]
    unjudged = [one.pinned for one in judged if one.known is None]
    lines = [
        f"{pinned.name} {pinned.version}: {id_} ({exceptions.get(id_, 'upgrade it')})"
        for pinned, id_ in faults
    ]
    if unjudged:
        names = ", ".join(f"{pinned.name} {pinned.version}" for pinned in unjudged)
        lines.append(f"Not judged, as the index tells of newer ones only: {names}")
    excepted = sum(id_ in exceptions for _, id_ in faults)
    lines.append(
        f"{len(judged)} pinned, {len(judged) - len(unjudged)} judged; "
        f"faults known: {len(faults)}, excepted: {excepted}."
    )
    return lines, len(faults) == excepted


def main() -> None:
    """Judge what is pinned, and print the summary."""
    with ThreadPoolExecutor(4) as several:
        judged = list(several.map(judge, read_lock(LOCK.read_text())))
    lines, is_well = summarise(judged)
    click.echo("\n".join(lines))
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
