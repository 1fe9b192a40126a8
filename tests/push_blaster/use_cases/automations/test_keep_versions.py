"""The versions of automations: each change is one, whoever made it, and none is lost or doubled."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.postgres import Database
from push_blaster.adapters.automations import version_table
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import DocumentChange
from push_blaster.adapters.automations.json_files import write_json
from push_blaster.adapters.automations.version_table import (
    NewVersion,
    delete_old_versions,
    insert_version,
    select_removed,
    select_versions,
)
from push_blaster.domain.automations.version import Version, VersionKind
from push_blaster.use_cases.automations.follow_files import GONE_FOR
from push_blaster.use_cases.automations.follow_versions import SETTLED, VersionFollower
from push_blaster.use_cases.automations.keep_versions import VersionRecorder
from tests.builders import NOON, a_document

SECOND = timedelta(seconds=1)
AWAY = Database("postgresql://127.0.0.1:9/none", max_connections=1)


class Folder:
    """A folder of automations, an engine that follows it, and people who save."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.files = AutomationFiles(folder / "automations")
        self.now = NOON
        self.follower = self.new_follower()
        self.by("alice")

    def new_follower(self) -> VersionFollower:
        return VersionFollower(self.files, self.database, lambda: self.now.timestamp())

    def by(self, author: str | None, database: Database | None = None) -> None:
        """Let this person save next; without the database, if it is given as away."""
        recorder = VersionRecorder(database or self.database, lambda: self.now, lambda: author)
        self.files.on_change = recorder.note

    def edit_in_place(self, **changes: Any) -> Mapping[str, Any]:
        document = complete_document(a_document(**changes))
        write_json(self.files.folder / f"{document['id']}.json", document)
        return document

    def save(self, **changes: Any) -> None:
        old = self.files.load("news")
        self.files.replace({**old, **changes, "version": old["version"] + 1}, old["version"])

    def look(self, *after: timedelta) -> list[str]:
        """Follow now, and after so long each; return the automations that got a version."""
        found = self.follower.look(self.now)
        for time in after:
            self.now += time
            found += self.follower.look(self.now)
        return found

    def versions(self, automation_id: str = "news") -> list[Version]:
        with self.database.transaction() as connection:
            return select_versions(connection, automation_id)[::-1]

    def told(self) -> list[tuple[str, str, str | None]]:
        return [(one.document["name"], one.kind, one.author) for one in self.versions()]


@pytest.fixture
def folder(database: Database, tmp_path: Path) -> Folder:
    return Folder(database, tmp_path)


def test_each_save_is_a_version_with_its_author(folder: Folder) -> None:
    folder.files.create(complete_document(a_document()))
    folder.by("bob")
    folder.save(name="Bob's")
    folder.files.delete("news")

    assert folder.told() == [
        ("News", "created", "alice"),
        ("Bob's", "saved", "bob"),
        ("Bob's", "deleted", "bob"),
    ]
    assert folder.look(SETTLED, GONE_FOR) == []


def test_an_edit_of_the_file_is_one_once_it_has_settled(folder: Folder) -> None:
    folder.edit_in_place(name="Typed")
    assert folder.look(SETTLED - SECOND) == []
    folder.edit_in_place(name="Typed on")
    assert folder.look(SETTLED - SECOND) == []

    assert folder.look(SECOND) == ["news"]
    assert folder.told() == [("Typed on", "found", None)]
    assert folder.look(SETTLED, SETTLED) == []


def test_the_order_of_the_fields_in_a_file_is_no_edit(folder: Folder) -> None:
    document = folder.edit_in_place()
    folder.look(SETTLED)

    write_json(folder.files.folder / "news.json", dict(reversed(list(document.items()))))

    assert folder.look(SETTLED, SETTLED) == []


def test_a_save_keeps_the_edit_that_no_engine_has_seen_yet(folder: Folder) -> None:
    folder.files.create(complete_document(a_document()))
    folder.edit_in_place(name="By hand")

    folder.save(name="By form")

    assert folder.told() == [
        ("News", "created", "alice"),
        ("By hand", "found", None),
        ("By form", "saved", "alice"),
    ]


def test_the_first_save_after_an_upgrade_keeps_what_was_there(folder: Folder) -> None:
    folder.edit_in_place(name="As it was")

    folder.save(name="Newer")

    assert folder.told() == [("As it was", "found", None), ("Newer", "saved", "alice")]


def test_a_save_while_the_database_is_away_is_found_in_the_file(folder: Folder) -> None:
    folder.files.create(complete_document(a_document()))
    folder.by("alice", AWAY)
    folder.save(name="Unrecorded")
    assert folder.files.load("news")["name"] == "Unrecorded"

    assert folder.look(SETTLED) == ["news"]

    assert folder.told()[1:] == [("Unrecorded", "found", None)]


def test_two_webs_at_once_keep_order_and_authors(folder: Folder) -> None:
    """The second save is recorded first, and an engine looks between the two."""
    first = complete_document(a_document())
    folder.files.create(first)
    second, third = ({**first, "name": n, "version": v} for n, v in (("Second", 2), ("Third", 3)))
    bob = VersionRecorder(folder.database, lambda: NOON, lambda: "b")
    carol = VersionRecorder(folder.database, lambda: NOON, lambda: "c")

    carol.note(DocumentChange("automations/news", second, third))
    write_json(folder.files.folder / "news.json", third)
    folder.look(SETTLED, SETTLED)
    bob.note(DocumentChange("automations/news", first, second))

    assert folder.told() == [
        ("News", "created", "alice"),
        ("Second", "saved", "b"),
        ("Third", "saved", "c"),
    ]
    assert folder.look(SETTLED, SETTLED) == []


def test_several_engines_record_an_edit_once(folder: Folder) -> None:
    other = folder.new_follower()
    folder.edit_in_place()
    for _ in range(3):
        folder.look()
        other.look(folder.now)
        folder.now += SETTLED

    assert [kind for _, kind, _ in folder.told()] == ["found"]


def test_a_file_that_is_gone_can_be_brought_back_and_one_that_returns_is_there(
    folder: Folder,
) -> None:
    folder.edit_in_place()
    folder.edit_in_place(id="other")
    folder.look(SETTLED)
    (folder.files.folder / "news.json").unlink()

    assert folder.look(GONE_FOR - SECOND) == []
    assert folder.look(SECOND) == ["news"]
    with folder.database.transaction() as connection:
        assert [one.automation_id for one in select_removed(connection, 10)] == ["news"]
    folder.edit_in_place()
    folder.look(SETTLED)
    with folder.database.transaction() as connection:
        assert select_removed(connection, 10) == []
    assert [kind for _, kind, _ in folder.told()] == ["found", "gone", "found"]


@pytest.mark.parametrize("trouble", ["broken", "empty folder"])
def test_a_broken_file_and_an_empty_folder_are_not_gone(folder: Folder, trouble: str) -> None:
    folder.edit_in_place()
    folder.look(SETTLED)
    path = folder.files.folder / "news.json"
    if trouble == "broken":
        folder.edit_in_place(id="other")
        path.write_text("{")
    else:
        path.unlink()

    folder.look(GONE_FOR, GONE_FOR)

    assert [kind for _, kind, _ in folder.told()] == ["found"]


def test_a_field_that_gets_a_default_is_no_edit(folder: Folder) -> None:
    """An upgrade adds fields to every document that it reads."""
    older = {**complete_document(a_document())}
    del older["description"], older["metadata"]
    with folder.database.transaction() as connection:
        new = NewVersion(kind=VersionKind.SAVED, document=older, saved_at=NOON)
        insert_version(connection, new)
    folder.edit_in_place()

    assert folder.look(SETTLED, SETTLED) == []

    assert len(folder.versions()) == 1


def test_the_largest_number_that_a_document_may_have_stops_no_other_version(
    folder: Folder,
) -> None:
    folder.edit_in_place(id="a", version=2**64 - 1)
    folder.edit_in_place(id="news")

    assert folder.look(SETTLED) == ["a", "news"]
    assert folder.look(SETTLED, SETTLED) == []


def test_an_automation_keeps_a_number_of_versions_and_of_bytes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.files.create(complete_document(a_document()))
    monkeypatch.setattr(version_table, "MAX_VERSIONS", 3)
    for number in range(5):
        folder.save(name=f"Name {number}")
    assert [name for name, *_ in folder.told()] == ["Name 2", "Name 3", "Name 4"]

    monkeypatch.setattr(version_table, "MAX_BYTES", 10_000)
    folder.save(description="x" * 6_000)
    folder.save(description="y" * 6_000)

    assert [one.document["description"][:1] for one in folder.versions()] == ["y"]


def test_retention_leaves_the_newest_version_of_what_exists(folder: Folder) -> None:
    folder.files.create(complete_document(a_document()))
    folder.files.create(complete_document(a_document(id="deleted")))
    folder.files.delete("deleted")
    folder.save(name="Newer")

    with folder.database.transaction() as connection:
        gone = delete_old_versions(connection, NOON + SECOND, 100)

    assert gone == 3
    assert folder.told() == [("Newer", "saved", "alice")]
    assert folder.versions("deleted") == []


def test_a_reason_with_nul_keeps_no_version_from_its_author(folder: Folder) -> None:
    folder.files.create(complete_document(a_document()))
    old = folder.files.load("news")

    folder.files.replace({**old, "status": "paused", "version": 2}, 1, "It\0 rains.")

    newest = folder.versions()[-1]
    assert (newest.kind, newest.author, newest.version) == (VersionKind.SAVED, "alice", 2)
    assert newest.reason is not None
    assert newest.reason.endswith(" rains.")
