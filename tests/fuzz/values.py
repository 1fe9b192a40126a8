"""Values that nobody thought of, as they stand in files."""

import json
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from tests.fuzz.throwing import CALM, CASES

#: `make fuzz` tries a hundredth of its cases on every property of a file.
THOROUGH: Final = settings(CALM, max_examples=max(60, CASES // 100))

#: Everything that Python can hold in a text; surrogates and NUL too, which JSON can spell.
anything: Final = st.text(st.characters(exclude_categories=()), max_size=40)

_numbers: Final = st.integers() | st.integers(-(10**30), 10**30) | st.floats()

json_values: Final = st.recursive(
    st.none() | st.booleans() | _numbers | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
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
