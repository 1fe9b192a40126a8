"""`python -m tests.operate`: an operator's night; exit 1 if anything is wrong."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from tests.deploy.documents_followed import find_unshare, follow, read_install, read_operate
from tests.operate.night import live_through, write_table
from tests.operate.steps import NIGHT

LONGEST_S: Final = 900.0


@click.command()
@click.option("--users", default=200, show_default=True, help="Users of each send.")
def main(users: int) -> None:
    """Live through the night; keep its folder if anything is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="operate-"))
    folder.chmod(0o711)
    click.echo(f"a night in {folder}; first the pages, block by block, on an empty machine")
    try:
        _follow_pages(folder / "machine")
        seen = live_through(folder, NIGHT, users, click.echo)
    except AssertionError as error:
        click.echo(f"{error}\nLogs and data: {folder}")
        sys.exit(1)
    click.echo("\n" + write_table(seen))
    shutil.rmtree(folder)


def _follow_pages(folder: Path) -> None:
    """Run every block of the pages for operators, where root runs this."""
    if find_unshare() is None:
        click.echo("The pages are not followed: only root can make an empty machine, by unshare.")
        return
    folder.mkdir()
    found = follow(folder, [*read_install(), *read_operate()], LONGEST_S)
    assert found["code"] == 0, (found["said"], found["complained"], found["logs"])


main()
