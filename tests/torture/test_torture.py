"""A short torture in every run of the tests; `make torture` is the long one."""

from pathlib import Path
from typing import Final

from tests.torture.checker import find_faults
from tests.torture.report import report
from tests.torture.schedule import plan_events
from tests.torture.torture import torture

SEED: Final = 1
KILLS: Final = 25


def test_nothing_is_lost_doubled_early_over_cap_or_unrecorded(place: Path) -> None:
    place.mkdir(mode=0o711)

    told = torture(place, SEED, plan_events(SEED, KILLS, longest_pause_s=0.8), print)

    findings = find_faults(told.evidence)
    assert findings == [], report(told, findings)
    sent = sum(row.state == "sent" for row in told.evidence.ledger)
    assert sent > 500, "it was up long enough to send something"
    reports = told.evidence.reports
    assert sum(reports.counted.values()) > 500, "and so it was to count events"
    assert reports.attributions > 100
    assert reports.opted_out, "and so it was to opt users out"
    assert reports.erased
    assert any(row.state == "opted_out" for row in told.evidence.ledger)
