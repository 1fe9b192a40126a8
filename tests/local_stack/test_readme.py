"""Every command of the README's tour, run as a reader would run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.local_stack.conftest import LocalStack

README = Path(__file__).parents[2] / "README.md"
CURL = Path(__file__).parents[1] / "fakes" / "curl.py"


def tour(stack: LocalStack) -> str:
    """Return the tour as one script, with this stack's ports and token; a refusal ends it."""
    blocks = re.findall(r"```sh tour\n(.*?)```", README.read_text(), re.DOTALL)
    script = "\n".join(blocks)
    for written, here in (
        ("var/admin.token", f"'{stack.folder}/admin.token'"),
        ("http://127.0.0.1:3001", stack.push_url),
        ("http://127.0.0.1:3002", stack.cadence_url),
    ):
        assert written in script
        script = script.replace(written, here)
    curl = shutil.which("curl") or f"{sys.executable} {CURL}"
    once = f'curl() {{ {curl} --fail-with-body "$@"; echo; }}'
    return f"set -euo pipefail\n{once}\n{script}"


def test_every_command_of_the_tour_works(local_stack: LocalStack) -> None:
    local_stack.wait_to_say("The execution is completed.")

    done = subprocess.run(
        ["bash", "-c", tour(local_stack)],
        env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, (done.stdout, done.stderr)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    said_otherwise = 2  # a deletion says nothing, a dry run is told as events
    assert len(answers) == tour(local_stack).count("\ncurl ") - said_otherwise
    assert 'data: {"type":"result","success":true' in done.stdout
    held_back = next(a for a in answers if "eligibleUserIds" in a)
    assert held_back["eligibleUserIds"] == ["7e57ab1e-0000-4000-8000-000000000002"]
    assert held_back["excluded"][0]["rule"] == "layer_3_cooldown_hours"
    receipt = next(a for a in answers if "notSent" in a)
    assert receipt["execution"]["phase"] == "cancelled"


def test_without_curl_the_tests_bring_their_own(local_stack: LocalStack) -> None:
    local_stack.wait_to_say("admin token")
    url = f"{local_stack.cadence_url}/filter-audience"

    def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(CURL), "-sS", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    header = f"Authorization: Bearer {local_stack.token}"
    refused = curl("-X", "POST", url, "-H", header, "-d", "{}", "--fail-with-body")
    well = curl(f"{local_stack.cadence_url}/health")

    assert refused.returncode == 22
    assert json.loads(refused.stdout)["status"] in {400, 422}
    assert json.loads(well.stdout)["status"] == "healthy"
