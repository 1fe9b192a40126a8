"""The verdict in words: actions, alerts, and results."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.day.day import Day
from tests.day.faults import Kind
from tests.day.judge import explain, measure_growth


def report(day: Day, wrong: Sequence[str]) -> str:
    """Return the summary, in Markdown."""
    return "\n".join(
        [
            *_what_came_of_it(day),
            "",
            *_what_was_heard(day),
            "",
            *_memory(day),
            "",
            f"{len(wrong)} things are wrong",
            *(f"- {text}" for text in wrong),
        ]
    )


def _what_came_of_it(day: Day) -> Iterator[str]:
    evidence = day.evidence
    minutes = (day.ended_at - day.began_at).total_seconds() / 60
    phases = Counter(execution.phase for execution in evidence.executions.values())
    states = Counter(row.state for row in evidence.ledger if not row.address.is_test)
    uncapped = sum(execution.is_uncapped for execution in evidence.executions.values())
    yield f"{minutes:.0f} minutes, {len(day.planned)} automations, {len(day.struck)} faults"
    yield f"- slots owed: {len(evidence.slots)}; executions: {len(evidence.executions)}"
    yield f"- they ended: {_count(phases)}; uncapped {uncapped}"
    yield f"- ledger: {_count(states)}; messages that the provider took: {len(evidence.accepted)}"
    yield f"- edits by two at once: {day.edits}, lost {len(day.odd)}"


def _what_was_heard(day: Day) -> Iterator[str]:
    heard: dict[Kind, Counter[str]] = defaultdict(Counter)
    for alarm in day.alarms:
        fault = explain(day.struck, alarm.name, alarm.at)
        if fault:
            heard[fault.kind][alarm.name] += 1
    for message in day.messages:
        fault = explain(day.struck, message.event, message.at, message.automation_id)
        if fault:
            heard[fault.kind][message.event] += 1
    yield "| fault | times | heard of by |"
    yield "|---|---|---|"
    for kind, times in Counter(fault.kind for fault in day.struck).items():
        yield f"| {kind} | {times} | {_count(heard[kind]) or 'nobody'} |"


def _memory(day: Day) -> Iterator[str]:
    yield "| part | memory | growth in the run |"
    yield "|---|---|---|"
    for growth in measure_growth(day):
        yield f"| {growth.part} | {growth.mean_mb:.0f} MB | {growth.grown_mb:+.1f} MB |"


def _count(counter: "Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
