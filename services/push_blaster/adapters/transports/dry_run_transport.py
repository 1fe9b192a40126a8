"""The dry run's transport: it takes every message and sends none."""

from collections.abc import Callable, Iterator, Sequence

from push_blaster.domain.delivery.message import Delivery, Message, Outcome


class DryRunTransport:
    """Answers for every message that it would have been sent; nothing leaves this process."""

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield `DRY_RUN` for each message, or `NOT_SENT` once there is a stop."""
        for message in messages:
            outcome = Outcome.NOT_SENT if should_stop() else Outcome.DRY_RUN
            yield Delivery(message.user_id, outcome)

    def check(self) -> None:
        """There is nothing that could be away."""

    def close(self) -> None:
        """There is nothing to let go of."""
