"""What the torture does to its world."""

import signal
import subprocess
import sys

import pytest

from tests.torture.world import catches

PROGRAM = """
import signal, sys
if {catches}:
    signal.signal(signal.SIGUSR2, lambda *_: None)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ready", [True, False], ids=["with its handler", "still starting"])
def test_an_engine_without_its_handler_is_known(ready: bool) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(catches=ready)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert program.stdout
        program.stdout.readline()

        assert catches(program.pid, signal.SIGUSR2) is ready
    finally:
        program.communicate()

    assert not catches(program.pid, signal.SIGUSR2)
