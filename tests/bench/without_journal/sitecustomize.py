"""Makes an engine write no journal; Python imports this module by itself, from PYTHONPATH."""

from push_blaster.adapters.delivery.outcome_journal import JournalEntry, PageJournal


def _write_nothing(_journal: PageJournal, _entry: JournalEntry) -> None:
    """Leave the file as it is."""


PageJournal.append = _write_nothing  # type: ignore[method-assign]  # that is its purpose
