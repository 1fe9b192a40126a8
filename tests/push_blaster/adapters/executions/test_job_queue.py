"""The queue's own connections."""

import asyncio

from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.executions.job_queue import make_connector


def test_the_queue_leaves_no_statement_on_a_connection(postgres: EmbeddedPostgres) -> None:
    async def ask_often() -> list[int]:
        connector = make_connector(postgres.url("postgres"))
        await connector.open_async()
        try:
            asked = "SELECT count(*) AS n FROM pg_prepared_statements"
            return [(await connector.execute_query_one_async(asked))["n"] for _ in range(10)]
        finally:
            await connector.close_async()

    assert asyncio.run(ask_often()) == [0] * 10
