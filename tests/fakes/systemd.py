"""Stands in for systemd on a machine that it did not start: runs what units say, as they say it.

It is called by the names `systemctl` and `systemd-run`, and takes only what our documents use. The
sandbox of the units is not part of it.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDERS: Final = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
REAL: Final = "/usr/bin/systemctl"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Stands for PrivateTmp.
TEMPORARY: Final = "/run/tmp"
LOGS: Final = Path("/var/log/units")
LIMIT_S: Final = 120.0
Lines = Mapping[str, list[str]]


@dataclass(frozen=True)
class Service:
    """The section [Service] of a unit, or the properties of a command."""

    name: str
    lines: Lines

    def last(self, key: str, default: str) -> str:
        return (self.lines.get(key) or [default])[-1]

    @property
    def pid_file(self) -> Path:
        return Path(self.last("PIDFile", f"/run/{self.name}.pid"))

    def spawn(self, command: Sequence[str], log: int | None) -> subprocess.Popen[bytes]:
        """Start a command as the user, and with the environment, that the unit asks for."""
        user = self.last("User", "root")
        return subprocess.Popen(
            command,
            env={
                "PATH": PATH,
                "TMPDIR": TEMPORARY,
                **read_environment(self.lines.get("EnvironmentFile", [])),
            },
            user=user,
            group=self.last("Group", user),
            extra_groups=[],
            umask=int(self.last("UMask", "0022"), 8),
            cwd="/",
            stdout=log,
            stderr=log,
            start_new_session=log is not None,
        )


def read_environment(files: Iterable[str]) -> dict[str, str]:
    """Read files as systemd does, as root: a name and a value a line; the last of a name counts."""
    found: dict[str, str] = {}
    for file in files:
        for line in Path(file).read_text().splitlines():
            name, has_value, value = line.partition("=")
            if has_value and not line.startswith(("#", ";")):
                found[name.strip()] = value.strip()
    return found


def read_service(name: str) -> Service:
    path = next(path for folder in FOLDERS if (path := folder / f"{name}.service").exists())
    lines: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text().partition("\n[Service]\n")[2].partition("\n[")[0].splitlines():
        key, has_value, value = line.partition("=")
        if has_value and not line.startswith("#"):
            lines[key].append(value)
    return Service(name, lines)


def run_all(service: Service, key: str) -> None:
    """Run the commands of this key one after the other; end with the code of the first failure."""
    LOGS.mkdir(exist_ok=True)
    with (LOGS / f"{service.name}.log").open("ab") as log:
        for line in service.lines.get(key, []):
            command = shlex.split(line.replace("$$", "$").replace("%%", "%"))
            process = service.spawn(command, log.fileno())
            if key == "ExecStart" and service.last("Type", "simple") == "simple":
                service.pid_file.write_text(str(process.pid))
            elif process.wait(LIMIT_S):
                sys.exit(
                    f"{service.name}: {line} ended with {process.returncode}\n{read_log(log.name)}"
                )


def read_log(path: str) -> str:
    return Path(path).read_text(errors="replace")[-3000:]


def start(service: Service) -> None:
    for key in ("ExecStartPre", "ExecStart", "ExecStartPost"):
        run_all(service, key)


def stop(service: Service) -> None:
    """End the main process in order, and kill it after the time that the unit gives it."""
    number = service.pid_file.read_text() if service.pid_file.exists() else ""
    if not number:
        return
    pid = int(number)
    service.pid_file.unlink()
    give_up_at = time.monotonic() + float(service.last("TimeoutStopSec", "90"))
    os.kill(pid, signal.SIGTERM)
    while runs(pid):
        if time.monotonic() > give_up_at:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Return whether a process has not ended; nobody may have asked for its code yet."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def control(verb: str, units: Sequence[str], *, is_now: bool) -> None:
    """Do what `systemctl` does; the real one enables and disables units."""
    names = [unit.removesuffix(".service") for unit in units if not unit.endswith(".timer")]
    if verb in {"enable", "disable"}:
        subprocess.run([REAL, verb, *units], env={"SYSTEMD_OFFLINE": "1"}, check=True)
    if verb in {"stop", "restart"} or (verb == "disable" and is_now):
        for name in names:
            stop(read_service(name))
    if verb in {"start", "restart"} or (verb == "enable" and is_now):
        for name in names:
            start(read_service(name))


def systemctl(arguments: Sequence[str]) -> None:
    verb, *units = (argument for argument in arguments if argument != "--now")
    if verb not in {"daemon-reload", "enable", "disable", "start", "stop", "restart"}:
        sys.exit(f"This systemctl does not know {verb}.")
    control(verb, units, is_now="--now" in arguments)


def systemd_run(arguments: Sequence[str]) -> None:
    """Run a command and wait for it, with the properties before it."""
    lines: dict[str, list[str]] = defaultdict(list)
    names = {"--uid": "User", "--gid": "Group"}
    at = next(n for n, argument in enumerate(arguments) if not argument.startswith("--"))
    for option in arguments[:at]:
        key, _, value = option.removeprefix("--property=").partition("=")
        if key not in {"--quiet", "--collect", "--wait", "--pipe"}:
            lines[names.get(key, key)].append(value)
    unknown = lines.keys() - {"User", "Group", "UMask", "EnvironmentFile"}
    if unknown:
        sys.exit(f"This systemd-run does not know {', '.join(unknown)}.")
    sys.exit(Service("run", lines).spawn(arguments[at:], None).wait())


if __name__ == "__main__":
    (systemctl if Path(sys.argv[0]).name == "systemctl" else systemd_run)(sys.argv[1:])
