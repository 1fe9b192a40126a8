"""Send each message to all devices that it is for, and return one outcome for its user."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID

from push_blaster.domain.delivery.message import Delivery, Message, Outcome, storable
from push_blaster.domain.delivery.transport import PushTransport
from push_blaster.domain.devices.device import Address, DeadDevice, is_of_other_project

#: The outcomes of several devices by weight; the first one that occurs counts for the user.
_BY_WEIGHT: Final = (
    Outcome.SENT,
    Outcome.DRY_RUN,
    Outcome.IN_DOUBT,
    Outcome.DEFERRED,
    Outcome.NOT_SENT,
    Outcome.FAILED,
    Outcome.TOKEN_DEAD,
)
#: The outcomes that count even if a later device was never tried: the message may have arrived.
_STANDS: Final = frozenset({Outcome.SENT, Outcome.DRY_RUN, Outcome.IN_DOUBT})


def reach_devices(
    transport: PushTransport, messages: Sequence[Message], should_stop: Callable[[], bool]
) -> Iterator[Delivery]:
    """Yield one outcome for each message: `DEFERRED` if the user's devices could not be read.

    Raises: TransportUnavailableError.
    """
    known = [message for message in messages if message.fault is None]
    for message in messages:
        if message.fault is not None:
            yield Delivery(message.user_id, Outcome.DEFERRED, reason=message.fault)
    yield from _Rounds(transport, should_stop).run(known)


class _Rounds:
    """Sends to the newest device of each user first, then to the users' next devices."""

    def __init__(self, transport: PushTransport, should_stop: Callable[[], bool]) -> None:
        self._transport = transport
        self._should_stop = should_stop
        self._so_far: dict[UUID, Delivery] = {}

    def run(self, messages: Sequence[Message]) -> Iterator[Delivery]:
        try:
            while messages:
                yield from self._send_round(messages)
                messages = [_for_next_device(m) for m in messages if m.other_devices]
        except Exception:
            # A user who was reached on an earlier device must not get the message again.
            yield from (d for d in self._so_far.values() if d.outcome in _STANDS)
            raise

    def _send_round(self, messages: Sequence[Message]) -> Iterator[Delivery]:
        """Send to one device of each user; yield the outcomes of users without further devices."""
        by_user = {message.user_id: message for message in messages}
        for delivery in self._transport.send(messages, self._should_stop):
            message = by_user[delivery.user_id]
            outcome = _with_dead_device(delivery, message)
            before = self._so_far.pop(delivery.user_id, None) if self._so_far else None
            folded = _fold(before, outcome) if before else outcome
            if message.other_devices:
                self._so_far[delivery.user_id] = folded
            else:
                yield folded


def _for_next_device(message: Message) -> Message:
    following, *others = message.other_devices
    return message._replace(
        device_token=following.token,
        device_kind=following.kind,
        device_keys=following.keys,
        other_devices=tuple(others),
    )


def _with_dead_device(delivery: Delivery, message: Message) -> Delivery:
    """Return the outcome with its device, if the device is dead or of another project."""
    is_dead = delivery.outcome is Outcome.TOKEN_DEAD
    is_reported = is_dead or is_of_other_project(delivery.reason)
    if not is_reported:
        return delivery
    address = Address(message.device_token, message.device_kind, message.device_keys)
    dead = DeadDevice(
        message.user_id, address, storable(delivery.reason) or "dead", delivery.dead_since
    )
    return delivery._replace(dead_devices=(dead,))


def _fold(one: Delivery, other: Delivery) -> Delivery:
    """Return the weightier of two outcomes, with the dead devices of both."""
    first = min(one, other, key=lambda delivery: _BY_WEIGHT.index(delivery.outcome))
    return first._replace(dead_devices=(*one.dead_devices, *other.dead_devices))
