"""Opt-outs as clients write them, in JSON or in a CSV; they are refused by field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any, Final

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.csv_reader import CsvError, CsvFile
from chassis.schemas import CamelSchema, InstantField
from push_blaster.adapters.devices.csv_items import USER_NAMES, ItemFile, ItemRow, read_items
from push_blaster.domain.devices.opt_out import OptOut, Scope, Source

MAX_REASON: Final = 200
#: The possible names of each field's column; the first of them that the file has is taken.
NAMES: Final[Mapping[str, Sequence[str]]] = {
    "userId": USER_NAMES,
    "scope": ("scope",),
    "layerId": ("layer_id", "layer"),
    "automationId": ("automation_id", "automation"),
    "until": ("until", "ends_at"),
    "reason": ("reason",),
}


class NewOptOutSchema(CamelSchema):
    """An opt-out: of all pushes, of a layer's, or of an automation's."""

    user_id = fields.UUID(required=True)
    scope = fields.Enum(Scope, by_value=True, load_default=Scope.ALL)
    layer_id = fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=1, max=5, error="Layers are 1 to 5; {input} is none."),
    )
    automation_id = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(min=1, max=200)
    )
    until = InstantField(load_default=None, allow_none=True)
    reason = fields.String(
        load_default="", validate=[validate.Length(max=MAX_REASON), validate.ContainsNoneOf("\0")]
    )

    @validates_schema
    def _fit_together(self, data: Mapping[str, Any], **_: object) -> None:
        wanted = {Scope.LAYER: "layer_id", Scope.AUTOMATION: "automation_id"}
        for scope, name in wanted.items():
            has_it, is_wanted = data[name] is not None, data["scope"] is scope
            if has_it != is_wanted:
                verb = "needs" if is_wanted else "has"
                fault = f"Only the scope {scope} {verb} it." if has_it else "Missing for the scope."
                raise ValidationError(fault, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who sets opt-outs, when, and on which way."""

    source: Source
    by: str
    at: datetime


def make_opt_out(given: Mapping[str, Any], origin: Origin) -> OptOut:
    """Return the opt-out whose fields NewOptOutSchema has loaded.

    Raises: ValidationError, if it has ended already.
    """
    if given["until"] and given["until"] <= origin.at:
        raise ValidationError({"until": ["Lies in the past; an opt-out that has ended is none."]})
    return OptOut(
        user_id=given["user_id"],
        scope=given["scope"],
        target=str(given["automation_id"] or given["layer_id"] or ""),
        until=given["until"] and given["until"].astimezone(UTC),
        reason=given["reason"],
        source=origin.source,
        set_at=origin.at,
        set_by=origin.by,
    )


_SCHEMA: Final = NewOptOutSchema()


def read_opt_outs(file: IO[bytes], name: str, origin: Origin) -> ItemFile[OptOut]:
    """Read the header of a CSV; its rows are read as they are asked for.

    Raises: CsvError, also while the rows are read.
    """
    return read_items(file, name, NAMES, _check_columns, partial(_read_row, origin))


def _check_columns(file: CsvFile) -> None:
    if file.find_column(*USER_NAMES) is None:
        raise CsvError(f"There must be a column user_id. The {file.list_columns()}")


def _read_row(origin: Origin, line: int, given: Mapping[str, str]) -> ItemRow[OptOut]:
    try:
        return ItemRow(line, make_opt_out(_SCHEMA.load(given), origin))
    except ValidationError as error:
        faults = error.messages_dict.items()
        return ItemRow(line, None, tuple(f"{name}: {' '.join(said)}" for name, said in faults))
