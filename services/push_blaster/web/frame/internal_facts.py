"""Facts that only operators and admins are told, such as ids that providers give."""

from typing import Any, TypeVar

from marshmallow import fields

from chassis.bearer_auth import Role, the_caller

Fact = TypeVar("Fact")


def may_see_internals() -> bool:
    """Return whether the caller of this request is an operator or an admin."""
    caller = the_caller()
    return caller is not None and caller.role >= Role.OPERATOR


def tell_internal(fact: Fact) -> Fact | None:
    """Return a fact as the caller may see it; None for a viewer."""
    return fact if may_see_internals() else None


class InternalField(fields.String):
    """A text of an answer that viewers see as null."""

    def __init__(self) -> None:
        """Describe the field."""
        super().__init__(allow_none=True, metadata={"description": "null for viewers"})

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> str | None:
        return super()._serialize(tell_internal(value), attr, obj, **options)
