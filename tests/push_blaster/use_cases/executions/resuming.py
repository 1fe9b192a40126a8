"""A live send that is stopped half-way, and resumed."""

import json
from collections import Counter
from datetime import timedelta

from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.resume_execution import resume_execution
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.push_blaster.bench import Bench


def sent(bench: Bench) -> Counter[str]:
    lines = (bench.folder / "messages.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["userId"] for line in lines)


def stopped_half_way(bench: Bench, users: int = 100) -> str:
    execution_id = bench.start(parameters={"users": users})
    bench.work_until_sent(users // 3)
    stop(bench, execution_id)
    return execution_id


def stop(bench: Bench, execution_id: str) -> None:
    """Stop it, and let the engine wind up what was under way."""
    stop_execution(bench.database, execution_id, "Wrong hour", bench.now)
    bench.now += timedelta(minutes=1)
    close_batches(bench.context)


def resume(bench: Bench, execution_id: str, key: str | None = None) -> str:
    return resume_execution(bench.web, execution_id, bench.now, idempotency_key=key).id
