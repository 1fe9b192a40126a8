"""The verdict in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from tests.torture.checker import Fault, Finding, count_uncapped
from tests.torture.evidence import Evidence, Row, Strike
from tests.torture.schedule import KILLS
from tests.torture.torture import Told

#: How many findings of a kind are shown.
SHOWN: Final = 10
#: How long after its claim a message may be on its way, so that a strike leaves it in doubt.
ON_ITS_WAY: Final = timedelta(seconds=5)
#: The lots of devices that misbehave by themselves, as the script of the world draws them.
STRANGE: Final = range(10, 16)
NO_STRIKE: Final = "the provider alone"


def report(told: Told, findings: Sequence[Finding]) -> str:
    """Return the summary: actions, results, counts that must be zero, and the findings."""
    return "\n".join(
        [
            *_what_was_done(told),
            *_what_came_of_it(told.evidence),
            *_what_left_doubt(told),
            _what_must_be_zero(findings),
            *_show(findings, told.logs),
            *(f"  left by itself: {text}" for text in told.left_by_themselves),
        ]
    )


def _what_was_done(told: Told) -> list[str]:
    kills = sum(told.blows[kind] for kind in KILLS)
    pace = kills / (told.took_s / 60)
    by_part = ", ".join(f"{kind} {told.blows[kind]}" for kind in KILLS)
    others = ", ".join(
        f"{kind} {count}" for kind, count in sorted(told.blows.items()) if kind not in KILLS
    )
    return [
        f"seed {told.seed}: {kills} kills in {told.took_s / 60:.1f} min ({pace:.1f} a minute)",
        f"  killed: {by_part}",
        f"  besides: {others}",
    ]


def _what_came_of_it(evidence: Evidence) -> list[str]:
    executions = list(evidence.executions.values())
    phases = Counter(execution.phase for execution in executions)
    copies = Counter(message.tag for message in evidence.accepted)
    again = sum(1 for count in copies.values() if count > 1)
    states = Counter(row.state for row in evidence.ledger)
    resent = sum(row.was_in_doubt for row in evidence.ledger)
    uncapped = sum(execution.is_uncapped for execution in executions)
    reports = evidence.reports
    return [
        f"  executions {len(executions)}: {_count(phases)}",
        f"  slots that were owed {len(evidence.slots)}, starts that were answered "
        f"{len(evidence.answered)}",
        f"  ledger rows {len(evidence.ledger)}: {_count(states)}",
        f"  messages that the provider took {len(evidence.accepted)}; {again} more than once, "
        "under one display tag each",
        f"  in doubt at some time {resent}, left so {states['in_doubt']}",
        f"  uncapped executions {uncapped}; with them, {count_uncapped(evidence)} sends over a cap",
        f"  events reported {len(reports.events)}, counted {sum(reports.counted.values())}; "
        f"conversions {len(reports.keys)}, attributed {reports.attributions}; "
        f"users who opted out {len(reports.opted_out)}, their later messages that were left out "
        f"{states['opted_out']}; users who were erased {len(reports.erased)}",
    ]


def _what_left_doubt(told: Told) -> list[str]:
    """Return how many messages each kind of strike left in doubt at some time."""
    strikes = sorted(told.strikes, key=lambda strike: strike.at)
    left = Counter(_find_cause(strikes, row) for row in told.evidence.ledger if row.was_in_doubt)
    struck = Counter(strike.cause for strike in strikes)
    return [
        f"  in doubt by {cause}: {left[cause]}, {left[cause] / count:.1f} for each of {count}"
        for cause, count in sorted(struck.items())
    ] + [f"  in doubt by {NO_STRIKE}: {left[NO_STRIKE]}"]


def _find_cause(strikes: Sequence[Strike], row: Row) -> str:
    """Return the first strike after the claim, while the message can have been on its way."""
    at = row.claimed_at
    if at is None or row.address.user * 7919 % 1000 in STRANGE:
        return NO_STRIKE
    after = (strike for strike in strikes if timedelta() <= strike.at - at <= ON_ITS_WAY)
    return next((strike.cause for strike in after), NO_STRIKE)


def _what_must_be_zero(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.fault for finding in findings)
    return "  " + " · ".join(f"{fault} {counts[fault]}" for fault in Fault)


def _show(findings: Sequence[Finding], logs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the first findings of each kind, and what the first one's execution says of itself."""
    shown: list[str] = []
    for fault in Fault:
        these = [finding for finding in findings if finding.fault is fault]
        shown += [f"  {fault}: {one.where}: {one.text}" for one in these[:SHOWN]]
        if len(these) > SHOWN:
            shown.append(f"  {fault}: and {len(these) - SHOWN} more")
        if these:
            shown += [f"    {line}" for line in logs.get(these[0].where, ())]
    return shown


def _count(counter: "Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
