"""Lay the changes of one person over the newer version of a document that another one has saved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from push_blaster.web.frame.document_paths import Difference, find_differences

#: The document that a form was drawn from, if nobody knows it any more.
UNKNOWN: Final = object()
MINE: Final = "mine"
THEIRS: Final = "theirs"

#: Returns whose value a field gets that both have changed; None if that is not decided.
Choose = Callable[[str], str | None]


class Conflict(NamedTuple):
    """A field that both have changed.

    Shape: `name` stays the same wherever the field stands in a list; `path` has its place.
    """

    name: str
    path: str
    mine: Any
    theirs: Any


@dataclass(slots=True)
class Merge:
    """A merged document, and who has changed what.

    Shape: a field of `conflicts` has the value of the newer version; `mine` and `theirs` are the
    fields that only one side has changed; `is_change` says whether the document differs from the
    newer version.
    """

    document: Any = None
    is_change: bool = False
    conflicts: list[Conflict] = field(default_factory=list)
    mine: list[Difference] = field(default_factory=list)
    theirs: list[Difference] = field(default_factory=list)


class _Sides(NamedTuple):
    """The value of a field in the document that a form was drawn from, in the form, and now."""

    base: Any
    mine: Any
    theirs: Any

    def at(self, name: str) -> "_Sides":
        """Return the values of a part; a part of what is unknown or missing is so, too."""
        known = self.base.get(name) if isinstance(self.base, Mapping) else None
        base = UNKNOWN if self.base is UNKNOWN else known
        return _Sides(base, self.mine.get(name), self.theirs.get(name))


def merge(base: Any, mine: Any, theirs: Any, key: str, choose: Choose) -> Merge:
    """Return `theirs` with what `mine` has changed since `base`.

    Shape: `key` is the field that names the objects of lists. Without a known `base`, each field
    that differs is a conflict.
    """
    merging = _Merging(key, choose)
    merging.found.document = merging.lay(_Sides(base, mine, theirs), "", "")
    merging.found.is_change = not _is_same(merging.found.document, theirs)
    return merging.found


class _Merging:
    """A merge that goes on."""

    def __init__(self, key: str, choose: Choose) -> None:
        self._key = key
        self._choose = choose
        self.found = Merge()

    def lay(self, sides: _Sides, name: str, path: str) -> Any:
        """Return the merged value of the field."""
        base, mine, theirs = sides
        if _is_same(mine, theirs):
            return theirs
        if _is_same(mine, base):
            self.found.theirs += find_differences(base, theirs, path)
            return theirs
        if _is_same(theirs, base):
            self.found.mine += find_differences(mine, theirs, path)
            return mine
        return self._lay_parts(sides, name, path)

    def _lay_parts(self, sides: _Sides, name: str, path: str) -> Any:
        if isinstance(sides.mine, Mapping) and isinstance(sides.theirs, Mapping):
            return self._lay_fields(sides, name, path)
        order = self._find_order(sides)
        if order is None:
            return self._decide(sides, name, path)
        items = [self._lay_item(sides, key, name, path) for key in order]
        return [item for item in items if item is not None]

    def _lay_fields(self, sides: _Sides, name: str, path: str) -> dict[str, Any]:
        names = dict.fromkeys([*sides.theirs, *sides.mine])
        laid = {n: self.lay(sides.at(n), _join(name, n), _join(path, n)) for n in names}
        return {
            n: value
            for n, value in laid.items()
            if value is not None or (n in sides.mine and n in sides.theirs)
        }

    def _lay_item(self, sides: _Sides, key: str, name: str, path: str) -> Any:
        base, mine, theirs = (self._by_key(side) for side in sides)
        known = mine if key in mine else theirs
        place = str(list(known).index(key))
        item = _Sides(base.get(key), mine.get(key), theirs.get(key))
        return self.lay(item, _join(name, key), _join(path, place))

    def _decide(self, sides: _Sides, name: str, path: str) -> Any:
        whose = self._choose(name)
        if whose is None:
            self.found.conflicts.append(Conflict(name, path, sides.mine, sides.theirs))
        return sides.mine if whose == MINE else sides.theirs

    def _find_order(self, sides: _Sides) -> Sequence[str] | None:
        """Return the keys of the merged list; None if its items cannot be merged one by one."""
        if not all(map(self._has_keys, sides)):
            return None
        base, mine, theirs = (list(self._by_key(side)) for side in sides)
        common = [key for key in base if key in mine and key in theirs]
        if theirs == base or (_keeps(theirs, common) and not _keeps(mine, common)):
            return mine + [key for key in theirs if key not in mine]
        return theirs + [k for k in mine if k not in theirs] if _keeps(mine, common) else None

    def _has_keys(self, items: Any) -> bool:
        """Return whether this is a list of objects, or nothing, and each object has its own key."""
        is_list = items is None or isinstance(items, list)
        are_objects = is_list and all(isinstance(item, Mapping) for item in items or ())
        return are_objects and len(self._by_key(items)) == len(items or ())

    def _by_key(self, items: Sequence[Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
        """Return the items by their keys; an item without a key is new, and gets its place."""
        return {str(item.get(self._key) or f"new {n}"): item for n, item in enumerate(items or ())}


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values mean the same; the order of numbers, as of days, means nothing."""
    if other is UNKNOWN:
        return False
    differences = find_differences(one, other)
    return one is other or all(_are_same_numbers(d.mine, d.theirs) for d in differences)


def _are_same_numbers(*values: Any) -> bool:
    are_lists = all(isinstance(value, list) for value in values)
    are_numbers = are_lists and all(isinstance(n, int | float) for value in values for n in value)
    return are_numbers and sorted(values[0]) == sorted(values[1])


def _keeps(keys: Sequence[str], order: Sequence[str]) -> bool:
    return [key for key in keys if key in order] == order


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
