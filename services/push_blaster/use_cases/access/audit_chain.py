"""Give the audit log its chain of hashes, and verify it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.access.audit_chain import (
    chain_some,
    count_unchained,
    stream_links,
)
from push_blaster.domain.access.audit import FIRST, RecordedChange, find_forgery, link

#: The number of faults that are reported; a chain with one fault is not reliable anyway.
FAULTS_TOLD: Final = 20


@dataclass(slots=True)
class Verification:
    """The result: what was verified, and every fault.

    Shape: `number` and `hash` are those of the last link; `unchained` rows have no link yet.
    """

    number: int
    hash: str
    links: int = 0
    unchained: int = 0
    faults: list[str] = field(default_factory=list)


def chain_changes(database: Database, now: datetime) -> None:
    """Give every answered change its link; safe to repeat, and from several processes."""
    while True:
        with database.transaction() as connection:
            if not chain_some(connection, now):
                return


def verify_audit_log(database: Database, head: str | None = None) -> Verification:
    """Verify every link from the last checkpoint on: nothing changed, nothing is missing.

    Shape: `head` is `number:hash` of an earlier verification, which must be in the chain.
    """
    is_missing = head is not None
    done = Verification(0, FIRST)
    with database.transaction() as connection:
        for number, hash_, is_pruned, row in stream_links(connection):
            if is_pruned and done.links == 0:
                done.number, done.hash = number - 1, hash_
            fault = _find_fault(done, number, None if is_pruned else hash_, row)
            if fault and len(done.faults) < FAULTS_TOLD:
                done.faults.append(fault)
            done.number, done.hash = number, hash_
            is_missing = is_missing and head != f"{number}:{hash_}"
            done.links += 1
        done.unchained = count_unchained(connection)
    if is_missing:
        done.faults.append(f"The head {head} is not in the chain: entries were taken away.")
    return done


def _find_fault(
    done: Verification, number: int, hash_: str | None, row: RecordedChange | None
) -> str | None:
    """Return the fault of a link; a link without a hash was pruned, and counts as valid."""
    if number != done.number + 1:
        return f"Links {done.number + 1} to {number - 1} are missing."
    if hash_ is None or row is None:
        return None if hash_ is None else f"The entry of link {number} was deleted."
    is_same = hash_ == link(done.hash, number, row)
    forged = f"`{find_forgery(row)}` of the entry" if find_forgery(row) else None
    forged = forged if is_same else "The entry"
    return f"{forged} {row.id} (link {number}) was changed." if forged else None
