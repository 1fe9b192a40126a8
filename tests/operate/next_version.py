"""The next version of the system: this code, and one more migration of each service."""

import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
#: What the next version adds to a table that every send uses.
ADDED: Final = {
    "push_blaster": "ALTER TABLE executions ADD COLUMN of_next_version text",
    "cadence_service": "ALTER TABLE reservations ADD COLUMN of_next_version text",
}
#: What a dump, or a forgotten report, reads for a long time.
READ: Final = {
    "push_blaster": "SELECT (SELECT count(*) FROM executions), (SELECT count(*) FROM deliveries)",
    "cadence_service": "SELECT (SELECT count(*) FROM reservations),"
    " (SELECT count(*) FROM user_notifications)",
}
MIGRATION: Final = '''"""What the next version adds."""

from chassis.migrations import run_sql

revision = "{number:04d}"
down_revision = "{before:04d}"


def upgrade() -> None:
    run_sql("{statement}")
'''


def make_next_version(folder: Path) -> dict[str, str]:
    """Write the next version to `folder`; return the settings with which processes run it."""
    for name in ("services", "shared"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for service, statement in ADDED.items():
        versions = folder / "services" / service / "migrations" / "versions"
        before = max(int(path.name[:4]) for path in versions.glob("[0-9]*.py"))
        text = MIGRATION.format(number=before + 1, before=before, statement=statement)
        (versions / f"{before + 1:04d}_next_version.py").write_text(text)
    return {"PYTHONPATH": f"{folder / 'services'}:{folder / 'shared'}"}
