"""The transport of a simulation: it answers like a provider, and nothing leaves this process.

A message fails if its device token contains a word of `FAULTS`.
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
    """Accepts every message, with a provider's id that begins with `test-`."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcome that the device token names, or `NOT_SENT` after a stop."""
        for message in messages:
            if should_stop():
                yield Delivery(message.user_id, Outcome.NOT_SENT)
            else:
                yield _answer(message)

    def check(self) -> None:
        """Do nothing: no provider can be away."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _answer(message: Message) -> Delivery:
    for word, outcome in FAULTS.items():
        if word in message.device_token:
            return Delivery(message.user_id, outcome, reason=f"simulated: {word}")
    return Delivery(message.user_id, Outcome.SENT, provider_id=f"test-{message.display_tag}")
