"""`python -m tests.torture`: a long torture, and the verdict; exit 1 unless every count is zero."""

import shutil
import sys
import tempfile
from pathlib import Path

import click

from tests.torture.checker import find_faults
from tests.torture.report import report
from tests.torture.schedule import plan_events
from tests.torture.torture import torture


@click.command()
@click.option("--kills", default=1_000, show_default=True, help="How many kills -9.")
@click.option("--seed", default=1, show_default=True, help="The same seed does the same.")
def main(kills: int, seed: int) -> None:
    """Torture the real processes; keep their folder if anything is found."""
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    folder.chmod(0o711)
    click.echo(f"seed {seed}, {kills} kills, in {folder}")
    told = torture(folder, seed, plan_events(seed, kills), click.echo)
    findings = find_faults(told.evidence)
    click.echo(report(told, findings))
    if findings:
        click.echo(f"Again: make torture KILLS={kills} SEED={seed}. Logs and data: {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


main()
