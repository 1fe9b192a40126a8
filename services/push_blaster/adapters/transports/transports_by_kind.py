"""One transport for each kind of device; they send at the same time."""

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

_Results = SimpleQueue[Delivery | Exception | None]


class TransportsByKind:
    """Gives each message to the transport of its device's kind."""

    def __init__(self, transports: Mapping[str, PushTransport]) -> None:
        """Take the transports by kind; one may serve several kinds."""
        self._transports = transports

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Yield the outcomes of all kinds as they become known; no kind waits for another.

        Raises: TransportUnavailableError, after the other transports have ended.
        """
        shares: dict[PushTransport, list[Message]] = defaultdict(list)
        for message in messages:
            transport = self._transports.get(message.device_kind)
            if transport is None:
                reason = f"no transport is set up for devices of the kind {message.device_kind}"
                yield Delivery(message.user_id, Outcome.FAILED, reason=reason)
            else:
                shares[transport].append(message)
        if len(shares) == 1:  # the usual case, without threads
            ((transport, share),) = shares.items()
            yield from transport.send(share, should_stop)
        elif shares:
            yield from _send_in_threads(shares, should_stop)

    def check(self) -> None:
        """Raise TransportUnavailableError if one of the transports can send nothing."""
        for transport in set(self._transports.values()):
            transport.check()

    def close(self) -> None:
        """Close every transport."""
        for transport in set(self._transports.values()):
            transport.close()


def _send_in_threads(
    shares: Mapping[PushTransport, Sequence[Message]], should_stop: Callable[[], bool]
) -> Iterator[Delivery]:
    """Yield what the transports yield, each in its own thread."""
    results: _Results = SimpleQueue()
    is_left = threading.Event()

    def ends() -> bool:
        return is_left.is_set() or should_stop()

    threads = [
        threading.Thread(target=_send_one, args=(transport, share, ends, results))
        for transport, share in shares.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield from _read_all(results, len(threads))
    finally:
        is_left.set()
        for thread in threads:
            thread.join()


def _send_one(
    transport: PushTransport,
    share: Sequence[Message],
    should_stop: Callable[[], bool],
    results: _Results,
) -> None:
    """Put each outcome into `results`; at the end None, or the error."""
    try:
        for delivery in transport.send(share, should_stop):
            results.put(delivery)
    except Exception as error:  # noqa: BLE001 - raised again in the calling thread
        results.put(error)
    else:
        results.put(None)


def _read_all(results: _Results, running: int) -> Iterator[Delivery]:
    """Yield until every thread has ended; then raise the errors, an unforeseen error first."""
    faults: list[Exception] = []
    while running:
        item = results.get()
        if isinstance(item, Delivery):
            yield item
            continue
        running -= 1
        if item is not None:
            faults.append(item)
    for fault in sorted(faults, key=lambda fault: isinstance(fault, TransportUnavailableError)):
        raise fault
