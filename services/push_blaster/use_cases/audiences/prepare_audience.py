"""Prepare the audience of a push; this runs in a process of its own, which starts at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from push_blaster.adapters.audiences.frozen_audiences import FrozenAudience, freeze_audience
from push_blaster.adapters.audiences.progress import OnProgress
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.push_template import Wordings
from push_blaster.use_cases.audiences.check_audience import check_audience


class UnknownVariableError(Exception):
    """A push has a placeholder that is no column of its audience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """The CSV of a push, the place of its frozen audience, and the checks of its texts."""

    source: Path
    target: Path
    max_size: int
    automation: Automation
    position: int
    links: LinkPolicy


def prepare_audience(
    on_progress: OnProgress, wanted: Preparation
) -> tuple[FrozenAudience, Mapping[str, Any]]:
    """Freeze the audience of a push, and check every row; return both findings.

    Raises: UnknownVariableError, and what freeze_audience raises.
    """
    push = wanted.automation.pushes[wanted.position - 1]
    frozen = freeze_audience(wanted.source, wanted.target, wanted.max_size, on_progress)
    unknown = Wordings("", push).find_unknown(frozen.columns)
    if unknown:
        raise UnknownVariableError(
            f"Push {wanted.position} uses {', '.join(f'[[var:{name}]]' for name in unknown)}, and "
            f"its audience has no such column. Its columns: {', '.join(frozen.columns) or 'none'}."
        )
    return frozen, check_audience(wanted.links, wanted.automation, push, wanted.target, on_progress)
