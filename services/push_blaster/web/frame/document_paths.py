"""Values in documents by paths such as `pushSequence.0.title`, and differences of two documents."""

from collections.abc import Iterator, Mapping, MutableMapping
from itertools import zip_longest
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A path at which two documents differ, and both values."""

    path: str
    mine: Any
    theirs: Any


def find(document: object, path: str, default: object = None) -> Any:
    """Return the value at a path; `default` if there is none."""
    for part in path.split("."):
        if isinstance(document, list):
            document = document[int(part)] if int(part) < len(document) else None
        else:
            document = document.get(part) if isinstance(document, Mapping) else None
    return default if document is None else document


def put(document: MutableMapping[str, Any], path: str, value: object) -> None:
    """Set a value in a document; an empty value does not replace another empty one."""
    if _is_empty(value) and _is_empty(find(document, path)):
        return
    *parents, last = path.split(".")
    for parent in parents:
        if not isinstance(document.get(parent), dict):
            document[parent] = {}
        document = document[parent]
    document[last] = value


def find_differences(mine: Any, theirs: Any, path: str = "") -> Iterator[Difference]:
    """Yield where two documents differ."""
    pairs = _pair_up(mine, theirs)
    if pairs is None:
        if mine != theirs and not (_is_empty(mine) and _is_empty(theirs)):
            yield Difference(path, mine, theirs)
        return
    for name, own, other in pairs:
        yield from find_differences(own, other, f"{path}.{name}" if path else name)


def _pair_up(mine: Any, theirs: Any) -> list[Difference] | None:
    """Return the parts of both values, by name or place; None if they are compared whole."""
    both = [value for value in (mine, theirs) if value]
    if both and all(isinstance(value, Mapping) for value in both):
        own, other = mine or {}, theirs or {}
        names = dict.fromkeys([*own, *other])
        return [Difference(name, own.get(name), other.get(name)) for name in names]
    if both and all(_is_list_of_objects(value) for value in both):
        pairs = zip_longest(mine or [], theirs or [])
        return [Difference(str(place), own, other) for place, (own, other) in enumerate(pairs)]
    return None


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _is_empty(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})
