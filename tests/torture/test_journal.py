"""Which slots the system owes: those of which nobody can say that it was paused just then."""

from datetime import UTC, datetime, timedelta

from tests.torture.evidence import SlotExpected
from tests.torture.journal import Journal

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def owed(journal: Journal, until: datetime = NOON + 10 * MINUTE) -> list[SlotExpected]:
    return list(journal.find_owed(until))


def test_a_slot_is_owed_by_what_was_scheduled_before_it_and_stayed_so() -> None:
    journal = Journal()
    journal.has_one_slot("spring", NOON + MINUTE)
    journal.switched_on("spring", NOON)

    assert owed(journal) == [SlotExpected("spring", NOON + MINUTE)]
    assert owed(journal, until=NOON + MINUTE) == [], "no engine need have looked yet"


def test_a_slot_is_not_owed_by_what_was_scheduled_too_late_or_perhaps_paused() -> None:
    journal = Journal()
    for name in ("late", "paused", "stopped"):
        journal.has_one_slot(name, NOON + MINUTE)
        journal.switched_on(name, NOON + (2 * MINUTE if name == "late" else 0 * MINUTE))
    journal.switched_off("paused", NOON + MINUTE)
    assert owed(journal) == [SlotExpected("stopped", NOON + MINUTE)]

    journal.switched_off(None, NOON)

    assert owed(journal) == []


def test_every_minute_is_owed_between_a_resume_and_the_next_pause() -> None:
    journal = Journal()
    journal.switched_on("cron", NOON + timedelta(seconds=10))
    journal.switched_off("cron", NOON + 2.5 * MINUTE)
    journal.switched_on("cron", NOON + 3.5 * MINUTE)

    minutes = [(slot.at - NOON) / MINUTE for slot in owed(journal, until=NOON + 6 * MINUTE)]

    assert minutes == [1, 2, 4, 5]
