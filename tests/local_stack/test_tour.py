"""Every command of the README's tour and of the documents, run as a reader would run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT
from tests.local_stack.stack import LocalStack

CURL = ROOT / "tests" / "fakes" / "curl.py"
#: In the order in which they are run; each begins anew.
PAGES = (
    *("README.md", "docs/api.md", "docs/audience-scripts.md", "docs/automations.md"),
    "docs/results.md",
)


def blocks_of(page: str) -> list[str]:
    return re.findall(r"```sh tour\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def tour(stack: LocalStack, page: str) -> str:
    """Return the page's blocks as one script, with this stack's ports; a refusal ends it."""
    script = "\n".join(blocks_of(page))
    for written, here in (
        ("http://127.0.0.1:3001", stack.push_url),
        ("http://127.0.0.1:3002", stack.cadence_url),
    ):
        script = script.replace(written, here)
    curl = shutil.which("curl") or f"{sys.executable} {CURL}"
    once = f'curl() {{ {curl} --fail-with-body "$@"; echo; }}'
    return f"set -euo pipefail\n{once}\n{script}"


def walk(stack: LocalStack, page: str, checkout: Path) -> str:
    """Run a page's tour in a checkout of which `var` is the stack's; return what was said."""
    checkout.mkdir()
    for name, target in (
        ("var", stack.folder),
        ("deploy", ROOT / "deploy"),
        (".venv", Path(sys.executable).parents[1]),
    ):
        (checkout / name).symlink_to(target)
    done = subprocess.run(
        ["bash", "-c", tour(stack, page)],
        cwd=checkout,
        env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (page, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def test_every_command_of_the_tour_works(local_stack: LocalStack, tmp_path: Path) -> None:
    local_stack.wait_to_say("The execution is completed.")

    said = {page: walk(local_stack, page, tmp_path / str(n)) for n, page in enumerate(PAGES)}

    answers = {
        page: [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        for page, text in said.items()
    }
    assert 'data: {"type":"result","success":true' in said["README.md"]
    receipt = next(a for a in answers["README.md"] if "notSent" in a)
    assert receipt["execution"]["phase"] == "cancelled"
    layers = answers["README.md"][-2]["layers"]
    assert [layer["layerId"] for layer in layers if not layer["eligible"]] == [3]
    held_back = next(a for a in answers["docs/api.md"] if "excluded" in a)
    assert held_back["eligibleUserIds"] == ["7e57ab1e-0000-4000-8000-000000000002"]
    assert held_back["excluded"][0]["rule"] == "layer_3_cooldown_hours"
    assert answers["docs/audience-scripts.md"][0]["state"] == "succeeded"
    assert "✗" not in said["docs/automations.md"]
    events, conversions, results, fatigue = answers["docs/results.md"]
    assert fatigue["layerId"] == 3
    assert results["zone"] == "UTC"
    assert (events["accepted"], conversions["accepted"], conversions["repeated"]) == (2, 1, 1)


def test_every_page_with_commands_that_run_is_walked() -> None:
    pages = [path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md")]

    assert {str(page) for page in pages if blocks_of(str(page))} < set(PAGES)


def test_without_curl_the_tests_bring_their_own(local_stack: LocalStack) -> None:
    local_stack.wait_to_say("admin token")
    url = f"{local_stack.cadence_url}/filter-audience"

    def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(CURL), "-sS", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    header = f"Authorization: Bearer {local_stack.token}"
    json_body = ("-H", "Content-Type: application/json", "-d", "{}")
    refused = curl("-X", "POST", url, "-H", header, *json_body, "--fail-with-body")
    well = curl("-N", f"{local_stack.cadence_url}/health")

    assert refused.returncode == 22
    assert json.loads(refused.stdout)["status"] in {400, 422}
    assert json.loads(well.stdout)["status"] == "healthy"
