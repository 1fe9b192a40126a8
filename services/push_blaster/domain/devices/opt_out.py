"""Opt-outs: which pushes a user does not want."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID


class Scope(StrEnum):
    """The pushes that an opt-out is about; the values are stored in `opt_outs.scope`."""

    ALL = "all"
    LAYER = "layer"
    AUTOMATION = "automation"


class Source(StrEnum):
    """The way on which an opt-out came; the values are stored in `opt_outs.source`."""

    API = "api"
    PAGE = "page"
    IMPORT = "import"
    APP = "app"  # by the user, in an app that has an identity token
    ERASURE = "erasure"  # the user was erased; it is no row of `opt_outs`
    RECEIPT = "receipt"  # the user's own tap in an app, proved by the receipt of a message


#: How people read the way on which an opt-out came.
SOURCE_WORDS: Final[Mapping[Source, str]] = {
    Source.API: "by the API",
    Source.PAGE: "on the page Opt-outs",
    Source.IMPORT: "from a file",
    Source.APP: "by the user, in the app",
    Source.ERASURE: "by the erasure of the user",
    Source.RECEIPT: "by the user, from a message",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """A user who does not want all pushes, those of a layer, or those of an automation.

    Shape: `target` is the layer's number, or the automation's id; of all pushes it is empty. An
    opt-out without `until` is for good.
    """

    user_id: UUID
    scope: Scope
    target: str = ""
    until: datetime | None = None
    reason: str = ""
    source: Source = Source.API
    set_at: datetime
    set_by: str = ""

    @property
    def layer_id(self) -> int | None:
        """The layer whose pushes the user does not want, if it is about one."""
        return int(self.target) if self.scope is Scope.LAYER else None

    @property
    def automation_id(self) -> str | None:
        """The automation whose pushes the user does not want, if it is about one."""
        return self.target if self.scope is Scope.AUTOMATION else None

    def concerns(self, layer_id: int, automation_id: str) -> bool:
        """Return whether it is about the pushes of this layer and this automation."""
        targets = {Scope.ALL: "", Scope.LAYER: str(layer_id), Scope.AUTOMATION: automation_id}
        return targets[self.scope] == self.target

    def as_the_user_sees_it(self) -> "OptOut":
        """Return it without the words and the name of an operator who set it."""
        is_own = self.source in {Source.APP, Source.RECEIPT}
        return self if is_own else replace(self, reason="", set_by="")

    def describe(self) -> str:
        """Return what the user does not want, as a person reads it."""
        pushes = {
            Scope.ALL: "all pushes",
            Scope.LAYER: f"the pushes of layer {self.target}",
            Scope.AUTOMATION: f"the pushes of the automation {self.target}",
        }
        return f"opted out of {pushes[self.scope]}"
