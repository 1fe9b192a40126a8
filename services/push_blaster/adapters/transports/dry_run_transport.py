"""The transport of a dry run: it accepts every message and sends none."""

from collections.abc import Callable, Iterator, Sequence

from push_blaster.domain.delivery.message import Delivery, Message, Outcome


class DryRunTransport:
    """Reports every message as tried; nothing leaves this process."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield `DRY_RUN` for each message, or `NOT_SENT` after a stop."""
        for message in messages:
            outcome = Outcome.NOT_SENT if should_stop() else Outcome.DRY_RUN
            yield Delivery(message.user_id, outcome)

    def check(self) -> None:
        """Do nothing: no provider can be away."""

    def close(self) -> None:
        """Do nothing: nothing is open."""
