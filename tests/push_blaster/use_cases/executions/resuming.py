"""A live send that is stopped half-way, and resumed."""

import json
from collections import Counter
from datetime import timedelta

from chassis.rows import execute
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


def note_restore(bench: Bench) -> None:
    """Let all that there is be from a backup that was restored now."""
    with bench.database.transaction() as connection:
        execute(connection, "INSERT INTO restores (restored_at) VALUES (%s)", (bench.now,))
    bench.now += timedelta(minutes=1)


def resume(
    bench: Bench, execution_id: str, key: str | None = None, *, even_if_restored: bool = False
) -> str:
    return resume_execution(
        bench.web, execution_id, bench.now, idempotency_key=key, even_if_restored=even_if_restored
    ).id
