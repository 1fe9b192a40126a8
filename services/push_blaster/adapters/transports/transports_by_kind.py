"""One transport for every kind of device, side by side."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue

from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from push_blaster.domain.delivery.transport import PushTransport

_Told = SimpleQueue[Delivery | Exception | None]


class TransportsByKind:
    """Gives each message to the transport of its device's kind."""

    def __init__(self, transports: Mapping[str, PushTransport]) -> None:
        """Take the transports by kind; one may serve several kinds."""
        self._transports = transports

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcomes of all kinds as they become known; none waits for another.

        Raises: TransportUnavailableError, once the others are through.
        """
        shares: dict[PushTransport, list[Message]] = defaultdict(list)
        for message in messages:
            transport = self._transports.get(message.device_kind)
            if transport is None:
                reason = f"no transport is set up for devices of the kind {message.device_kind}"
                yield Delivery(message.user_id, Outcome.FAILED, reason=reason)
            else:
                shares[transport].append(message)
        if len(shares) == 1:  # as usual: no thread is needed
            ((transport, share),) = shares.items()
            yield from transport.send(share, should_stop)
        elif shares:
            yield from _send_side_by_side(shares, should_stop)

    def check(self) -> None:
        """Raise TransportUnavailableError if one of the transports can send nothing."""
        for transport in set(self._transports.values()):
            transport.check()

    def close(self) -> None:
        """Close every transport."""
        for transport in set(self._transports.values()):
            transport.close()


def _send_side_by_side(
    shares: Mapping[PushTransport, Sequence[Message]], should_stop: Callable[[], bool]
) -> Iterator[Delivery]:
    """Yield what the transports yield, each in a thread of its own."""
    told: _Told = SimpleQueue()
    is_left = threading.Event()

    def ends() -> bool:
        return is_left.is_set() or should_stop()

    threads = [
        threading.Thread(target=_tell, args=(transport, share, ends, told))
        for transport, share in shares.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield from _read_all(told, len(threads))
    finally:
        is_left.set()
        for thread in threads:
            thread.join()


def _tell(
    transport: PushTransport,
    share: Sequence[Message],
    should_stop: Callable[[], bool],
    told: _Told,
) -> None:
    """Put each outcome into `told`; at the end None, or what went wrong."""
    try:
        for delivery in transport.send(share, should_stop):
            told.put(delivery)
    except Exception as error:  # noqa: BLE001 - raised again in the thread that we work for
        told.put(error)
    else:
        told.put(None)


def _read_all(told: _Told, running: int) -> Iterator[Delivery]:
    """Yield until every thread has ended; then raise what went wrong, what is unforeseen first."""
    faults: list[Exception] = []
    while running:
        item = told.get()
        if isinstance(item, Delivery):
            yield item
            continue
        running -= 1
        if item is not None:
            faults.append(item)
    for fault in sorted(faults, key=lambda fault: isinstance(fault, TransportUnavailableError)):
        raise fault
