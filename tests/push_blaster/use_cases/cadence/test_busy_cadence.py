"""A cadence service that is busy is asked again after its pause; no worker waits meanwhile."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from chassis.postgres import BulkDatabase
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fakes.fickle_proxy import FickleProxy, Mood, run_proxy
from tests.push_blaster.bench import Bench
from tests.push_blaster.cadence_support import sent_before

SECOND = timedelta(seconds=1)


@pytest.fixture
def proxy(bench: Bench, cadence_service: str) -> Iterator[FickleProxy]:
    with run_proxy() as proxy:
        proxy.target = cadence_service
        yield proxy


def ask_through(bench: Bench, proxy: FickleProxy, timeout: timedelta) -> None:
    bench.change(cadence=CadenceClient(proxy.url, CADENCE_TOKEN, timeout=timeout))


def test_a_batch_waits_out_the_pause_in_nobodys_hands_and_is_checked_then(
    bench: Bench, proxy: FickleProxy, cadence_database: BulkDatabase
) -> None:
    ask_through(bench, proxy, 5 * SECOND)
    sent_before(cadence_database, range(1, 4), 3, hours=10)
    execution_id = bench.start()
    proxy.mood, proxy.retry_after = Mood.BUSY, "2"

    begun = time.monotonic()
    bench.work()
    took_s = time.monotonic() - begun
    asked = proxy.asked
    bench.now += SECOND
    bench.work()
    assert proxy.asked == asked, "nobody asks before the pause has passed"
    proxy.mood = Mood.WELL
    bench.now += SECOND
    execution = bench.run(execution_id)

    assert took_s < 1.5, "no worker waited for the pause"
    assert (execution.phase, execution.uncapped_reason) == (Phase.COMPLETED, None)
    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["exclusionBreakdown"]) == (7, {"layer_3_cooldown_hours": 3})


@pytest.mark.parametrize(
    ("policy", "phase", "sent"), [("open", Phase.COMPLETED, 10), ("closed", Phase.FAILED, 0)]
)
def test_the_policy_decides_when_it_stays_busy(
    bench: Bench, proxy: FickleProxy, policy: str, phase: Phase, sent: int
) -> None:
    ask_through(bench, proxy, SECOND / 10)
    execution_id = bench.start(settings={"failPolicy": policy})
    proxy.mood, proxy.retry_after = Mood.BUSY, "0"
    bench.work()
    asked = proxy.asked
    assert bench.funnel(execution_id)["sent"] in {0, sent}

    time.sleep(0.4)  # as long as three timeouts take
    execution = bench.run(execution_id)

    assert asked > 2, "it was asked again"
    assert (execution.phase, bench.funnel(execution_id)["sent"]) == (phase, sent)
    said = execution.uncapped_reason or execution.reason
    assert said
    assert "answered 503: busy (for too long)" in said


def test_a_pause_that_is_too_long_is_an_outage(bench: Bench, proxy: FickleProxy) -> None:
    ask_through(bench, proxy, 5 * SECOND)
    execution_id = bench.start()
    proxy.mood, proxy.retry_after = Mood.BUSY, "86400"

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert "for too long" in (execution.uncapped_reason or "")


def test_a_stop_ends_a_batch_that_waits(bench: Bench, proxy: FickleProxy) -> None:
    ask_through(bench, proxy, 5 * SECOND)
    execution_id = bench.start()
    proxy.mood = Mood.BUSY
    bench.work()

    stop_execution(bench.database, execution_id, "enough", bench.now)
    proxy.mood = Mood.WELL
    bench.now += 2 * SECOND
    bench.work()

    assert bench.funnel(execution_id)["sent"] == 0
