"""Which script an id means, whatever the script's name is written in."""

from pathlib import Path

import pytest

from push_blaster.adapters.audiences.script_folder import (
    ScriptFolder,
    ScriptIdClashError,
    ScriptNotFoundError,
)


@pytest.fixture
def scripts(tmp_path: Path) -> ScriptFolder:
    return ScriptFolder(tmp_path)


def put(scripts: ScriptFolder, *names: str) -> None:
    for name in names:
        (scripts.folder / name).write_text("")


@pytest.mark.parametrize(
    ("name", "script_id"),
    [
        ("Recent-Buyers v2.py", "recent_buyers_v2"),
        ("покупки.py", "покупки"),
        ("ग्राहक.py", "ग्राहक"),
        ("cafe\u0301.py", "caf\u00e9"),
        ("客户.py", "客户"),
    ],
)
def test_an_id_keeps_the_letters_of_every_script(
    scripts: ScriptFolder, name: str, script_id: str
) -> None:
    put(scripts, name)

    assert [script.id for script in scripts.list_all()] == [script_id]
    assert scripts.find(script_id).path.name == name


def test_scripts_of_different_names_have_different_ids(scripts: ScriptFolder) -> None:
    put(scripts, "покупки.py", "продажи.py", "कि.py", "की.py")

    assert scripts.find("покупки").path.name == "покупки.py"
    assert scripts.find("продажи").path.name == "продажи.py"
    assert scripts.find("कि").path.name == "कि.py"
    assert all(not script.faults for script in scripts.list_all())


@pytest.mark.parametrize(
    ("one", "other", "script_id"),
    [
        ("recent-buyers.py", "recent_buyers.py", "recent_buyers"),
        ("A.py", "a.py", "a"),
        ("Покупки.py", "покупки.py", "покупки"),
        ("cafe\u0301.py", "caf\u00e9.py", "caf\u00e9"),
    ],
)
def test_two_scripts_of_one_id_are_an_error_that_names_both(
    scripts: ScriptFolder, one: str, other: str, script_id: str
) -> None:
    put(scripts, one, other, "fine.py")

    with pytest.raises(ScriptIdClashError, match="Rename all but one") as clash:
        scripts.find(script_id)

    assert f"{one}, {other}" in str(clash.value)
    assert {s.path.name for s in scripts.list_all() if s.faults} == {one, other}
    assert scripts.find("fine").path.name == "fine.py"


def test_an_id_of_a_former_version_still_finds_its_script(scripts: ScriptFolder) -> None:
    put(scripts, "käufer.py", "покупки.py", "продажи.py")

    assert scripts.find("k_ufer").path.name == "käufer.py"
    with pytest.raises(ScriptIdClashError, match=r"покупки\.py, продажи\.py"):
        scripts.find("_______")
    with pytest.raises(ScriptNotFoundError, match="Known: käufer, покупки, продажи"):
        scripts.find("другое")
