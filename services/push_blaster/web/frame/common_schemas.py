"""Schemas that the routes of several rooms share."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from flask import request
from marshmallow import Schema, ValidationError, validate

from chassis.typed_schemas import about, answer_schema, object_schema, request_schema
from push_blaster.adapters.automations.document_files import BrokenFile
from push_blaster.adapters.executions.execution_log import LogEntry

LogEntrySchema = answer_schema(LogEntry)
LogSchema = object_schema("Log", entries=list[LogEntry], next_after=int)
BrokenFileSchema = answer_schema(BrokenFile, name="file")

#: The parameter of a route that reads a log: the event after which it begins.
AFTER: Final[Any] = about(0, validate=validate.Range(min=0, max=2**62))
#: The parameter of a route that starts an automation.
AUTOMATION_ID: Final[Any] = about(validate=validate.Length(min=1))
#: The parameter of a route that ends something.
REASON: Final[Any] = about("", validate=validate.Length(max=500))
#: How like a known name an unknown one must be to be taken for a slip.
_ALIKE: Final = 0.5
#: How much of an unknown name a message shows.
_SHOWN: Final = 100


def up_to(most: int, usual: int = 50) -> Any:
    """Return the parameter that limits how many items a route answers."""
    return about(usual, validate=validate.Range(min=1, max=most))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Query of a long list that is read page by page."""

    limit: int = up_to(5_000, 500)
    cursor: str | None = None


def refuse_unknown_names(query: type) -> None:
    """Refuse a name in the query of the request that the type does not have."""
    known = [one.data_key or name for name, one in request_schema(query)().fields.items()]
    for name in request.args.keys() - set(known):
        raise ValidationError({name[:_SHOWN]: [say_unknown("parameter", name, known)]})


def say_unknown(name: str, value: str, known: Sequence[str]) -> str:
    """Return why `value` is refused, with the known name that is most like it."""
    like = get_close_matches(value[:_SHOWN], known, 1, _ALIKE)
    hint = f"did you mean {like[0]!r}?" if like else "use a name that has results."
    return f"There is no {name} {value[:_SHOWN]!r}; {hint}"


def envelope_schema(name: str, data: Any, /, **more: Any) -> type[Schema]:
    """Return the schema of `data` in the envelope of the original; parts as of `object_schema`."""
    return object_schema(name, success=bool, data=data, message=str, **more)


def show_log(entries: Sequence[LogEntry], after: int) -> dict[str, object]:
    """Return a page of a log that began after `after`, in the shape of LogSchema."""
    return {"entries": entries, "next_after": entries[-1].id if entries else after}
