"""The list of all places that keep ids of users, or might: columns of tables, and folders.

A test compares the list with the tables and folders that exist, so that nobody forgets a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What an erasure does with the rows and texts of a table.

    Shape: `user` is the column with the id of a user; the user's rows are deleted if they are to
    `go`, else a stand-in takes the user's place in them. Only rows that fulfil the SQL of `found`
    are changed. Columns are separated by spaces: in `texts` each mention is replaced; from the JSON
    of `lists` items that name the user are removed; what is `blanked` becomes empty; `arrays` are
    ids of several users. `replaced` columns get the value of an SQL expression in the user's rows.
    `execution` is the column that names the execution; while that is under way, its rows stay. What
    is `free` keeps no user: states, hashes, and names that people choose.
    """

    user: str = ""
    goes: bool = False
    found: str = "true"
    texts: str = ""
    lists: str = ""
    arrays: str = ""
    blanked: str = ""
    replaced: Mapping[str, str] | None = None
    execution: str = ""
    free: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """Every column that the list names."""
        named = (self.user, self.texts, self.lists, self.arrays, self.blanked, self.free)
        return frozenset((*" ".join((*named, self.execution)).split(), *(self.replaced or {})))


TABLES: Final[Mapping[str, Table]] = {
    # What is known of users, row by row.
    "devices": Table(
        user="user_id",
        goes=True,
        free="token kind platform dead_reason keys timezone app_version language",
    ),
    "doubted_devices": Table(user="user_id", goes=True, free="execution_id token kind reason"),
    "test_devices": Table(
        user="user_id", goes=True, free="id name token kind keys platform created_by"
    ),
    "opt_outs": Table(user="user_id", goes=True, free="scope target reason source set_by"),
    "opt_out_taps": Table(user="user_id", goes=True, free="scope said_at"),
    "testers": Table(
        user="user_id", goes=True, execution="execution_id", free="name kind platform title body"
    ),
    "deliveries": Table(
        user="user_id",
        texts="reason",
        replaced={"provider_id": "NULL"},
        execution="execution_id",
        free="state variant",
    ),
    "over_cap": Table(user="user_id", execution="execution_id", free="rules"),
    "event_inbox": Table(arrays="users", free="events actions"),
    "events": Table(user="user_id", free="event action"),
    "sampled_pushes": Table(user="user_id"),
    "first_events": Table(user="user_id", free="texts metric"),
    "attributions": Table(
        user="user_id",
        found="conversion_id IN (SELECT id FROM conversions WHERE user_id = %(user)s)",
        free="automation_id",
    ),
    "conversions": Table(  # after the attributions, which are found by it
        user="user_id", replaced={"key": "'erased:' || gen_random_uuid()"}, free="goal"
    ),
    "erasures": Table(free="id hash user_id stand_in tokens stage waits_for notes"),  # until done
    "erased_users": Table(free="hash"),
    # Texts in which a user may be named.
    "executions": Table(
        texts="idempotency_key reason uncapped_reason snapshot approval_reason approval preparation"
        " waits_for",
        execution="id",
        free="automation_id automation_name mode trigger phase resumes attempt_by",
    ),
    "execution_pushes": Table(
        texts="audience_check",
        lists="bad_rows",
        execution="execution_id",
        free="status audience_file audience_hash audience_columns source_file funnel forecast"
        " slots_key",
    ),
    "execution_log": Table(texts="message", free="execution_id level stage"),
    "execution_stops": Table(
        texts="reason", free="execution_id phase only_execution only_automation phases"
    ),
    "emergency_stops": Table(texts="reason"),
    "dismissals": Table(texts="note", free="execution_id by"),
    "violations": Table(
        texts="message data resolution facts", free="id execution_id automation_id type severity"
    ),
    "alerts": Table(texts="facts", free="execution_id event"),
    "alert_deliveries": Table(texts="body failure", free="id destination_id execution_id"),
    "script_runs": Table(
        texts="idempotency_key parameters error",
        lists="audiences",
        free="id script_id execution_id folder state engine_id",
    ),
    "automation_versions": Table(texts="reason document", free="automation_id kind author digest"),
    "idempotency_keys": Table(texts="key", free="route request"),
    "audit_log": Table(
        blanked="what detail",
        found="what_hash IS NOT NULL",  # the table lets nobody change older rows
        free="actor role method path endpoint request_id body_hash what_hash detail_hash",
    ),
    "unsent_forms": Table(texts="path", free="hash caller fields files"),  # fields: encrypted
    # What keeps no user: names of executions, automations and people who work here, and secrets.
    "alembic_version": Table(free="version_num"),
    "alert_destinations": Table(
        free="id name kind address events automations modes secret previous_secret created_by"
        " earlier_secrets"
        " environment fingerprint failure"
    ),
    "attributed_executions": Table(),
    "audit_chain": Table(free="hash"),
    "audit_checkpoints": Table(free="hash"),
    "audit_unchained": Table(),
    "conversion_inbox": Table(),
    "engines": Table(free="id pace"),
    "execution_phases": Table(free="execution_id phase"),
    "people": Table(free="issuer subject label name email role"),
    "people_labels": Table(free="key"),
    "previous_secrets": Table(free="hash name"),
    "procrastinate_events": Table(free="type"),
    "procrastinate_jobs": Table(free="queue_name task_name lock queueing_lock args status"),
    "procrastinate_periodic_defers": Table(free="task_name periodic_id"),
    "procrastinate_workers": Table(),
    "push_decisions": Table(free="execution_id draw variant reason figures"),
    "receipt_keys": Table(free="key"),
    "restores": Table(),
    "result_counts": Table(),
    "result_pushes": Table(
        free="execution_id automation_id automation_name push_id mode variants texts_digest zone"
        " goal_name"
    ),
    "schedule_marks": Table(free="automation_id fingerprint"),
    "script_run_stops": Table(free="run_id"),
    "send_batches": Table(free="execution_id taken_by counts"),
    "sessions": Table(free="hash token sealed"),
    "sign_in_failures": Table(free="address"),
    "stored_secrets": Table(free="name secret"),
    "suspensions": Table(free="execution_id"),
    "tokens": Table(free="name role hash previous_hash created_by owner"),
    "user_sample": Table(),
    "upkeep": Table(free="task"),
    "used_sign_ins": Table(free="state"),
}


class Folder(StrEnum):
    """What an erasure does with the files of a folder of the data folder."""

    DOCUMENTS = "documents"  # mentions are replaced, as an edit
    AUDIENCES = "audiences"  # rows are masked, unless an execution still needs them
    UPLOADS = "uploads"  # rows are masked in a copy, whose name is its own hash
    LINES = "lines"  # rows are masked
    JOURNALS = "journals"  # ids are replaced, once no execution needs them
    ARCHIVES = "archives"  # contents that name the user become empty
    FOREIGN = "foreign"  # not ours: it is only said if a file names the user


FOLDERS: Final[Mapping[str, Folder]] = {
    "automations": Folder.DOCUMENTS,
    "templates": Folder.DOCUMENTS,
    "executions": Folder.AUDIENCES,
    "uploads": Folder.UPLOADS,
    "trials": Folder.LINES,
    "sent": Folder.LINES,
    "journal": Folder.JOURNALS,
    "audit-log": Folder.ARCHIVES,
    "scripts": Folder.FOREIGN,
    "running": Folder.FOREIGN,  # of scripts that run; removed when they end
}
