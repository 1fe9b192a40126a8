"""The state of the provider, for the dashboard and for health."""

from datetime import datetime

from chassis.postgres import Connection
from push_blaster.adapters.funnels import sum_funnels
from push_blaster.adapters.operations.engine_table import ALIVE_WITHIN, select_paces
from push_blaster.domain.operations.provider import (
    ANSWERS,
    LATELY,
    NEWEST,
    ProviderState,
    judge_provider,
)


def read_provider(connection: Connection, now: datetime) -> ProviderState:
    """Return how well the provider takes messages."""
    paces = select_paces(connection, now - ALIVE_WITHIN)
    return judge_provider(paces, sum_funnels(connection, now - LATELY, ANSWERS, newest=NEWEST))
