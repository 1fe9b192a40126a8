"""What lies under deploy/ fits the system: it names what exists, and its tools accept it."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from cadence_service.web.metrics import read_gauges_from as read_cadence
from chassis.metrics import write_metrics
from chassis.postgres import BulkDatabase, Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.use_cases.schedule.watch_clock import ClockWatch
from push_blaster.web.operations.metrics import read_gauges_from
from tests.audit import read_lock
from tests.documents import read_tables
from tests.programs import find_program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
METRIC = re.compile(r"\b(?:push|cadence|http)_[a-z_]+")


def expressions() -> set[str]:
    shown = {target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    return shown | {rule["expr"] for rule in RULES}


@dataclass(frozen=True)
class Exported:
    """The metrics of web, engine and cadence service, and what kind each of them is."""

    text: str
    kinds: dict[str, str]


@pytest.fixture
def exported(database: Database, cadence_database: BulkDatabase, tmp_path: Path) -> Exported:
    files = AutomationFiles(tmp_path / "automations")
    cadence = CadenceClient("http://127.0.0.1:9", "t")
    web = read_gauges_from(database, files, cadence, ClockWatch(files, database), tmp_path)
    text = (write_metrics(web()) + write_metrics(read_cadence(cadence_database)())).decode()
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    return Exported(text, {name: kind for name, kind in kinds if METRIC.fullmatch(name)})


def test_every_metric_that_is_watched_is_exported(exported: Exported) -> None:
    histograms = [name for name, kind in exported.kinds.items() if kind == "histogram"]
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}

    watched = {name for text in expressions() for name in METRIC.findall(text)}

    assert len(watched) > 15
    assert watched <= exported.kinds.keys() | parts


def test_the_operations_manual_has_every_metric_and_no_other(exported: Exported) -> None:
    rows = read_tables("docs/operations.md", "metric", "by", "what it is")

    told = {row["metric"].strip("`") for row in rows}

    assert told == {name for name in exported.kinds if not name.endswith("_created")}


def test_every_alert_says_what_is_wrong_and_has_its_section_in_the_operations_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    parts = re.split("^## (.+)\n", manual, flags=re.MULTILINE)[1:]
    sections = dict(
        zip((t.lower().replace(" ", "-") for t in parts[::2]), parts[1::2], strict=True)
    )
    told = {
        (name, section)
        for section, text in sections.items()
        for names in re.findall(r"^Alerts?: ([\w, ]+)[.;]", text, re.MULTILINE)
        for name in names.split(", ")
    }

    for rule in RULES:
        page, _, section = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert (rule["alert"], section) in told
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"critical", "warning"}
    assert {name for name, _ in told} == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize(
    ("alert", "setting", "unit"),
    [
        ("DataFolderFull", "PUSH_MIN_FREE_MB", 1024**2),
        ("LiveSendsLate", "PUSH_LATE_AFTER_SECONDS", 1),
    ],
)
def test_an_alert_has_the_default_of_its_setting(alert: str, setting: str, unit: int) -> None:
    (rule,) = [rule for rule in RULES if rule["alert"] == alert]
    found = re.search(rf"^{setting}=(\d+)$", (DEPLOY / "env.example").read_text(), re.MULTILINE)

    assert found
    assert rule["expr"].split()[-1] == str(int(found[1]) * unit)


def test_what_the_image_copies_is_there() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
    copied = [names.split() for names in copies]

    assert copied
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists(), source


def test_the_images_pg_dump_is_no_older_than_the_server() -> None:
    client = re.search(r"postgresql-client-(\d+)", (DEPLOY / "Dockerfile").read_text())
    server = re.search(r"image: postgres:(\d+)", (DEPLOY / "compose.yaml").read_text())

    assert client
    assert server
    assert int(client[1]) >= int(server[1])


def test_the_image_installs_as_everybody_does() -> None:
    """What `make install` does on every clean clone, without what only its developers need."""
    dockerfile, makefile = (DEPLOY / "Dockerfile").read_text(), (ROOT / "Makefile").read_text()

    def installs(text: str) -> list[set[str]]:
        lines = re.findall(r"pip install (.+)$", text.replace("-dev.lock", ".lock"), re.MULTILINE)
        quiet = {"-qq", "--disable-pip-version-check", "--no-cache-dir", "--editable"}
        return [set(line.split()) - quiet for line in lines]

    assert installs(dockerfile) == installs(makefile) != []
    assert "requirements-dev.lock" not in dockerfile


@pytest.mark.slow
def test_the_image_has_whatever_its_code_imports() -> None:
    shipped = {pinned.name for pinned in read_lock((ROOT / "requirements.lock").read_text())}
    code = [path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py")]
    imported = {
        name: path
        for path in code
        if "local_stack" not in path.parts
        for name in _imports(ast.parse(path.read_text()))
    }
    by_module = packages_distributions()

    others = {name: path for name, path in imported.items() if name in by_module}
    lacking = {
        name: str(path)
        for name, path in others.items()
        if shipped.isdisjoint(dist.lower().replace("_", "-") for dist in by_module[name])
        and "push-automation-system" not in by_module[name]
    }
    assert len(others) > 15
    assert lacking == {}


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the packages that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_image_runs_the_python_that_every_test_ran_on() -> None:
    """The oldest that the project promises, which is the one that CI has."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    versions = set(re.findall(r"^FROM python:([\d.]+)-", dockerfile, re.MULTILINE))

    assert versions == {project["requires-python"].removeprefix(">=")}


@pytest.mark.slow
def test_what_is_installed_has_every_file_that_the_code_needs(tmp_path: Path) -> None:
    """An image has no checkout: pages, templates and migrations must be in the package."""
    source, needed = tmp_path / "source", set()
    for folder in ("services", "shared"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "README.md")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
        files = [path for path in (source / folder).rglob("*") if path.is_file()]
        needed |= {str(path.relative_to(source / folder)) for path in files}
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)

    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*build, "-w", tmp_path, source], check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    assert needed - set(ZipFile(wheel).namelist()) == set()


@pytest.mark.processes
def test_compose_and_units_start_commands_that_exist() -> None:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    commands = [str(service.get("command", "")) for service in compose["services"].values()]
    units = [unit.read_text() for unit in (DEPLOY / "systemd").glob("*.service")]
    started = {
        tuple(found)
        for text in [*commands, *units]
        for found in re.findall(r"(cadence-service|push-blaster|push-backup) ([a-z-]+)", text)
    }

    assert len(started) >= 7
    for program, command in started:
        done = subprocess.run([_ours(program), command, "--help"], capture_output=True, check=False)
        assert done.returncode == 0, (program, command)


def test_compose_mounts_what_is_there() -> None:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    mounted = [v for s in compose["services"].values() for v in s.get("volumes", []) if v[0] == "."]

    assert mounted
    assert [v for v in mounted if not (DEPLOY / v.split(":")[0]).is_file()] == []


@pytest.mark.systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = find_program("systemd-analyze", "REQUIRE_SYSTEMD")
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/push/bin", str(_ours("push-blaster").parent))
        (tmp_path / unit.name).write_text(text)

    units = sorted(tmp_path.iterdir())
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, check=False)

    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "push" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.nginx
@pytest.mark.parametrize(
    ("name", "servers"), [("push.conf", "push-web.conf"), ("cadence.conf", "cadence-replicas.conf")]
)
def test_nginx_accepts_its_configuration(name: str, servers: str, tmp_path: Path) -> None:
    nginx = find_program("nginx", "REQUIRE_NGINX")
    port = "3001" if name == "push.conf" else "3002"
    (tmp_path / servers).write_text(f"server 127.0.0.1:{port};")
    shutil.copy(DEPLOY / "nginx" / name, tmp_path)
    (tmp_path / "nginx.conf").write_text(
        f"pid nginx.pid; error_log stderr; events {{}} http {{ access_log off; include {name}; }}"
    )

    done = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_a_rule_that_prometheus_takes(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    for left, right in ("()", "{}", "[]"):
        assert rule["expr"].count(left) == rule["expr"].count(right)
    assert rule["expr"].count('"') % 2 == 0


def test_every_label_by_which_a_figure_is_picked_is_exported(exported: Exported) -> None:
    picked = re.compile(r'\w+{\w+="\w+"}')
    gauges = {
        found
        for text in expressions()
        for found in picked.findall(text)
        if exported.kinds.get(found.partition("{")[0]) == "gauge"
    }

    assert gauges
    assert [found for found in gauges if found not in exported.text] == []


def _ours(program: str) -> Path:
    return Path(sys.executable).with_name(program)
