"""What a message leaves behind: the bytes of each table, for each message that was sent."""

from typing import Final

from tests.journeys.stack import Stack

#: Every table with its indexes, partitions added up under the name of their parent.
SIZES: Final = """
SELECT coalesce(i.inhparent::regclass::text, c.relname) AS name,
       sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid))
  FROM pg_class c
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
 GROUP BY name
HAVING sum(pg_total_relation_size(c.oid)) > 1000000
 ORDER BY sum(pg_total_relation_size(c.oid)) DESC
"""


def print_sizes(stack: Stack) -> None:
    """Print the larger tables of both databases, and the frozen audiences, by message."""
    ((sent,),) = stack.ledger("SELECT count(*) FROM deliveries")
    print(f"\nBytes a message, of {sent:,}")
    print("| what | rows | indexes |")
    print("|---|---|---|")
    for name, rows, indexes in [*stack.ledger(SIZES), *stack.history(SIZES)]:
        print(f"| {name} | {rows / sent:.0f} | {indexes / sent:.0f} |")
    frozen = sum(f.stat().st_size for f in stack.folder.glob("executions/**/*") if f.is_file())
    print(f"| files of executions | {frozen / sent:.0f} | |")
    ((wal,),) = stack.ledger("SELECT wal_bytes::bigint FROM pg_stat_wal")
    print(f"| the log of all writes, since the server's start | {wal / sent:.0f} | |", flush=True)
