"""What carries messages to devices, whatever the provider."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from push_blaster.domain.delivery.message import Delivery, Message


class PushTransport(Protocol):
    """What carries messages to devices."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield one outcome for each message, as it becomes known."""

    def check(self) -> None:
        """Raise TransportUnavailableError if nothing can be sent at present."""

    def close(self) -> None:
        """Let go of connections and files."""
