"""Templates: what a browser would read in another way than it is written."""

import re

from tests.documents import ROOT

TEMPLATES = ROOT / "services" / "push_blaster" / "web" / "templates"


def _has_form_in_form(template: str) -> bool:
    depth = 0
    for tag in re.findall(r"<form\b|</form>", template):
        depth += 1 if tag == "<form" else -1
        if depth > 1:
            return True
    return False


def test_no_form_stands_in_another_one_because_browsers_leave_the_inner_one_out() -> None:
    nested = [p.name for p in TEMPLATES.rglob("*.html") if _has_form_in_form(p.read_text())]

    assert nested == []
