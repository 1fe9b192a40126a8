"""Follow the pages for operators to the letter, as root of an empty machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from tests.documents import ROOT
from tests.programs import find_program, or_not_run

#: A machine of its own: mounts, network and processes, which end with it.
APART: Final = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
#: The first command that fails ends the run, and is named.
BEGIN: Final = """set -euo pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
"""
#: Another version beside the first one, which is the same but for its folder.
NEXT_VERSION: Final = """
VERSION=2
cp --archive /opt/push-1 /opt/push-2
sed --in-place 's|/opt/push-1/|/opt/push-2/|' /opt/push-2/bin/*
"""


def read_install() -> list[str]:
    """Return the blocks that install everything."""
    return [BEGIN, *_blocks_of("deploy/install.md", "install")]


def read_operate() -> list[str]:
    """Return the blocks that an operator runs on a machine that is installed."""
    return [NEXT_VERSION, *_blocks_of("docs/operations.md", "operate")]


def _blocks_of(page: str, kind: str) -> list[str]:
    text = (ROOT / page).read_text()
    found = re.findall(rf"^ *```sh {kind}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [dedent(block) for block in found]


def find_unshare() -> str | None:
    """Return the program that makes a machine of its own, if it may: that takes root."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid():
        return None
    tried = subprocess.run([unshare, *APART, "true"], capture_output=True, check=False)
    return None if tried.returncode else unshare


def follow(folder: Path, blocks: list[str], limit_s: float) -> dict[str, Any]:
    """Run `blocks` on an empty machine whose files are in `folder`; return what was found."""
    for name, setting in (("nginx", "REQUIRE_NGINX"), ("systemd-analyze", "REQUIRE_SYSTEMD")):
        find_program(name, setting)
    unshare = or_not_run(find_unshare(), "unshare for root", "REQUIRE_UNSHARE")
    (folder / "page.sh").write_text("\n".join(blocks))
    done = subprocess.run(
        [unshare, *APART, sys.executable, "-m", "tests.deploy.empty_machine", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    found = folder / "found.json"
    assert found.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return {**json.loads(found.read_text()), "said": done.stdout, "complained": done.stderr}
