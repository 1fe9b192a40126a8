"""The simulation's transport: it answers as a provider would, and nothing leaves this process.

What a device token says of itself decides: one that contains a word of `FAULTS` meets that fault.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from push_blaster.domain.delivery.message import Delivery, Message, Outcome

FAULTS: Final[Mapping[str, Outcome]] = {
    "simulate-unregistered": Outcome.TOKEN_DEAD,
    "simulate-unavailable": Outcome.DEFERRED,
    "simulate-refused": Outcome.FAILED,
    "simulate-in-doubt": Outcome.IN_DOUBT,
}


class SimulatedTransport:
    """Takes every message, under a provider's id that begins with `test-`."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield what the device token asks for, or `NOT_SENT` once there is a stop."""
        for message in messages:
            if should_stop():
                yield Delivery(message.user_id, Outcome.NOT_SENT)
            else:
                yield _answer(message)

    def check(self) -> None:
        """There is nothing that could be away."""

    def close(self) -> None:
        """There is nothing to let go of."""


def _answer(message: Message) -> Delivery:
    for word, outcome in FAULTS.items():
        if word in message.device_token:
            return Delivery(message.user_id, outcome, reason=f"simulated: {word}")
    return Delivery(message.user_id, Outcome.SENT, provider_id=f"test-{message.display_tag}")
