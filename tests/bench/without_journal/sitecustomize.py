"""Makes an engine write no journal; Python imports this module by itself, from PYTHONPATH."""

from push_blaster.adapters.delivery.outcome_journal import JournalEntry, PageJournal


def _write_nothing(self: PageJournal, entry: JournalEntry) -> None:
    """Leave the file of `self` without `entry`."""


PageJournal.append = _write_nothing  # type: ignore[method-assign]  # that is its purpose
