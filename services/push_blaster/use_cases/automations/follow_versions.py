"""Record the edits that people make in the files of automations, and the files that they remove."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import structlog

from chassis.postgres import Connection, Database, DatabaseFaultError
from push_blaster.adapters.automations.automation_files import AutomationFiles, StoredAutomation
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentNotFoundError,
)
from push_blaster.adapters.automations.version_table import (
    NewestVersion,
    digest_of,
    select_newest,
)
from push_blaster.domain.automations.version import REMOVALS
from push_blaster.use_cases.automations.follow_files import GONE_FOR
from push_blaster.use_cases.automations.keep_versions import record_found, record_gone

log = structlog.get_logger()

#: How long a file stays the same before its content is a version. A web needs less time to record
#: what it has written, with its author; and an editor may save again.
SETTLED: Final = timedelta(seconds=5)
#: How many versions one look records.
MAX_PER_LOOK: Final = 200


@dataclass(slots=True)
class VersionFollower:
    """Remembers since when a file has had a content that is no version yet."""

    files: AutomationFiles
    database: Database
    uptime: Callable[[], float] = time.monotonic
    _seen: Mapping[str, StoredAutomation] | None = None
    _digests: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)
    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def look(self, now: datetime) -> list[str]:
        """Record new contents that have settled, and files that are gone; return the ids."""
        automations = self.files.read_all()
        if automations is self._seen and not self._since:
            return []
        at, unknown = self.uptime(), self._find_unknown(automations)
        self._seen = automations
        self._since = {one: self._since.get(one, at) for one in unknown}
        due = [one for one in unknown if at - self._since[one] >= _delay(one).total_seconds()]
        return [id_ for id_, digest in islice(due, MAX_PER_LOOK) if self._record(id_, digest, now)]

    def _find_unknown(self, automations: Mapping[str, StoredAutomation]) -> list[tuple[str, str]]:
        """Return automations with the digest that is no version yet; an empty one if it is gone."""
        with self.database.transaction() as connection:
            newest = select_newest(connection)
        digests = {id_: self._digest(stored.document) for id_, stored in automations.items()}
        self._digests = {id_: self._digests[id_] for id_ in digests}
        edited = [(id_, d) for id_, d in digests.items() if not _is_known(newest.get(id_), d)]
        if not automations:  # a folder without any file is more likely an unmounted disk
            return edited
        unreadable = {file.name.removesuffix(".json") for file in self.files.list_all().broken}
        present = digests.keys() | unreadable
        there = (id_ for id_, one in newest.items() if one.kind not in REMOVALS)
        return [*edited, *((id_, "") for id_ in there if id_ not in present)]

    def _digest(self, document: Mapping[str, Any]) -> str:
        known = self._digests.get(document["id"])
        if known is None or known[0] is not document:
            known = self._digests[document["id"]] = (document, digest_of(document))
        return known[1]

    def _record(self, automation_id: str, digest: str, now: datetime) -> bool:
        """Record one version; one that cannot be recorded keeps no other one waiting."""
        try:
            present = self._read_now(automation_id)
            if (digest_of(present) if present else "") == digest:
                with self.database.transaction() as connection:
                    return _record(connection, automation_id, present, now)
        except BrokenDocumentError:  # somebody is writing it at this moment
            log.info("version_awaited", automation=automation_id)
        except DatabaseFaultError:
            log.exception("version_not_recorded", automation=automation_id)
        return False

    def _read_now(self, automation_id: str) -> Mapping[str, Any] | None:
        """Return the document as it is now; a shared disk may show an old listing for a while."""
        with suppress(DocumentNotFoundError):
            return self.files.load(automation_id)
        return None


def _record(
    connection: Connection, automation_id: str, present: Mapping[str, Any] | None, now: datetime
) -> bool:
    if present is None:
        return record_gone(connection, automation_id, now)
    return record_found(connection, present, now)


def _is_known(newest: NewestVersion | None, digest: str) -> bool:
    return newest is not None and newest.kind not in REMOVALS and newest.digest == digest


def _delay(unknown: tuple[str, str]) -> timedelta:
    return SETTLED if unknown[1] else GONE_FOR
