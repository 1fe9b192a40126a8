"""The whole pipeline: script, audience, cadence, ledger, send, all in the real processes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.bench.fake_fcm import FakeFcm
from tests.bench.send_clients import an_account
from tests.fakes.fcm_settings import fcm_settings
from tests.journeys.stack import Stack, a_journey_automation, running_stack

#: Writes PARAM_USERS users with what their messages say, in constant memory.
SCRIPT: Final = """
import os, random
dice, users = random.Random(), int(os.environ["PARAM_USERS"])
with open(os.path.join(os.environ["OUTPUT_PATH"], "everybody.csv"), "w") as table:
    table.write("user_id,first_name,plant,seeds,device_token\\n")
    for n in range(users):
        x = f"{dice.getrandbits(128):032x}"
        user_id = f"{x[:8]}-{x[8:12]}-{x[12:16]}-{x[16:20]}-{x[20:]}"
        table.write(f"{user_id},Anna {n},tomato,{n},{x:d>163}\\n")
"""
TEXTS: Final = {
    "title": "[[var:first_name]], your [[var:plant|plants]] are ripe",
    "body": "Somebody near you offers [[var:seeds]] seeds of what you wished for; have a look.",
    "deepLink": "https://garden.example.com/offers?plant=[[var:plant|any]]&seeds=[[var:seeds]]",
}
LIMIT_S: Final = 14_400
#: What an engine logs of a job whose engine it takes for dead.
DEAD_WORKER: Final = "dead_worker_found"
#: How often the execution is looked at meanwhile.
LOOK_S: Final = 0.5
#: The kinds of processes besides engines, by a word of their command lines; what PostgreSQL does
#: for cadence is cadence's.
KINDS: Final = {
    "cadence": "cadence",
    "postgres": "postgres",
    "nginx": "nginx",
    "script": "users.py",
    "preparation": "push_blaster.prepare",
    "pulse": "pulse_program",
    "web": "push-blaster serve",
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a run took: from the push's beginning to its end; CPU and memory by kind of process."""

    sent: int
    taken_s: float
    cpu_s: dict[str, float]
    memory_mb: float
    funnel: dict[str, Any]
    phases_s: dict[str, float]
    script_runs: int
    dead_workers: int

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.sent / self.taken_s


@contextmanager
def running_pipeline(
    postgres: EmbeddedPostgres,
    folder: Path,
    fcm: FakeFcm,
    token_uri: str,
    engines: int = 1,
    replicas: int = 1,
) -> Iterator[Stack]:
    """Run cadence, web and engines as they are run, sending to the fake FCM."""
    settings = {
        **fcm_settings(fcm, token_uri, an_account(token_uri)["private_key"]),
        "PUSH_RATE_PER_MINUTE": "6000000",
        "PUSH_RAMP_SECONDS": "0",
        "PUSH_MAX_AUDIENCE_SIZE": "100000000",
        "PUSH_WEB_WORKERS": "1",
        "PUSH_SCRIPT_TIMEOUT_SECONDS": "3600",
    }
    with running_stack(postgres, folder, settings, engines, replicas) as stack:
        (folder / "scripts" / "users.py").write_text(SCRIPT)
        yield stack


def send_through(stack: Stack, users: int) -> Pipeline:
    """Send one push to `users` users, and measure from its beginning to its end."""
    execution_id = start_send(stack, users)
    stack.wait_for(execution_id, ["live_execution"], LIMIT_S, LOOK_S)
    before = count_cpu(stack)
    ended = stack.wait_for(execution_id, ["completed", "failed", "cancelled"], LIMIT_S, LOOK_S)
    after = count_cpu(stack)
    push = ended["pushes"][0]
    if ended["phase"] != "completed":
        raise RuntimeError(f"{ended['phase']}: {ended.get('reason')} {stack.log(execution_id)}")
    taken = datetime.fromisoformat(push["endedAt"]) - datetime.fromisoformat(push["startedAt"])
    return Pipeline(
        sent=push["funnel"]["sent"],
        taken_s=taken.total_seconds(),
        cpu_s={kind: spent - before.get(kind, 0.0) for kind, spent in after.items()},
        memory_mb=max(_peak_memory_mb(engine.pid) for engine in stack.engines),
        funnel=push["funnel"],
        phases_s=dict(_time_phases(ended["phases"])),
        script_runs=stack.log(execution_id).count("The script users runs."),
        dead_workers=(stack.folder / "push-blaster-engine.log").read_text().count(DEAD_WORKER),
    )


def start_send(stack: Stack, users: int) -> str:
    """Start a push to `users` users; return its execution's id."""
    name = f"bench-{time.monotonic_ns()}"
    document = a_journey_automation(name, pushes=[TEXTS], parameters={"users": users})
    document["settings"]["safeguards"]["maxAudienceSize"] = users
    stack.ask("POST", "/api/automation/recipes", document)
    return str(stack.ask("POST", "/api/executions", {"automationId": name})["id"])


def list_processes(stack: Stack) -> Iterator[tuple[str, psutil.Process]]:
    """Yield every process that takes part, with its kind."""
    engines = {engine.pid for engine in stack.engines}
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        kinds = (kind for kind, word in KINDS.items() if word in line)
        kind = "engine" if process.pid in engines else next(kinds, None)
        if kind:
            yield kind, process


def count_cpu(stack: Stack) -> dict[str, float]:
    """Return the CPU seconds spent so far, by kind of process."""
    used: dict[str, float] = {}
    for kind, process in list_processes(stack):
        with suppress(psutil.Error):
            times = process.cpu_times()
            used[kind] = used.get(kind, 0.0) + times.user + times.system
    return used


def _time_phases(phases: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, float]]:
    """Yield how long each phase took, but for the last."""
    instants = [datetime.fromisoformat(phase["at"]) for phase in phases]
    for phase, begun_at, ended_at in zip(phases, instants, instants[1:], strict=False):
        yield phase["phase"], (ended_at - begun_at).total_seconds()


def _peak_memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
