"""`python -m tests.day`: a day in an hour, and the verdict; exit 1 if anything is wrong."""

import shutil
import sys
import tempfile
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path

import click

from tests.day.day import live_through
from tests.day.faults import IN_TURN
from tests.day.judge import judge
from tests.day.plot import draw
from tests.day.report import report


@click.command()
@click.option("--minutes", default=60, show_default=True, help="How long; a fault each minute.")
@click.option("--plot", type=click.Path(path_type=Path), help="Where to draw memory, as an SVG.")
def main(minutes: int, plot: Path | None) -> None:
    """Live through a day; keep its folder if anything is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="day-"))
    folder.chmod(0o711)
    click.echo(f"{minutes} minutes in {folder}")
    faults = list(islice(cycle(IN_TURN), minutes - 1))
    day = live_through(folder, faults, timedelta(minutes=1), click.echo)
    wrong = judge(day)
    click.echo(report(day, wrong))
    if plot:
        plot.write_text(draw(day))
    if wrong:
        click.echo(f"Logs and data: {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


main()
