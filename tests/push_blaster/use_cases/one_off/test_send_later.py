"""The push of a dry run is sent now or later: one decision at a time, and only one of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.use_cases.one_off.schedule_push import AlreadySentError
from push_blaster.use_cases.one_off.send_later import deciding


class FailedError(Exception):
    """A decision that could not be carried out."""


@pytest.mark.parametrize("first", ["now", "later"])
def test_decisions_wait_for_one_that_fails_and_then_only_one_way_is_gone(
    database: Database, first: str
) -> None:
    gone: list[str] = []
    ready = threading.Barrier(3)

    def decide(way: str) -> None:
        ready.wait(10)
        with suppress(AlreadySentError), deciding(database, "dry run", way, utc_now()):
            gone.append(way)

    with ThreadPoolExecutor() as pool:
        with suppress(FailedError), deciding(database, "dry run", first, utc_now()):
            others = [pool.submit(decide, way) for way in ("now", "later")]
            ready.wait(10)
            time.sleep(0.3)  # long enough for both to come in, if nothing stops them
            went_meanwhile = list(gone)
            raise FailedError
        for one in others:
            one.result(10)

    assert went_meanwhile == []
    assert len(gone) == 1


def test_the_way_that_was_gone_may_be_gone_again_and_the_other_one_not(database: Database) -> None:
    with deciding(database, "dry run", "now", utc_now()):
        pass

    with deciding(database, "dry run", "now", utc_now()):
        pass
    with pytest.raises(AlreadySentError), deciding(database, "dry run", "later", utc_now()):
        pass
    with deciding(database, "another dry run", "later", utc_now()):
        pass
