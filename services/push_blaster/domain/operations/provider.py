"""The provider of messages, as the engines and the outcomes of the last sends show it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from push_blaster.domain.delivery.breaker import BreakerState
from push_blaster.domain.number_words import number_of

#: How far back live sends count.
LATELY: Final = timedelta(hours=1)
#: Of so many pushes that go out now the answers count; there may be ten thousand.
NEWEST: Final = 300
#: How much of the words of a fault is shown.
SHOWN: Final = 200
#: The counts of a funnel whose messages were given to the provider, and not confirmed.
_UNCONFIRMED: Final = ("failed", "deferred", "inDoubt")
#: The counts by which the provider is judged.
ANSWERS: Final = ("sent", *_UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class ProviderState:
    """Whether the provider is healthy, degraded or critical, and its meaning in words."""

    level: str
    text: str = ""


def judge_provider(paces: Iterable[Mapping[str, Any]], lately: Mapping[str, int]) -> ProviderState:
    """Return the state of the provider.

    Shape: `paces` are those of the engines; `lately` sums the funnels of live sends of the last
    hour, by the names in JSON.
    """
    every = list(paces)
    failure = _find_failure(every, lately)
    if failure:
        return ProviderState("critical", failure)
    slowed = min((pace["slowedTo"] for pace in every), default=1)
    if slowed < 1:
        text = f"It reports that its quota is exceeded: slowed to {slowed:.0%}."
        return ProviderState("degraded", text)
    return ProviderState("healthy")


def _find_failure(paces: Sequence[Mapping[str, Any]], lately: Mapping[str, int]) -> str | None:
    """Return what shows that hardly any message is sent, for people; None if nothing does."""
    unconfirmed = sum(lately.get(name, 0) for name in _UNCONFIRMED)
    tried = unconfirmed + lately.get("sent", 0)
    fault = next((pace["fault"] for pace in paces if "fault" in pace), None)
    if any(pace["breaker"] != BreakerState.CLOSED for pace in paces):
        return "It rejects most messages. They wait until it recovers."
    if fault:
        return f"None of the last messages was sent: {fault[:SHOWN]}"
    if unconfirmed * 2 > tried:
        confirmed = f"only {tried - unconfirmed}" if tried > unconfirmed else "none"
        return f"It confirmed {confirmed} of the {number_of(tried, 'message')} of the last hour."
    return None
