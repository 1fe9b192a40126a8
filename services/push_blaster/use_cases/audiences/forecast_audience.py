"""Ask cadence about a whole audience, in slices; a large one in a process of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from push_blaster.adapters.audiences.frozen_audiences import read_users
from push_blaster.adapters.audiences.progress import OnProgress
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.cadence.cadence import PlannedSend, PushForecast

#: Users in one question; the client's time limit holds for the answer.
SLICE: Final = 10_000


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
