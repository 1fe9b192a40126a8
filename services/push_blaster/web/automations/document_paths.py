"""Documents by paths such as `pushSequence.0.title`: what stands there, and where two differ."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any


def find(document: object, path: str, default: object = None) -> Any:
    """Return what stands at a path; `default` for nothing."""
    for part in path.split("."):
        if isinstance(document, list):
            document = document[int(part)] if int(part) < len(document) else None
        else:
            document = document.get(part) if isinstance(document, Mapping) else None
    return default if document is None else document


def put(document: dict[str, Any], path: str, value: object) -> None:
    """Lay a value into a document; one that is empty changes nothing that was empty."""
    if _is_empty(value) and _is_empty(find(document, path)):
        return
    *parents, last = path.split(".")
    for parent in parents:
        if not isinstance(document.get(parent), dict):
            document[parent] = {}
        document = document[parent]
    document[last] = value


def find_differences(mine: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the paths at which two documents differ, with both values."""
    pairs = _pair_up(mine, theirs)
    if pairs is None:
        if mine != theirs and not (_is_empty(mine) and _is_empty(theirs)):
            yield path, mine, theirs
        return
    for name, own, other in pairs:
        yield from find_differences(own, other, f"{path}.{name}" if path else name)


def _pair_up(mine: Any, theirs: Any) -> list[tuple[str, Any, Any]] | None:
    """Return what stands within both, by name or place; None for values that are compared whole."""
    both = [value for value in (mine, theirs) if value]
    if both and all(isinstance(value, Mapping) for value in both):
        own, other = mine or {}, theirs or {}
        return [(name, own.get(name), other.get(name)) for name in dict.fromkeys([*own, *other])]
    if both and all(_is_list_of_objects(value) for value in both):
        pairs = zip_longest(mine or [], theirs or [])
        return [(str(place), own, other) for place, (own, other) in enumerate(pairs)]
    return None


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _is_empty(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})
