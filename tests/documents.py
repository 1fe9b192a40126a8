"""The documents, as tests read them."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
#: Every page that a reader may open, except the changelog, which describes earlier versions.
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "deploy" / "install.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("services/*/README.md")),
]
ALL_TEXT: Final = "\n".join(page.read_text() for page in PAGES)


def read_tables(page: str, *headers: str) -> list[dict[str, str]]:
    """Return the rows of every table of `page` that has these headers, in order.

    Shape: cells by their header, without bold type.
    """
    rows: list[dict[str, str]] = []
    names: list[str] = []
    for line in (ROOT / page).read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.replace("**", ""))][1:-1]
        if not line.startswith("|"):
            names = []
        elif not names:
            names = cells
        elif tuple(names) == headers and set(line) - set("|-"):
            rows.append(dict(zip(names, cells, strict=True)))
    return rows


def find_code(text: str) -> list[str]:
    """Return the texts between backticks within lines, without blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
