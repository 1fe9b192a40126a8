"""The document that a form was drawn from, and the page about fields that two people changed."""

import json
from collections.abc import Callable
from typing import Any, Final

from flask import render_template, request

from push_blaster.web.frame.csrf import CSRF_FIELD
from push_blaster.web.frame.merging import MINE, THEIRS, Choose, Conflict, Merge

#: The hidden field with the document, as it was when the form was drawn.
DRAWN: Final = "drawn"
#: The fields of the page: the version that it compares with, and what was chosen.
_SEEN: Final = "seen"
_ALL: Final = "all"
_CHOICE: Final = "choice."


def write_drawn(document: Any) -> str:
    """Return the document as the form has it in its hidden field."""
    return json.dumps(document)


def read_drawn() -> Any:
    """Return the document that the form of this request was drawn from; None without one."""
    try:
        return json.loads(request.form.get(DRAWN, ""))
    except (ValueError, RecursionError):
        return None


def read_choices(version: object) -> Choose:
    """Return the choices of the page, which count for the version that the page has shown."""
    if request.form.get(_SEEN) != str(version):
        return lambda _: None
    everything = request.form.get(_ALL)
    given = {name: request.form.get(f"{_CHOICE}{name}") for name in _chosen_names()}
    return lambda name: given.get(name) or everything


def _chosen_names() -> list[str]:
    return [n.removeprefix(_CHOICE) for n in request.form if n.startswith(_CHOICE)]


def show_conflict(
    merge: Merge,
    *,
    noun: str,
    version: object,
    current_page: str,
    describe: Callable[[Conflict], str],
) -> tuple[str, int]:
    """Ask whose value each field gets that both have changed.

    Shape: `noun` is what was edited, `version` is its current version, which the page compares
    with, and `current_page` is where that can be edited.
    """
    asked = {_SEEN, _ALL, CSRF_FIELD}
    kept = [
        (name, value)
        for name, value in request.form.items(multi=True)
        if name not in asked and not name.startswith(_CHOICE)
    ]
    page = render_template(
        "conflict.html",
        noun=noun,
        merge=merge,
        version=version,
        fields=kept,
        current_page=current_page,
        describe=describe,
        is_repeated=_SEEN in request.form,
        sides=(MINE, THEIRS),
    )
    return page, 409
