"""Ask cadence about a whole audience, in slices; a large one in a process of its own."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

from push_blaster.adapters.audiences.frozen_audiences import read_users
from push_blaster.adapters.audiences.progress import OnProgress
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.adapters.devices.opt_out_reader import OptOutReader
from push_blaster.domain.audiences.preparation import Stage
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import PlannedSend, PushForecast
from push_blaster.domain.devices.opt_out import OptOut
from push_blaster.use_cases.delivery.find_opted_out import refuse_opted_out

#: Users in one question; the client's time limit holds for the answer.
SLICE: Final = 10_000
#: The numbers of the pushes, in the order of the question, that some users want.
Wanted = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Willingness:
    """Finds which users of an automation's audience want which pushes; `named` want each."""

    opt_outs: OptOutReader
    automation: Automation
    named: frozenset[UUID] = frozenset()

    def group(
        self, users: Sequence[UUID], sends: Sequence[PlannedSend]
    ) -> Mapping[Wanted, list[UUID]]:
        """Return the users by the pushes that they want at the planned instants."""
        opt_outs = self.opt_outs.read(users, min(send.at for send in sends))
        refused = [self._find_refused(opt_outs, send) for send in sends]
        unwilling = {user for one in refused for user in one}
        every = tuple(range(len(sends)))
        groups = defaultdict(list, {every: [user for user in users if user not in unwilling]})
        for user in unwilling:
            groups[tuple(n for n in every if user not in refused[n])].append(user)
        return {wanted: group for wanted, group in groups.items() if group}

    def _find_refused(self, opt_outs: Sequence[OptOut], send: PlannedSend) -> Collection[UUID]:
        """Return who does not want a push, by the opt-outs that hold at its instant."""
        hold = (one for one in opt_outs if one.until is None or one.until > send.at)
        return refuse_opted_out(hold, self.automation, send.layer_id).keys() - self.named


def forecast_pushes(
    on_progress: OnProgress,
    cadence: CadenceClient,
    path: Path,
    sends: Sequence[PlannedSend],
    willingness: Willingness,
) -> list[PushForecast]:
    """Return the forecast of each of `sends` to a frozen audience; it reserves no slots.

    Cadence is asked about the users who want a push, as in a send; the others have opted out.
    """
    found = [PushForecast(at=send.at, eligible=0) for send in sends]
    for number, users in enumerate(read_users(path, SLICE)):
        on_progress(Stage.FORECASTING, number * SLICE)
        for wanted, group in willingness.group(users, sends).items():
            try:
                answers = _ask(cadence, group, sends, wanted)
            except CadenceUnavailableError as error:
                return [PushForecast(at=send.at, reason=str(error)) for send in sends]
            found = [
                _add(total, answers[n])
                if n in answers
                else replace(total, opted_out=total.opted_out + len(group))
                for n, total in enumerate(found)
            ]
    return found


def _ask(
    cadence: CadenceClient, users: Sequence[UUID], sends: Sequence[PlannedSend], wanted: Wanted
) -> dict[int, PushForecast]:
    """Return the forecasts of the pushes that these users want, by their numbers."""
    if not wanted:
        return {}
    answers = cadence.forecast_pushes(users, [sends[n] for n in wanted])
    return dict(zip(wanted, answers, strict=True))


def _add(total: PushForecast, part: PushForecast) -> PushForecast:
    return replace(
        part,
        eligible=(total.eligible or 0) + (part.eligible or 0),
        capped=Counter(total.capped) + Counter(part.capped),
        opted_out=total.opted_out,
    )
