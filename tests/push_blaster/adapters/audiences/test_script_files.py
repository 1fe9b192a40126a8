"""What a script leaves is a trap at worst: links, pipes, devices, and trees without an end."""

import ctypes
import os
import pwd
import signal
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from push_blaster.adapters.audiences.audience_scripts import ScriptFailedError
from push_blaster.adapters.audiences.frozen_audiences import freeze_audience
from push_blaster.adapters.audiences.script_files import (
    ForeignFileError,
    ScriptOutputError,
    ScriptUserError,
    Workplace,
    acting_as,
    open_plain,
    read_pieces,
)
from tests.people import ALICE
from tests.push_blaster.adapters.audiences.script_runner import Runner

SECRET = "user_id,secret\n" + f"{ALICE},push-admin-token\n"
#: What a script may put in the place of its audience, and what is said of it.
TRAPS = {
    "a symbolic link": "os.symlink({secret!r}, 'out.csv')",
    "a folder": "os.mkdir('out.csv')",
    "a pipe": "os.mkfifo('out.csv')",
    "a socket": "socket.socket(socket.AF_UNIX).bind('out.csv')",
    "has a second name (a hard link)": "os.link({secret!r}, 'out.csv')",
}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail, instead of waiting for ever, if something blocks."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_in_the_place_of_an_audience_is_named_and_not_read(
    runner: Runner, tmp_path: Path, trap: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(SECRET)
    source = f"import os, socket\n{TRAPS[trap].format(secret=str(secret))}\n"

    with within(20):
        runner.run(f"{source}open('good.csv', 'w').write('user_id\\n')")

    assert [path.name for path in runner.output.iterdir()] == ["good.csv"]
    assert list(runner.refused) == ["out.csv"]
    assert trap in runner.refused["out.csv"]
    assert secret.read_text() == SECRET
    assert not runner.workplace.exists()


@pytest.mark.parametrize("is_root", [os.geteuid() == 0])
def test_a_device_and_a_file_of_somebody_else_are_no_audience(
    tmp_path: Path, is_root: bool
) -> None:
    ours = tmp_path / "ours.csv"
    ours.touch()

    with pytest.raises(ForeignFileError, match="is a device"):
        open_plain("/dev/zero")
    with pytest.raises(ForeignFileError, match="another user"):
        open_plain(ours, owner=os.geteuid() + 1)
    if is_root:
        os.mknod(tmp_path / "endless.csv", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        with pytest.raises(ForeignFileError, match="is a device"):
            open_plain(tmp_path / "endless.csv")


@pytest.mark.parametrize("is_root", [os.geteuid() == 0])
def test_a_file_that_its_own_user_may_not_read_is_named_and_root_does_not_read_it(
    passable: Runner, is_root: bool
) -> None:
    source = "import os\nopen('out.csv', 'w').write('user_id\\n')\nos.chmod('out.csv', 0)"

    if is_root:
        passable.run(source, user="nobody")
    else:
        passable.run(source)

    assert passable.refused == {"out.csv": "cannot be read even by the user of the script"}


def test_a_copy_that_cannot_be_written_is_no_fault_of_the_file(tmp_path: Path) -> None:
    place = Workplace.make(tmp_path / "running" / "1", None)
    (place.folder / "a.csv").write_text(SECRET)

    with pytest.raises(FileNotFoundError):
        place.collect(tmp_path / "missing", lambda _: True)


def test_a_link_instead_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    place = Workplace.make(tmp_path / "running" / "1", None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_text(SECRET)
    (tmp_path / "kept").mkdir()
    place.folder.rmdir()
    place.folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"directory|symbolic"):
        place.collect(tmp_path / "kept", lambda _: True)
    place.remove()

    assert list((tmp_path / "kept").iterdir()) == []
    assert (tmp_path / "elsewhere" / "a.csv").read_text() == SECRET


def test_a_file_that_grows_is_read_up_to_the_size_that_it_had(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x" * 10)
    with open_plain(tmp_path / "a.csv") as file, (tmp_path / "a.csv").open("ab") as more:
        pieces = read_pieces(file)
        first = next(pieces)
        more.write(b"y" * 100)
        more.flush()

        assert first + b"".join(pieces) == b"x" * 10


def test_a_sparse_file_counts_with_its_whole_size(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="more than the 5 MB allowed"):
        runner.run(
            "import os\nfor n in range(3):\n    os.truncate(os.open(str(n), os.O_CREAT | os.O_RDWR)"
            ", 2 << 20)",
            output_mb=5,
        )


@pytest.mark.slow
def test_many_names_are_counted_only_up_to_the_limit_and_all_removed(tmp_path: Path) -> None:
    place = Workplace.make(tmp_path / "running" / "1", None)
    for number in range(5_000):
        (place.folder / str(number)).touch()

    with pytest.raises(ScriptOutputError, match="more than the 7 allowed"):
        place.check_size(7, 100)
    place.remove()

    assert not place.folder.exists()


def test_a_tree_deeper_than_any_path_is_refused_and_removed(runner: Runner) -> None:
    source = "import os\nfor _ in range(3_000): os.mkdir('x' * 200); os.chdir('x' * 200)"

    with pytest.raises(ScriptFailedError, match="more than 16 deep"):
        runner.run(source, output_files=10_000)

    assert not runner.workplace.exists()


def test_what_is_closed_or_leads_elsewhere_is_removed_and_elsewhere_stays(
    runner: Runner, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    elsewhere = str(tmp_path / "elsewhere")

    runner.run(
        f"import os\nos.makedirs('a/b/c')\nos.symlink({elsewhere!r}, 'a/b/link')\n"
        f"os.symlink({elsewhere!r}, 'link.csv')\nopen('a/b/c/file', 'w')\n"
        "os.chmod('a/b/c', 0o500); os.chmod('a/b', 0o500); os.chmod('.', 0o500)"
    )

    assert not runner.workplace.exists()
    assert (tmp_path / "elsewhere" / "kept").exists()


def test_names_with_control_characters_are_refused_and_names_without_text_end_the_run(
    runner: Runner,
) -> None:
    runner.run("open('two\\nlines.csv', 'w'); open('täglich.csv', 'w')")

    assert [path.name for path in runner.output.iterdir()] == ["täglich.csv"]
    assert runner.refused == {"two\nlines.csv": "has a control character in its name"}
    runner.output = runner.output.with_name("second")
    with pytest.raises(ScriptFailedError, match="no text in UTF-8"):
        runner.run("open(b'\\xff.csv', 'w')")


@pytest.mark.parametrize("is_root", [os.geteuid() == 0])
def test_the_folder_is_the_scripts_alone_while_it_runs_and_closed_are_all_others(
    passable: Runner, is_root: bool
) -> None:
    other = passable.output.with_name("executions")
    other.mkdir(mode=0o700)
    (other / "audience-1.jsonl").write_text(SECRET)
    source = (
        "import os, stat\n"
        "at = os.stat('.')\n"
        "print(at.st_uid == os.getuid(), oct(stat.S_IMODE(at.st_mode)))\n"
        f"for name in ({str(other)!r}, '..', {str(passable.output)!r}):\n"
        "    try: print(os.listdir(name))\n"
        "    except PermissionError: print('closed')\n"
        "open('a.csv', 'w').write('user_id\\n')\n"
    )

    if is_root:
        passable.run(source, user="nobody")
        said = [line for _, line in passable.lines]
        assert said == ["True 0o700", "closed", "closed", "closed"]
    else:
        passable.run(source)
    kept = passable.output / "a.csv"
    assert (kept.stat().st_uid, passable.output.stat().st_mode & 0o777) == (os.geteuid(), 0o700)
    assert freeze_error(kept) == "EmptyAudienceError"


def freeze_error(path: Path) -> str:
    with pytest.raises(Exception, match="a header and no row") as caught:
        freeze_audience(path, path.with_suffix(".jsonl"), 10)
    return caught.typename


@pytest.mark.parametrize("is_root", [os.geteuid() == 0])
def test_files_are_reached_with_the_rights_of_their_owner_and_of_nobody_else(
    tmp_path: Path, is_root: bool
) -> None:
    user = pwd.getpwnam("nobody").pw_uid if is_root else os.geteuid()
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)

    with acting_as(user), pytest.raises(PermissionError) if is_root else nullcontext():
        secret.open().close()

    assert secret.read_text() == SECRET


def drop_capabilities() -> None:
    """Take every capability from this thread; the other threads keep theirs."""
    version, of_this_thread = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version, of_this_thread)
    assert ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda place: place.check_size(10, 10),
        lambda place: place.collect(place.folder, lambda _: True),
        lambda place: open_as_other(place.owner),
    ],
    ids=["check_size", "collect", "acting_as"],
)
def test_an_engine_that_may_not_act_as_the_user_says_so_and_does_not_blame_the_script(
    tmp_path: Path, use: Callable[[Workplace], object]
) -> None:
    folder = Workplace.make(tmp_path / "running" / "1", None).folder
    place = Workplace(folder, os.geteuid() + 1)

    with ThreadPoolExecutor(1, initializer=drop_capabilities) as thread:
        refused = thread.submit(use, place).exception()

    assert isinstance(refused, ScriptUserError)
    assert "setfsuid was refused" in str(refused)
    assert "CAP_SETUID" in str(refused)
    assert "script wrote" not in str(refused)


def open_as_other(user: int) -> None:
    with acting_as(user):
        pass
