"""The folder of automations."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from marshmallow import ValidationError

from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.automations.document_files import (
    BrokenDocumentError,
    DocumentExistsError,
    DocumentNotFoundError,
    StaleVersionError,
)
from push_blaster.adapters.automations.folder_watch import UNSETTLED
from push_blaster.adapters.automations.json_files import write_json
from tests.builders import a_document
from tests.journeys.stack import wait_until


def a_complete(**changes: object) -> dict[str, object]:
    return dict(complete_document(a_document(**changes)))


def test_what_is_written_is_read_back_and_unknown_fields_stay(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete(audience={"deep": [1, {"unknown": None}]}))

    assert files.load("news")["audience"] == {"deep": [1, {"unknown": None}]}
    assert files.load("news") == files.list_all().documents[0]


class _OneCaseFiles(AutomationFiles):
    """The files of a disk that does not tell case apart, as macOS and Windows have it."""

    def _path(self, document_id: str) -> Path:
        path = super()._path(document_id)
        for other in list(self.folder.iterdir()):
            if other.name.lower() == path.name.lower() and other.name != path.name:
                alias = self.folder.parent / "other-case" / path.name
                alias.parent.mkdir(exist_ok=True)
                alias.unlink(missing_ok=True)
                alias.hardlink_to(other)
                return alias
        return path


def test_ids_that_differ_only_in_case_never_share_a_file(tmp_path: Path) -> None:
    for kind in (AutomationFiles, _OneCaseFiles):
        files = kind(tmp_path / kind.__name__)
        files.create(a_complete(id="News"))

        with pytest.raises(DocumentExistsError, match="'News' already"):
            files.create(a_complete(id="news"))
        with pytest.raises(DocumentNotFoundError, match="'news'"):
            files.load("news")
        with pytest.raises(DocumentNotFoundError, match="'news'"):
            files.delete("news")
        assert files.load("News")["id"] == "News"


def test_a_broken_file_is_not_another_one_in_other_letters(tmp_path: Path) -> None:
    files = _OneCaseFiles(tmp_path / "automations")
    (files.folder / "News.json").write_text("{")

    with pytest.raises(BrokenDocumentError):
        files.load("News")
    with pytest.raises(DocumentNotFoundError):
        files.load("news")
    with pytest.raises(DocumentExistsError):
        files.create(a_complete(id="NEWS"))


@pytest.mark.parametrize("name", ["migrations", "Migrations", "new", "ad-hoc-0123456789abcdef"])
def test_names_of_the_systems_own_are_no_ids_of_new_automations(tmp_path: Path, name: str) -> None:
    files = AutomationFiles(tmp_path)

    with pytest.raises(DocumentExistsError, match="a name that the system uses itself"):
        files.create(a_complete(id=name))

    assert not (tmp_path / f"{name}.json").exists()


def test_an_automation_that_has_such_a_name_from_before_is_read_and_changed(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    (tmp_path / "new.json").write_text(json.dumps(a_complete(id="new")))

    files.replace({**files.load("new"), "version": 2}, expected_version=1)

    assert files.list_all().documents[0]["version"] == 2


def test_one_broken_file_never_hides_the_others_and_is_never_written_over(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete())
    (tmp_path / "torn.json").write_text('{"id": "torn", ')
    (tmp_path / "odd.json").write_text('{"id": "odd"}')
    (tmp_path / "other.json").write_text(json.dumps(a_document(id="else")))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "ring.json").symlink_to("ring.json")
    (tmp_path / "migrations.json").write_text("[]")
    (tmp_path / "executions").mkdir()

    listing = files.list_all()

    assert [document["id"] for document in listing.documents] == ["news"]
    errors = {broken.name: broken.error for broken in listing.broken}
    assert list(errors) == ["deep.json", "odd.json", "other.json", "ring.json", "torn.json"]
    assert "is no readable JSON" in errors["deep.json"]
    assert "name: Missing data" in errors["odd.json"]
    assert "holds the id 'else'" in errors["other.json"]
    assert "symbolic links" in errors["ring.json"]
    assert "is no readable JSON" in errors["torn.json"]
    with pytest.raises(DocumentExistsError):
        files.create(a_complete(id="torn"))
    with pytest.raises(BrokenDocumentError):
        files.replace(a_complete(id="torn"), expected_version=1)
    assert (tmp_path / "torn.json").read_text() == '{"id": "torn", '


@pytest.mark.parametrize("value", [2**70, "\ud800", "a\0b", float("nan")])
def test_what_no_answer_could_tell_is_broken_or_refused_and_hides_nothing(
    tmp_path: Path, value: object
) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete())
    (tmp_path / "odd.json").write_text(json.dumps(a_document(id="odd", note=value)))

    listing = files.list_all()

    assert [document["id"] for document in listing.documents] == ["news"]
    assert [broken.name for broken in listing.broken] == ["odd.json"]
    with pytest.raises(ValidationError):
        a_complete(note=value)


def test_a_pipe_a_device_and_a_huge_file_are_broken_and_block_nobody(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete())
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    (tmp_path / "huge.json").touch()
    os.truncate(tmp_path / "huge.json", 1 << 40)

    listing = files.list_all()

    assert [document["id"] for document in listing.documents] == ["news"]
    assert {broken.name for broken in listing.broken} == {"pipe.json", "endless.json", "huge.json"}


def test_a_backslash_before_u0000_is_no_nul(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete(note="\\u0000"))

    assert files.load("news")["note"] == "\\u0000"


def test_a_change_by_hand_is_seen_and_only_changed_files_are_read(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete())
    files.create(a_complete(id="other"))
    first = files.list_all()

    (tmp_path / "news.json").write_text(json.dumps(a_document(name="Edited by hand")))
    second = files.list_all()

    assert second.documents[0]["name"] == "Edited by hand"
    assert second.documents[1] is first.documents[1]


def test_a_stale_change_is_refused_and_a_deleted_one_is_gone(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete())
    files.replace(a_complete(version=2), expected_version=1)

    with pytest.raises(StaleVersionError, match="at version 2, the change was made from version 1"):
        files.replace(a_complete(version=2), expected_version=1)
    with pytest.raises(StaleVersionError):
        files.delete("news", expected_version=1)
    files.delete("news")
    with pytest.raises(DocumentNotFoundError):
        files.delete("news")


@pytest.mark.parametrize("automation_id", ["../secret", "a/b", ".hidden", "", "a" * 101])
def test_an_id_never_becomes_another_path(tmp_path: Path, automation_id: str) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(a_document(id="secret")))
    files = AutomationFiles(tmp_path / "automations")

    with pytest.raises(DocumentNotFoundError):
        files.load(automation_id)


def _edit_many(folder: Path, edits: int) -> None:
    files = AutomationFiles(folder)
    done = 0
    while done < edits:
        document = files.load("news")
        count = document["counter"] + 1
        changed = {**document, "counter": count, "version": document["version"] + 1}
        try:
            files.replace(changed, expected_version=document["version"])
        except StaleVersionError:
            continue
        done += 1


@pytest.mark.processes
def test_editors_in_several_processes_lose_no_update(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete(counter=0))
    context = multiprocessing.get_context("spawn")
    editors = [context.Process(target=_edit_many, args=(tmp_path, 15)) for _ in range(4)]

    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()

    assert files.load("news")["counter"] == 60
    assert files.load("news")["version"] == 61


def _edit_for_ever(folder: Path) -> None:
    _edit_many(folder, 1_000_000)


@pytest.mark.processes
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete(counter=0, filler="x" * 200_000))
    context = multiprocessing.get_context("spawn")
    for pause in (0.0, 0.003, 0.007):
        before = files.load("news")["counter"]
        editor = context.Process(target=_edit_for_ever, args=(tmp_path,))
        editor.start()
        while files.load("news")["counter"] < before + 3:
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(editor.pid or 0, signal.SIGKILL)
        editor.join()

        document = files.load("news")
        assert document["version"] == document["counter"] + 1
        assert len(document["filler"]) == 200_000
        assert not files.list_all().broken


def test_while_nothing_changes_it_is_the_same_listing(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    files.create(a_complete())
    time.sleep(2 * UNSETTLED.total_seconds())

    first, read = files.list_all(), files.read_all()

    assert files.list_all() is first
    assert files.read_all() is read


def test_what_others_write_add_remove_or_break_is_seen_at_the_next_look(tmp_path: Path) -> None:
    files, others = AutomationFiles(tmp_path), AutomationFiles(tmp_path)
    for name in ("edited", "removed", "broken"):
        others.create(a_complete(id=name))
    time.sleep(2 * UNSETTLED.total_seconds())
    files.read_all()

    others.replace(a_complete(id="edited", version=2, name="New"), expected_version=1)
    others.delete("removed")
    others.create(a_complete(id="added"))
    torn = tmp_path / "broken.draft"
    torn.write_text("{")
    torn.replace(tmp_path / "broken.json")

    assert sorted(files.read_all()) == ["added", "edited"]
    assert files.read_all()["edited"].automation.name == "New"
    assert [broken.name for broken in files.list_all().broken] == ["broken.json"]


def test_of_many_files_one_that_is_written_in_place_is_seen_soon(tmp_path: Path) -> None:
    files = AutomationFiles(tmp_path)
    for number in range(200):
        write_json(tmp_path / f"n{number}.json", a_complete(id=f"n{number}"))
    time.sleep(2 * UNSETTLED.total_seconds())
    files.read_all()

    (tmp_path / "n7.json").write_text(json.dumps(a_document(id="n7", name="Edited by hand")))

    wait_until(lambda: files.read_all()["n7"].automation.name, "Edited by hand".__eq__, 10)
