"""Running scripts: real processes that fail, hang, fork, flood and hoard."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from push_blaster.adapters.audiences.audience_scripts import (
    ScriptFailedError,
    ScriptStoppedError,
    list_output,
)
from push_blaster.adapters.audiences.script_folder import ScriptFolder, ScriptNotFoundError
from tests.push_blaster.adapters.audiences.script_runner import Runner


def test_its_words_are_heard_line_by_line_and_its_folder_is_its_own(runner: Runner) -> None:
    runner.run(
        "import os, sys\nprint('one'); print('two', end='')\nprint('three', file=sys.stderr)\n"
        "open('a.csv', 'w').write(os.getcwd())"
    )

    assert sorted(runner.lines) == [("stderr", "three"), ("stdout", "one"), ("stdout", "two")]
    assert (runner.output / "a.csv").read_text() == str(runner.workplace)
    assert not runner.workplace.exists()


def test_a_folder_that_is_not_empty_is_never_used(runner: Runner) -> None:
    runner.output.mkdir()

    with pytest.raises(FileExistsError):
        runner.run("")


def test_parameters_reach_it_and_our_secrets_do_not(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSH_ADMIN_TOKEN", "token-of-the-tests")

    runner.run(
        "import os, sys\n# knows --lookback_hours\n"
        "print(sys.argv[1:]); print(os.environ['PARAM_LOOKBACK_HOURS'])\n"
        "print([name for name in os.environ if 'TOKEN' in name or 'SECRET' in name])",
        parameters={"lookback_hours": "48", "other": "x"},
    )

    assert [line for _, line in runner.lines] == ["['--lookback_hours', '48']", "48", "[]"]


def test_a_failure_shows_the_traceback(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="exit code 1") as caught:
        runner.run("def look():\n    raise KeyError('no such table')\nlook()")

    assert "KeyError: 'no such table'" in str(caught.value)
    assert "in look" in str(caught.value)


def test_a_script_that_hangs_is_ended_with_its_children(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match=r"did not end within 1\.5 s"):
        runner.run(
            "import subprocess, sys, time\n"
            "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', __file__])\n"
            "print('started', flush=True)\ntime.sleep(60)",
            time=timedelta(seconds=1.5),
        )

    assert ("stdout", "started") in runner.lines
    assert runner.leftovers() == []


def test_a_child_that_outlives_the_script_neither_delays_nor_survives_it(runner: Runner) -> None:
    begun = time.monotonic()

    runner.run(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', __file__])"
    )

    assert time.monotonic() - begun < 30
    assert runner.leftovers() == []


def test_a_stop_ends_it_and_its_children(runner: Runner) -> None:
    with pytest.raises(ScriptStoppedError):
        runner.run(
            "import os, time\nos.fork()\ntime.sleep(60)",
            stop_after_s=1,
        )

    assert runner.leftovers() == []


def test_a_flood_of_words_is_cut_and_a_long_line_too(runner: Runner) -> None:
    runner.run("print('x' * 10_000_000)\nfor n in range(100_000): print(n)")

    assert len(runner.lines) == 1_001
    assert runner.lines[0][1] == "x" * 2_000 + " … (10000000 bytes in all)"
    assert runner.lines[1][1] == "0"
    assert runner.lines[-1][1] == "… 99001 more lines were written and are not kept."


def test_a_line_is_heard_while_the_script_goes_on(runner: Runner) -> None:
    heard: list[float] = []
    runner.lines = _Timed(heard)

    runner.run("import time\nprint('now')\ntime.sleep(1.5)\nprint('later')")

    assert heard[1] - heard[0] > 1


class _Timed(list[tuple[str, str]]):
    def __init__(self, heard: list[float]) -> None:
        super().__init__()
        self._heard = heard

    def append(self, line: tuple[str, str]) -> None:
        self._heard.append(time.monotonic())
        super().append(line)


DOUBLE_FORK = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sleeper = [sys.executable, "-c", "import time; time.sleep(60)", __file__]
        subprocess.Popen(sleeper, env={}, start_new_session=True)
        time.sleep(60)
    os._exit(0)
time.sleep(0.5)
"""


def test_what_forked_twice_into_a_session_of_its_own_does_not_outlive_the_script(
    runner: Runner,
) -> None:
    runner.run(DOUBLE_FORK)

    assert runner.leftovers() == []


def test_what_forked_twice_is_ended_with_a_script_that_takes_too_long(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="did not end within 2 s"):
        runner.run(f"{DOUBLE_FORK}\ntime.sleep(60)", time=timedelta(seconds=2))

    assert runner.leftovers() == []


ENGINE = """
import sys
from pathlib import Path
from push_blaster.adapters.audiences.audience_scripts import ScriptRun, run_script
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.domain.executions.limits import ScriptLimits

folder = Path(sys.argv[1])
run = ScriptRun(
    execution_id="news@1",
    workplace=folder / "running" / "1",
    output_folder=folder / "output",
    parameters={},
    limits=ScriptLimits(),
)
script = ScriptFolder(folder / "scripts").find("script")
run_script(script, run, lambda: False, lambda *line: print(*line, flush=True))
"""


def test_what_forked_twice_does_not_outlive_an_engine_that_is_killed(
    runner: Runner, tmp_path: Path
) -> None:
    source = f"{DOUBLE_FORK}\nprint('begun')\ntime.sleep(60)"
    (runner.scripts.folder / "script.py").write_text(source)
    with subprocess.Popen(
        [sys.executable, "-c", ENGINE, tmp_path], stdout=subprocess.PIPE
    ) as engine:
        assert engine.stdout
        assert engine.stdout.readline() == b"stdout begun\n"
        assert len(runner.leftovers()) >= 3

        engine.kill()

    assert runner.leftovers() == []


def test_a_fork_bomb_of_daemons_is_swept_up(runner: Runner) -> None:
    with pytest.raises(ScriptStoppedError):
        runner.run(
            "import os, time\n"
            "for n in range(40):\n"
            "    if os.fork() == 0:\n"
            "        os.setsid()\n"
            "        os.fork()\n"
            "        time.sleep(60)\n"
            "time.sleep(60)",
            stop_after_s=1,
        )

    assert runner.leftovers() == []


def test_too_large_and_too_many_files_end_it(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="File too large"):
        runner.run("open('a', 'w').write('x' * 3_000_000)", output_mb=2)
    runner.output = runner.output.with_name("second")
    with pytest.raises(ScriptFailedError, match="more than the 2 MB allowed"):
        runner.run("for n in range(3): open(str(n), 'w').write('x' * 1_000_000)", output_mb=2)
    runner.output = runner.output.with_name("third")
    with pytest.raises(ScriptFailedError, match="more than the 5 allowed"):
        runner.run(
            "import time\nfor n in range(6): open(str(n), 'w')\ntime.sleep(60)", output_files=5
        )


def test_it_may_not_hold_more_than_256_files_open(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="Too many open files"):
        runner.run("kept = [open('/dev/null') for _ in range(300)]")


def test_a_memory_hog_fails_alone(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="MemoryError"):
        runner.run("x = bytearray(1 << 30)", memory_mb=300)


def test_each_of_its_processes_may_use_four_times_its_time_on_a_core(runner: Runner) -> None:
    runner.run("import resource\nprint(resource.getrlimit(resource.RLIMIT_CPU))")

    assert runner.lines == [("stdout", "(120, 121)")]


#: Says who it is, writes an audience, and looks for secrets of ours.
CURIOUS = (
    "import os, pwd\n"
    "status = open('/proc/self/status').read()\n"
    "print(pwd.getpwuid(os.getuid()).pw_name, 'NoNewPrivs:\\t1' in status, 0 in os.getgroups())\n"
    "open('everybody.csv', 'w').write('user_id\\n')\n"
    "open(f'/proc/{os.getppid()}/environ').read()\n"
)


@pytest.mark.parametrize("is_root", [os.geteuid() == 0])
def test_as_another_user_it_writes_its_files_and_our_secrets_are_closed_to_it(
    passable: Runner, is_root: bool
) -> None:
    said = "Permission denied: '/proc/" if is_root else "may not run as 'nobody'"

    with pytest.raises(ScriptFailedError, match=said):
        passable.run(CURIOUS, user="nobody")

    words = [line for stream, line in passable.lines if stream == "stdout"]
    assert words == (["nobody True False"] if is_root else [])
    assert list(list_output(passable.output)) == []  # nothing of a script that failed is used
    assert passable.leftovers() == []


def test_another_user_who_may_not_pass_is_told_of(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="PUSH_SCRIPT_USER"):
        runner.run(CURIOUS, user="nobody")

    assert list_output(runner.output) == {}


def test_words_that_are_no_text_are_heard_all_the_same(runner: Runner) -> None:
    runner.run("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe ok\\r\\n')")

    assert runner.lines == [("stdout", "\ufffd\ufffd ok")]


def test_a_script_ended_by_a_signal_says_so(runner: Runner) -> None:
    with pytest.raises(ScriptFailedError, match="the signal SIGSEGV"):
        runner.run("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")


def test_an_unknown_script_lists_the_known_ones(tmp_path: Path) -> None:
    folder = ScriptFolder(tmp_path)
    (tmp_path / "Recent-Buyers.py").write_text(
        "# description: Who bought.\n# category: sales\n# runtime: 12 s\n# audiences: a_b, c\n"
    )

    script = folder.find("recent_buyers")

    assert (script.description, script.category, script.estimated_runtime) == (
        "Who bought.",
        "sales",
        12,
    )
    assert list(script.audiences) == ["a_b", "c"]
    with pytest.raises(ScriptNotFoundError, match="Known: recent_buyers"):
        folder.find("../recent_buyers")
