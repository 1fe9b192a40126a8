"""The journal of outcomes: reading it back, and the effect of a cut or broken file."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from push_blaster.adapters.delivery.delivery_ledger import Deferral
from push_blaster.adapters.delivery.outcome_journal import (
    JournalEntry,
    PageJournal,
    delete_journals,
    read_journals,
)
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.message import Delivery, Outcome
from push_blaster.domain.devices.device import Address, DeadDevice
from tests.people import ALICE, BOB
from tests.push_blaster.descriptors import few_descriptors

PAGE = LedgerPage("spring/offers@20261130T120000Z", 1, is_test=False, batch=3)
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SENT = JournalEntry(NOW, (Delivery(ALICE, Outcome.SENT, provider_id="projects/x/1"),))
FAILED = JournalEntry(NOW, (Delivery(BOB, Outcome.FAILED, reason="no „such“ thing"),))
LARGE = JournalEntry(NOW, (Delivery(ALICE, Outcome.SENT, provider_id="x" * 4_000_000),))
DEFERRED = JournalEntry(NOW, (), (Deferral(BOB, "503", 2, NOW),))


def _journal(folder: Path, engine: str = "host:1", page: LedgerPage = PAGE) -> PageJournal:
    return PageJournal(folder, engine, page)


def _file(folder: Path) -> Path:
    (path,) = (folder / "journal").glob("*/*.jsonl")
    return path


def test_the_next_engine_reads_what_the_killed_one_knew(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    for entry in (SENT, FAILED, DEFERRED):
        journal.append(entry)

    assert read_journals(tmp_path, PAGE) == [SENT, FAILED, DEFERRED]


def test_the_journals_of_two_engines_are_read_together(tmp_path: Path) -> None:
    _journal(tmp_path, "host:1").append(SENT)
    _journal(tmp_path, "other/host:2").append(FAILED)

    assert read_journals(tmp_path, PAGE) == [SENT, FAILED]


@pytest.mark.parametrize(
    "page",
    [PAGE._replace(batch=4), PAGE._replace(position=2), PAGE._replace(is_test=True)],
    ids=["another batch", "another push", "the test of the push"],
)
def test_another_page_has_a_journal_of_its_own(tmp_path: Path, page: LedgerPage) -> None:
    _journal(tmp_path).append(SENT)

    assert read_journals(tmp_path, page) == []


def test_dead_devices_are_read_back_with_their_reasons(tmp_path: Path) -> None:
    dead = DeadDevice(ALICE, Address("https://push.test/ä", "webpush"), "410 Gone")
    since = DeadDevice(ALICE, Address("ab" * 32, "apns"), "410 Unregistered", NOW)
    entry = JournalEntry(
        NOW, (Delivery(ALICE, Outcome.SENT, dead_devices=(dead, since)), *FAILED.deliveries)
    )

    _journal(tmp_path).append(entry)

    assert read_journals(tmp_path, PAGE) == [entry]


def test_what_has_no_answer_is_not_in_the_journal(tmp_path: Path) -> None:
    unknown = JournalEntry(NOW, (Delivery(ALICE, Outcome.IN_DOUBT, reason="no answer"),))

    _journal(tmp_path).append(unknown)

    assert read_journals(tmp_path, PAGE) == []
    assert not (tmp_path / "journal").exists()


def test_a_line_that_a_kill_cut_off_costs_only_itself(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append(SENT)
    journal.append(FAILED)
    path = _file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])

    assert read_journals(tmp_path, PAGE) == [SENT]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: as on a full disk, a write ends there.

    Units: larger than what else this process writes meanwhile.
    """
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def _large_journal(folder: Path) -> tuple[PageJournal, int]:
    """Return a journal that has the entry LARGE, and its size."""
    journal = _journal(folder)
    journal.append(LARGE)
    return journal, _file(folder).stat().st_size


@pytest.mark.parametrize("half", [0, 1, 40, 100])
def test_half_a_line_is_finished_as_soon_as_there_is_room(tmp_path: Path, half: int) -> None:
    journal, size = _large_journal(tmp_path)

    with room_for(size + half):
        journal.append(SENT)
    journal.append(FAILED)

    assert read_journals(tmp_path, PAGE) == [LARGE, SENT, FAILED]


def test_what_waits_for_room_is_written_at_the_end_of_the_attempt(tmp_path: Path) -> None:
    journal, size = _large_journal(tmp_path)

    with room_for(size + 10):
        journal.append(SENT)
        journal.append(FAILED)
    journal.close(is_settled=False)

    assert read_journals(tmp_path, PAGE) == [LARGE, SENT, FAILED]


def test_half_a_line_of_an_ended_attempt_spoils_no_line_of_the_next(tmp_path: Path) -> None:
    first, size = _large_journal(tmp_path)
    with room_for(size + 10):
        first.append(DEFERRED)
        first.close(is_settled=False)

    _journal(tmp_path).append(FAILED)

    assert read_journals(tmp_path, PAGE) == [LARGE, FAILED]


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"[1,2]\n",
        b'["2026-11-30T12:00:00Z",[["no uuid","sent",null,null]],[]]\n',
        b'["2026-11-30T12:00:00Z",[["%s","delivered",null,null]],[]]\n' % ALICE.hex.encode(),
        b'["2026-11-30T12:00:00Z",[["%s"]],[]]\n' % ALICE.hex.encode(),
        b"\x00\xff\n",
        b"\n",
    ],
    ids=["no list", "too short", "no user", "no outcome", "too few", "no text", "nothing"],
)
def test_a_line_that_cannot_be_read_leaves_what_follows_in_doubt(
    tmp_path: Path, line: bytes
) -> None:
    journal = _journal(tmp_path)
    journal.append(SENT)
    with _file(tmp_path).open("ab") as file:
        file.write(line)
    journal.append(FAILED)

    assert read_journals(tmp_path, PAGE) == [SENT]


def test_a_journal_is_gone_once_all_of_it_stands_in_the_ledger(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append(SENT)

    journal.close(is_settled=True)

    assert read_journals(tmp_path, PAGE) == []


def test_a_journal_stays_while_the_ledger_lacks_an_outcome(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append(SENT)
    journal.close(is_settled=False)
    assert read_journals(tmp_path, PAGE) == [SENT]

    delete_journals(tmp_path, PAGE)

    assert read_journals(tmp_path, PAGE) == []


def test_a_folder_that_cannot_be_written_stops_no_send(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")

    _journal(tmp_path).append(SENT)

    assert read_journals(tmp_path, PAGE) == []


def test_a_link_in_place_of_a_journal_is_not_followed(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append(SENT)
    path, elsewhere = _file(tmp_path), tmp_path / "elsewhere"
    path.unlink()
    elsewhere.write_bytes(b"")
    path.symlink_to(elsewhere)

    _journal(tmp_path).append(FAILED)

    assert elsewhere.read_bytes() == b""


def test_every_user_keeps_the_id(tmp_path: Path) -> None:
    ids = [UUID(int=n) for n in (0, 1, 2**128 - 1)]
    entry = JournalEntry(NOW, tuple(Delivery(user_id, Outcome.SENT) for user_id in ids))

    _journal(tmp_path).append(entry)

    assert [d.user_id for d in read_journals(tmp_path, PAGE)[0].deliveries] == ids


def test_a_journal_that_cannot_be_opened_at_present_is_not_given_up(tmp_path: Path) -> None:
    _journal(tmp_path).append(SENT)

    with few_descriptors(0), pytest.raises(OSError, match="Too many open files"):
        read_journals(tmp_path, PAGE)

    assert read_journals(tmp_path, PAGE) == [SENT]
