"""The end of `make fuzz`: how many cases, and how they were answered."""

from itertools import chain
from typing import Any

from tests.fuzz.throwing import add_up


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = chain.from_iterable(terminalreporter.stats.get(k, []) for k in ("passed", "failed"))
    for place, answers in add_up(reports).items():
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(answers.items()))
        terminalreporter.write_line(f"{place}: {answers.total()} cases: {told}")
