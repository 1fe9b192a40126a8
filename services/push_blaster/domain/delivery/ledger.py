"""The ledger of a push: who was sent to, and who was not and why."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Refusal:
    """A user who gets no message, and why."""

    user_id: UUID
    state: str
    reason: str
