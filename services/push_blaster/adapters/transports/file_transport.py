"""The file transport: each message becomes a line of a file, and nothing leaves the machine."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from chassis.clock import utc_now
from push_blaster.adapters.transports.described_content import describe_content
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)


class FileTransport:
    """Appends messages to one JSONL file; several processes may append to it at once."""

    def __init__(self, path: Path) -> None:
        """Take the file; the first send creates its folder."""
        self._path = path

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        """Append a line for each message; TransportUnavailableError if the file does not open."""
        descriptor = self._open()
        try:
            for message in messages:
                if should_stop():
                    yield Delivery(message.user_id, Outcome.NOT_SENT)
                else:
                    yield _append(descriptor, message)
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Raise TransportUnavailableError unless the file can be written."""
        os.close(self._open())

    def close(self) -> None:
        """Do nothing: no file stays open between sends."""

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise TransportUnavailableError(
                f"Cannot write {self._path}: {error.strerror}."
            ) from error


def _append(descriptor: int, message: Message) -> Delivery:
    # One write to an appending descriptor, so that lines of several processes do not mix.
    line = orjson.dumps(_line(message)) + b"\n"
    try:
        written = os.write(descriptor, line)
    except OSError as error:
        return Delivery(message.user_id, Outcome.FAILED, reason=f"file: {error.strerror}")
    if written < len(line):
        return Delivery(message.user_id, Outcome.FAILED, reason="file: the disk is full")
    return Delivery(message.user_id, Outcome.SENT, provider_id=f"file:{message.display_tag}")


def _line(message: Message) -> dict[str, Any]:
    return {
        "sentAt": utc_now(),
        "userId": message.user_id,
        "deviceToken": message.device_token,
        "displayTag": message.display_tag,
        "title": message.title,
        "body": message.body,
        "data": message.data,
        **describe_content(message.content),
    }
