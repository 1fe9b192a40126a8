"""The documents have every command and every target of make, and name no other."""

import re
import tomllib
from collections.abc import Iterator
from typing import Final

import click

from cadence_service.cli import main as cadence_service
from local_stack.cli import main as local_stack
from push_backup.cli import main as push_backup
from push_blaster.cli import main as push_blaster
from tests.bench.__main__ import MEASUREMENTS
from tests.documents import ALL_TEXT, ROOT, find_code, read_tables

PROGRAMS: Final = {
    "push-blaster": push_blaster,
    "cadence-service": cadence_service,
    "push-backup": push_backup,
    "local-stack": local_stack,
}


def find_commands(
    called: str, command: click.Command | None
) -> Iterator[tuple[str, click.Command]]:
    """Yield each command and what it is called, those within a group of commands too."""
    assert command, called
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from find_commands(f"{called} {name}", command.get_command(context, name))
    else:
        yield called, command


COMMANDS: Final = dict(
    found for name, one in PROGRAMS.items() for found in find_commands(name, one)
)
#: The first words of commands that have two.
GROUPS: Final = {name.split()[1] for name in COMMANDS if name.count(" ") == 2}


def test_the_manual_has_every_command_and_no_other() -> None:
    rows = read_tables("docs/operations.md", "command", "what it does")

    assert {row["command"].strip("`") for row in rows} == COMMANDS.keys()


def test_every_command_that_a_page_names_is_there_with_its_options() -> None:
    call = re.compile(
        rf"\b({'|'.join(PROGRAMS)}) ((?:{'|'.join(GROUPS)}) )?([a-z][a-z-]*)([^`\n&#|]*)"
    )
    named = [
        (f"{program} {group}{name}", set(re.findall(r"--[a-z-]+", rest)))
        for program, group, name, rest in call.findall(re.sub(r"push-as [\w-]+ ", "", ALL_TEXT))
        if name not in GROUPS
    ]

    assert len(named) > 30
    for name, options in named:
        assert name in COMMANDS
        assert options <= {option for p in COMMANDS[name].params for option in p.opts}, name


def test_the_page_for_developers_has_every_target_and_no_other() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = read_first_cells("target", "what it does")

    assert listed == {f"make {target}" for target in targets}


def test_the_page_for_developers_has_every_measurement_and_no_other() -> None:
    listed = read_first_cells("measurement", "what it measures")

    assert listed == {f"make bench-{name}" for name in MEASUREMENTS}


def test_every_target_that_a_page_names_is_there() -> None:
    known = read_first_cells("target", "what it does")
    known |= read_first_cells("measurement", "what it measures") | {"make bench-all"}

    assert {code for code in find_code(ALL_TEXT) if re.fullmatch("make [a-z-]+", code)} <= known


def test_the_page_for_developers_has_every_marker_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    markers = project["tool"]["pytest"]["ini_options"]["markers"]

    assert read_first_cells("marker", "the test") == {
        marker.partition(":")[0] for marker in markers
    }


def read_first_cells(*headers: str) -> set[str]:
    rows = read_tables("docs/development.md", *headers)
    return {row[headers[0]].strip("`") for row in rows}
