"""The protocol of every transport."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from push_blaster.domain.delivery.message import Delivery, Message


class PushTransport(Protocol):
    """Carries messages to devices."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield one outcome for each message, as it becomes known."""

    def check(self) -> None:
        """Raise TransportUnavailableError if no message can be sent now."""

    def close(self) -> None:
        """Close connections and files."""
