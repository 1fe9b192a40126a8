"""What the documents name is there: pages, headings, files, tests."""

import re
from pathlib import Path

import pytest

from tests.documents import ALL_TEXT, PAGES, ROOT, find_code, read_tables

FOLDERS = "services|shared|deploy|tests|docs|domain|use_cases|adapters|web|migrations"
SERVICE = ROOT / "services" / "push_blaster"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors_of(page: Path) -> set[str]:
    """Return what a link may lead to within a page, as GitHub names its headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())

    for link in (link for link in links if "://" not in link):
        target, _, anchor = link.partition("#")
        there = page.parent / target if target else page
        assert there.exists(), link
        assert not anchor or anchor in anchors_of(there), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    """Below the checkout, below the page's own folder, or below push_blaster's."""
    roots = [ROOT, page.parent, SERVICE]
    named = [c for c in find_code(page.read_text()) if re.fullmatch(rf"(?:{FOLDERS})/[\w./-]*", c)]

    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_the_picture_of_an_execution_names_files_that_are_there() -> None:
    picture = (ROOT / "docs" / "life-of-an-execution.md").read_text().split("```")[1]
    named = re.findall(r"[\w/]+\.py\b", picture)
    floors = [SERVICE / "use_cases", SERVICE / "adapters"]

    assert len(named) > 15
    assert [name for name in named if not any((floor / name).exists() for floor in floors)] == []


def test_every_test_that_a_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", ALL_TEXT))
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in sources for name in re.findall(r"def (test_\w+)\(", text)}

    assert len(named) > 70
    assert named - there == set()


def test_no_threat_and_no_defect_is_without_its_test() -> None:
    rows = [
        *read_tables("docs/security.md", "Threat", "What stops it", "Shown by"),
        *read_tables("docs/migration.md", "defect", "what holds here", "shown by"),
    ]

    assert len(rows) > 60
    assert [row for row in rows if "`test_" not in list(row.values())[-1]] == []


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_every_page_is_in_the_list_of_pages(folder: str) -> None:
    listed = (ROOT / folder / "README.md").read_text()
    pages = {path.name for path in (ROOT / folder).glob("*.md")} - {"README.md"}

    assert {page for page in pages if f"({page})" not in listed} == set()
