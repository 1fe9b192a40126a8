"""The large work on the audience of a push; each function here runs in a process of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from push_blaster.adapters.audiences.frozen_audiences import (
    FrozenAudience,
    freeze_audience,
    read_users,
)
from push_blaster.adapters.audiences.progress import OnProgress
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import PlannedSend, PushForecast
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.push_template import Wordings
from push_blaster.use_cases.audiences.check_audience import check_audience

#: Users in one question; the client's time limit holds for the answer.
SLICE: Final = 10_000


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


def forecast_pushes(
    on_progress: OnProgress, cadence: CadenceClient, path: Path, sends: Sequence[PlannedSend]
) -> list[PushForecast]:
    """Return the forecast of each of `sends` to a frozen audience; it reserves no slots."""
    found = [PushForecast(at=send.at, eligible=0) for send in sends]
    for number, users in enumerate(read_users(path, SLICE)):
        on_progress(Stage.FORECASTING, number * SLICE)
        try:
            slice_ = cadence.forecast_pushes(users, sends)
        except CadenceUnavailableError as error:
            return [PushForecast(at=send.at, reason=str(error)) for send in sends]
        found = [_add(total, part) for total, part in zip(found, slice_, strict=True)]
    return found


def _add(total: PushForecast, part: PushForecast) -> PushForecast:
    return replace(
        part,
        eligible=(total.eligible or 0) + (part.eligible or 0),
        capped=Counter(total.capped) + Counter(part.capped),
    )
