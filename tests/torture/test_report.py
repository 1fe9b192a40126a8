"""What the verdict says: the seed, the counts, and enough to find a case."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from tests.builders import NOON
from tests.torture.a_history import ACCEPTED, ID, a_history
from tests.torture.checker import find_faults
from tests.torture.evidence import Strike
from tests.torture.report import report
from tests.torture.schedule import Blow
from tests.torture.torture import Told


def test_the_report_tells_seed_counts_the_findings_and_the_log_of_the_first() -> None:
    evidence = a_history(accepted=(*ACCEPTED, ACCEPTED[1]))
    told = Told(
        seed=7,
        blows=Counter({Blow.KILL_ENGINE: 3, Blow.KILL_POSTGRES: 1, Blow.STOP: 2}),
        took_s=60,
        left_by_themselves=("web 0: exit 3",),
        evidence=evidence,
        logs={ID: ["12:00:05 live_execution: Push 1 goes out."]},
    )

    text = report(told, find_faults(evidence))

    assert "seed 7: 4 kills in 1.0 min (4.0 a minute)" in text
    assert "engine 3, web 0, cadence 0, PostgreSQL 1" in text
    assert "lost 0 · doubled 1 · early 0 · over cap 0 · unrecorded 0 · after a stop 0" in text
    assert f"doubled: {ID}: user 1, push 1: taken 2 times, never in doubt" in text
    assert "Push 1 goes out." in text
    assert "left by itself: web 0: exit 3" in text


def test_the_report_tells_how_many_messages_each_kind_of_strike_left_in_doubt() -> None:
    """Two messages are claimed a second before the restart, and one long after everything."""
    evidence = a_history()
    doubtful = [
        replace(row, was_in_doubt=True, claimed_at=NOON + timedelta(seconds=seconds))
        for row, seconds in zip(evidence.ledger, (9, 9.5, 500), strict=False)
    ]
    told = Told(
        seed=7,
        blows=Counter(),
        took_s=60,
        left_by_themselves=(),
        evidence=replace(evidence, ledger=tuple(doubtful)),
        logs={},
        strikes=[
            Strike(NOON, "kill -9 of engine"),
            Strike(NOON + timedelta(seconds=10), "restart of PostgreSQL"),
            Strike(NOON + timedelta(seconds=11), "kill -9 of engine"),
        ],
    )

    text = report(told, [])

    assert "in doubt by restart of PostgreSQL: 2, 2.0 for each of 1" in text
    assert "in doubt by kill -9 of engine: 0, 0.0 for each of 2" in text
    assert f"in doubt by the provider alone: {len(doubtful) - 2}" in text
