import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.adapters.transports.transports_by_kind import TransportsByKind
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)


class Rendezvous:
    """A transport that answers only when another one is at work at the same time."""

    def __init__(self, meeting: threading.Barrier) -> None:
        self.meeting = meeting

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        self.meeting.wait(5)
        yield from (Delivery(message.user_id, Outcome.SENT) for message in messages)

    def check(self) -> None:
        raise TransportUnavailableError("this one is away")

    def close(self) -> None:
        """There is nothing to let go of."""


class Endless(Rendezvous):
    """A transport that sends nothing until it is stopped."""

    def __init__(self) -> None:
        self.was_stopped = False

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        while not should_stop():
            threading.Event().wait(0.01)
        self.was_stopped = True
        yield from (Delivery(message.user_id, Outcome.NOT_SENT) for message in messages)


def a_message(number: int, kind: str) -> Message:
    return Message(UUID(int=number), "token", "Title", "Body", "", f"tag-{number}", kind)


def test_kinds_are_sent_side_by_side() -> None:
    meeting = threading.Barrier(2)
    transport = TransportsByKind({"fcm": Rendezvous(meeting), "webpush": Rendezvous(meeting)})
    messages = [a_message(n, "fcm" if n % 2 else "webpush") for n in range(10)]

    sent = list(transport.send(messages, lambda: False))

    assert sorted(d.user_id.int for d in sent) == list(range(10))
    assert {d.outcome for d in sent} == {Outcome.SENT}


def test_one_that_is_away_is_told_once_the_others_are_through(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    away, well = FileTransport(tmp_path / "folder"), FileTransport(tmp_path / "messages.jsonl")
    transport = TransportsByKind({"fcm": away, "webpush": well})
    sent: list[Delivery] = []

    with pytest.raises(TransportUnavailableError, match="folder"):
        sent.extend(transport.send([a_message(1, "fcm"), a_message(2, "webpush")], lambda: False))

    assert [(d.user_id.int, d.outcome) for d in sent] == [(2, Outcome.SENT)]


def test_a_kind_that_is_not_set_up_fails_by_name_and_alone(tmp_path: Path) -> None:
    transport = TransportsByKind({"file": FileTransport(tmp_path / "messages.jsonl")})

    fax, file = sorted(
        transport.send([a_message(1, "fax"), a_message(2, "file")], lambda: False),
        key=lambda delivery: delivery.user_id,
    )

    assert (fax.outcome, file.outcome) == (Outcome.FAILED, Outcome.SENT)
    assert "kind fax" in (fax.reason or "")


def test_whoever_leaves_early_ends_every_kind(tmp_path: Path) -> None:
    endless = Endless()
    transport = TransportsByKind(
        {"fcm": endless, "webpush": FileTransport(tmp_path / "messages.jsonl")}
    )
    outcomes = transport.send([a_message(1, "fcm"), a_message(2, "webpush")], lambda: False)

    assert isinstance(outcomes, Iterator)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]  # a generator's, as every transport's is

    assert endless.was_stopped


def test_the_check_tells_of_the_one_that_is_away(tmp_path: Path) -> None:
    meeting = threading.Barrier(1)
    well = FileTransport(tmp_path / "messages.jsonl")

    TransportsByKind({"file": well}).check()
    with pytest.raises(TransportUnavailableError, match="this one is away"):
        TransportsByKind({"file": well, "fcm": Rendezvous(meeting)}).check()
