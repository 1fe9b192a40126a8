"""Values that nobody thought of, as they stand in files."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from tests.fuzz.throwing import CALM, CASES

#: `make fuzz` tries a hundredth of its cases on every property of a file.
THOROUGH: Final = settings(CALM, max_examples=max(40, CASES // 100))

#: Everything that Python can hold in a text; surrogates and NUL too, which JSON can spell.
anything: Final = st.text(st.characters(exclude_categories=()), max_size=40)

_numbers: Final = st.integers() | st.integers(-(10**30), 10**30) | st.floats()

json_values: Final = st.recursive(
    st.none() | st.booleans() | _numbers | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return `document` with one to three of its values, at whatever depth, replaced or removed."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        part, key = draw(st.sampled_from(list(_places(copy))))
        if draw(st.integers(0, 4)):
            part[key] = draw(json_values)
        else:
            del part[key]
    if draw(st.booleans()):
        copy[draw(anything)] = draw(json_values)
    return copy


def _places(part: Any) -> list[tuple[Any, Any]]:
    """Return every container within `part` with every key of it; one at least."""
    keys = list(part) if isinstance(part, dict) else range(len(part))
    found = [(part, key) for key in keys]
    for key in keys:
        if isinstance(part[key], dict | list):
            found += _places(part[key])
    return found


#: More than a cell may hold.
TOO_LONG: Final = "x" * 140_000
#: What cells of a CSV may hold: ids, and texts with everything that CSV minds.
cells: Final = (
    st.uuids().map(str)
    | st.sampled_from(["", "3", "a,b", 'a"b', "a\nb", "2026-11-24T12:00:00Z"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)


@st.composite
def csv_files(draw: st.DrawFn, *columns: str) -> bytes:
    """Return a CSV of `columns`, or of others, as a program wrote it and a disk kept it."""
    names = draw(st.lists(st.sampled_from(columns) | cells, min_size=1, max_size=6))
    header = list(columns) if draw(st.booleans()) else names
    rows = draw(st.lists(st.lists(cells, min_size=len(header), max_size=len(header)), max_size=6))
    if rows and draw(st.integers(0, 3)) == 0:
        draw(st.sampled_from(rows)).append("one too many")
    if rows and draw(st.integers(0, 5)) == 0:
        draw(st.sampled_from(rows))[0] = TOO_LONG
    dialect = draw(st.sampled_from(["excel", "unix"]))
    text = io.StringIO()
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(text, dialect=dialect, lineterminator=ending).writerows([header, *rows])
    content = text.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    return _damaged(draw, content) if draw(st.integers(0, 3)) == 0 else content


def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Return the content with a piece of it cut out, and something else put there."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    strange = [b'"', b"\x00", b"\xff\xfe", b"\xe2\x82", b"\r"]
    return content[:start] + draw(st.sampled_from(strange)) + content[end:]
