"""The example: a first start installs it and runs it once, so that every phase is seen."""

import csv
import json
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import requests

from chassis.clock import utc_now
from local_stack.settings import CHECKOUT, StackSettings

SOURCE: Final = CHECKOUT / "deploy" / "examples"
PHONES: Final = SOURCE / "phones.py"
AUTOMATION_ID: Final = "garden-activity"
WINDOW_MINUTES: Final = 20 / 60
DEVICES_A_CALL: Final = 5_000
ENDED: Final = frozenset({"completed", "failed", "cancelled"})


class ExampleError(Exception):
    """The example could not be run."""


def install_example(data_folder: Path) -> bool:
    """Copy the example into a data folder that never had it; return whether it was copied.

    Its schedules begin tomorrow, so that no slot of today disturbs the first runs by hand.
    """
    marker = data_folder / "example.installed"
    if marker.exists():
        return False
    for name in ("automations", "scripts", "data"):
        target = data_folder / name
        target.mkdir(exist_ok=True)
        for path in sorted((SOURCE / name).iterdir()):
            if not (target / path.name).exists():
                shutil.copy(path, target / path.name)
    tomorrow = (utc_now() + timedelta(days=1)).date().isoformat()
    for path in sorted((SOURCE / "automations").iterdir()):
        _begin_on(data_folder / "automations" / path.name, tomorrow)
    marker.touch()
    return True


def _begin_on(path: Path, day: str) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    document["schedule"]["startDate"] = day
    text = json.dumps(document, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def run_example(settings: StackSettings) -> None:
    """Register the example's devices, start its first automation, and print what happens."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {settings.token_file.read_text().strip()}"
    try:
        _register_devices(session, settings)
        _follow(session, settings, _start(session, settings))
    except (requests.RequestException, ExampleError) as error:
        print(f"The example could not be run: {error}", flush=True)


def _register_devices(session: requests.Session, settings: StackSettings) -> None:
    with (settings.data_folder / "data" / "devices.csv").open(newline="") as file:
        devices = [
            {
                "userId": row["user_id"],
                "token": row["token"],
                "kind": "file",
                "platform": row["platform"],
            }
            for row in csv.DictReader(file)
        ]
    for start in range(0, len(devices), DEVICES_A_CALL):
        body = {"devices": devices[start : start + DEVICES_A_CALL]}
        _read_answer(session.post(f"{settings.push_url}/api/devices", json=body, timeout=30))


def _start(session: requests.Session, settings: StackSettings) -> str:
    body = {"automationId": AUTOMATION_ID, "cancellationWindowMinutes": WINDOW_MINUTES}
    answer = _read_answer(
        session.post(f"{settings.push_url}/api/executions", json=body, timeout=30)
    )
    print(f"The example automation {AUTOMATION_ID!r} runs: {answer['id']}", flush=True)
    return str(answer["id"])


def _follow(session: requests.Session, settings: StackSettings, execution_id: str) -> None:
    """Print the log of the execution as it grows, and at the end the funnel of each push."""
    url = f"{settings.push_url}/api/executions/{execution_id}"
    after = 0
    while True:
        execution = _read_answer(session.get(url, timeout=30))
        log = _read_answer(session.get(f"{url}/log", params={"after": after}, timeout=30))
        for entry in log["entries"]:
            print(f"  {entry['timestamp'][11:19]}  {entry['stage']:<20} {entry['message']}")
        after = log["nextAfter"]
        if execution["phase"] in ENDED:
            _print_end(settings, execution)
            return
        time.sleep(0.5)


def _print_end(settings: StackSettings, execution: dict[str, Any]) -> None:
    print(f"\nThe execution is {execution['phase']}. {execution['reason'] or ''}")
    print("\n  push  generated  distinct  eligible  capped  with token  sent  failed")
    for push in execution["pushes"]:
        funnel = push["funnel"]
        print(
            f"  {push['position']:>4}  {funnel['generated']:>9}  {funnel['distinct']:>8}"
            f"  {funnel['eligible']:>8}  {funnel['excluded']:>6}  {funnel['withToken']:>10}"
            f"  {funnel['sent']:>4}  {funnel['failed']:>6}"
        )
        for rule, users in funnel["exclusionBreakdown"].items():
            print(f"        {users} capped by {rule}")
    print(f"\nThe messages are in {settings.data_folder / 'sent' / 'messages.jsonl'}")
    print("Simulated phones report what users do with them: see the page Results.")
    print("Run it again with `.venv/bin/local-stack example`, and see which users are capped.")
    print(flush=True)


def _read_answer(response: requests.Response) -> dict[str, Any]:
    try:
        document: dict[str, Any] = response.json()
    except json.JSONDecodeError as error:
        raise ExampleError(f"{response.url} answered {response.status_code}") from error
    if not response.ok:
        raise ExampleError(f"{response.url}: {document.get('detail', response.status_code)}")
    return document
