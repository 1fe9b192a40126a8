"""Findings as pages show them: by theme, each with the field and the rule that it is about."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from push_blaster.domain.schedule.finding import Finding, Theme, group_findings
from push_blaster.web.automations.automation_fields import describe, path_in_form

_TONES: Final[Mapping[Theme, str]] = {
    Theme.NOTHING_SENT: "bad",
    Theme.TESTS: "calm",
    Theme.UNKNOWN: "calm",
}


class ShownFinding(NamedTuple):
    """A finding, the place of its field in the form, and the label of the field."""

    finding: Finding
    path: str
    label: str


class ShownTheme(NamedTuple):
    """The findings of a theme, and its colour."""

    name: str
    tone: str
    findings: list[ShownFinding]


def show_findings(findings: Iterable[Finding]) -> list[ShownTheme]:
    """Return the findings by theme, the most serious theme first."""
    return [
        ShownTheme(theme, _TONES.get(theme, "held"), [_make_shown(finding) for finding in group])
        for theme, group in group_findings(findings).items()
    ]


def _make_shown(finding: Finding) -> ShownFinding:
    path = path_in_form(finding.field)
    return ShownFinding(finding, path, describe(path))
