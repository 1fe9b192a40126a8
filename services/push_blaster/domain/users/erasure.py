"""The erasure of a user: its stages, and what of the user may stand in a text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from chassis.names import id_pattern

#: What stands in a text for the device of an erased user.
NO_DEVICE: Final = "erased"
#: A shorter token could be a part of any word.
_SHORTEST_TOKEN: Final = 8


class Stage(StrEnum):
    """How far an erasure has come; the values are stored in `erasures.stage`."""

    ASKED = "asked"
    AWAITING_EXECUTIONS = "awaiting_executions"  # all but what these executions still need is gone
    AWAITING_CADENCE = "awaiting_cadence"  # nothing is left but the history in cadence
    DONE = "done"


class ErasureState(StrEnum):
    """The state of an erasure, as callers see it."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An erasure as its receipt tells of it; nothing in it says whose it is.

    Shape: `waits_for` says why it is not done yet; `notes` are what a person has to do.
    """

    id: UUID
    stage: Stage
    asked_at: datetime
    ended_at: datetime | None = None
    waits_for: str | None = None
    notes: Sequence[str] = ()

    @property
    def state(self) -> ErasureState:
        """The state of the erasure."""
        if self.stage is Stage.DONE:
            return ErasureState.DONE
        return ErasureState.WAITING if self.waits_for else ErasureState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What of a user may stand in a text, and what replaces it: a stand-in for the user.

    Shape: `tokens` are those of the user's devices; `renamed` are names of files whose content, and
    so whose hash, changes.
    """

    user_id: UUID
    stand_in: UUID
    tokens: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """The regular expression of the id, with or without hyphens; letters in any case."""
        return id_pattern(self.user_id)

    @property
    def texts(self) -> tuple[str, ...]:
        """The other texts that are replaced: they are found letter by letter."""
        long = (token for token in self.tokens if len(token) >= _SHORTEST_TOKEN)
        return (*long, *self.renamed)

    def clean(self, text: str) -> str:
        """Return the text with the stand-in in the user's place."""
        cleaned = re.sub(self.pattern, str(self.stand_in), text, flags=re.IGNORECASE)
        for word in self.texts:
            cleaned = cleaned.replace(word, self.renamed.get(word, NO_DEVICE))
        return cleaned

    def mentions(self, text: str) -> bool:
        """Return whether the text names the user or one of the devices."""
        return self.clean(text) != text

    def mentions_user(self, text: str) -> bool:
        """Return the same, whatever the text says of files whose names change."""
        return replace(self, renamed={}).mentions(text)

    def clean_lists(self, value: object) -> object:
        """Return a JSON value without the items of its lists that name the user."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            return {name: self.clean_lists(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.clean_lists(one) for one in value if not self._is_about(one)]
        return value

    def _is_about(self, item: object) -> bool:
        values = item.values() if isinstance(item, Mapping) else [item]
        return any(isinstance(value, str) and self.mentions(value) for value in values)
