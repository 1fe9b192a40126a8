"""Pages show messages without the names of settings, which stand in brackets."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

SERVICE = ROOT / "services/push_blaster"
TEMPLATES = SERVICE / "web/templates"
SETTINGS = re.compile(r"\b(?:PUSH|CADENCE|FCM|FIREBASE|WEBHOOK|WEBPUSH|LOG|METRICS)_[A-Z0-9_]+\b")


def test_messages_name_settings_in_brackets() -> None:
    """The rooms below the web write what pages show; only start-up and commands name a setting."""
    found = [
        (path.name, text)
        for floor in ("domain", "adapters", "use_cases")
        for path in (SERVICE / floor).rglob("*.py")
        for text in _sentences(path)
        if SETTINGS.search(re.sub(r"\([^)]*\)", "", text))
    ]

    assert found == []


def _sentences(path: Path) -> Iterator[str]:
    """Yield the texts of several words, without docstrings."""
    tree = ast.parse(path.read_text())
    places = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, places)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and " " in text.strip() and text not in docs:
            yield text


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda p: p.name)
def test_no_template_shows_a_message_as_it_is(template: Path) -> None:
    shown = re.findall(r"(?<!value=\")\{\{(.*?)\}\}", template.read_text(), re.DOTALL)
    message = re.compile(r"(?:\.|\b)(?:\w*reason|message|error|fault|problem|remark|waits_for)\s*$")

    bare = [text.strip() for text in shown if message.search(text.strip())]
    assert [text for text in bare if text not in {"problem", "entry.message"}] == []
