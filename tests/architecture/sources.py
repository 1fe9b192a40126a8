"""The modules under services/ and shared/, for checks of their structure; migrations are apart."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted(
    path
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def place_of(path: Path) -> str:
    """Return the path of a module from the checkout on."""
    return str(path.relative_to(ROOT))
