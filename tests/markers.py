"""What tests need besides Python and one PostgreSQL, and how they share the workers.

`make quick` leaves out what is named here. A single test of another folder has its own marker.
"""

from collections.abc import Collection, Iterator
from typing import Final

from _pytest.mark.expression import Expression  # pytest has no public name for it

#: Where tests lie, as the beginning of their path, and what all of them need.
NEEDS: Final = {
    "tests/browser/": ("processes", "browser"),
    "tests/cadence_service/test_caps_are_exact.py": ("slow",),
    "tests/cadence_service/test_everything_at_once.py": ("slow",),
    "tests/cadence_service/test_imports.py": ("processes",),
    "tests/cadence_service/test_many_links.py": ("slow",),
    "tests/cadence_service/test_model.py": ("slow",),
    "tests/cadence_service/test_reservations_at_once.py": ("slow",),
    "tests/cadence_service/test_schema_changes.py": ("slow",),
    "tests/cadence_service/web/test_read_only.py": ("slow",),
    "tests/chassis/http/test_patient_worker.py": ("slow",),
    "tests/chassis/http/test_serving.py": ("processes",),
    "tests/chassis/http/test_shared_time.py": ("programs",),
    "tests/chassis/test_postgres.py": ("programs",),
    "tests/commands/test_commands_in_trouble.py": ("programs",),
    "tests/deploy/test_nightly.py": ("processes",),
    "tests/day/test_day.py": ("processes", "nginx"),
    "tests/deploy/test_install.py": ("processes", "nginx", "systemd"),
    "tests/fuzz/": ("slow",),
    "tests/journeys/": ("processes",),
    "tests/journeys/test_pgbouncer.py": ("pgbouncer",),
    "tests/journeys/test_replicas.py": ("nginx",),
    "tests/local_stack/": ("processes",),
    "tests/operate/test_operate.py": ("processes", "nginx"),
    "tests/push_backup/": ("programs",),
    "tests/push_blaster/adapters/audiences/test_audience_scripts.py": ("programs",),
    "tests/push_blaster/adapters/audiences/test_preparer.py": ("programs",),
    "tests/push_blaster/adapters/executions/test_job_queue.py": ("slow",),
    "tests/push_blaster/adapters/executions/test_pulse.py": ("programs",),
    "tests/push_blaster/clock/": ("slow",),
    "tests/push_blaster/use_cases/audiences/test_try_script.py": ("programs",),
    "tests/push_blaster/use_cases/cadence/": ("programs",),
    "tests/push_blaster/use_cases/delivery/": ("programs",),
    "tests/push_blaster/use_cases/delivery/test_upgrade.py": ("slow",),
    "tests/push_blaster/use_cases/executions/": ("programs",),
    "tests/push_blaster/use_cases/operations/test_prune.py": ("programs",),
    "tests/push_blaster/web/access/test_guesses.py": ("slow",),
    "tests/push_blaster/web/access/test_stops_apart.py": ("slow",),
    "tests/push_blaster/web/automations/test_bulk_pages.py": ("slow",),
    "tests/push_blaster/web/automations/test_new_field.py": ("programs",),
    "tests/push_blaster/web/engagement/test_results_add_up.py": ("slow",),
    "tests/push_blaster/web/operations/test_schema_in_health.py": ("slow",),
    "tests/red_team/": ("processes",),
    "tests/regressions/": ("programs",),
    "tests/regressions/test_real_processes.py": ("processes",),
    "tests/torture/test_torture.py": ("processes",),
    "tests/torture/test_world.py": ("programs",),
    "tests/upgrades/": ("processes",),
}
#: Files that `make quick` takes all the same: what every execution goes through.
CORE: Final = ("tests/push_blaster/use_cases/executions/test_run.py",)
#: Fixtures, and what each test with such a fixture needs: executions on the bench run their script.
NEEDS_BY_FIXTURE: Final = {"bench": "programs"}
#: Folders whose tests share one running stack.
ONE_STACK: Final = ("tests/browser/", "tests/local_stack/")
#: Tests that read the syntax trees of all modules, which one worker keeps: the name of their group.
SYNTAX_TREES: Final = "syntax trees"
READ_SYNTAX_TREES: Final = tuple(
    f"tests/architecture/test_{name}.py" for name in ("plain_words", "structure", "tests", "words")
)
#: Tests with processes of their own, each.
INDEPENDENT: Final = ("tests/local_stack/test_embedded_postgres.py",)
#: One test each, of half a minute and more.
LONGEST: Final = (
    *("tests/torture/test_torture.py", "tests/day/test_day.py", "tests/upgrades/"),
    *("tests/operate/test_operate.py", "tests/deploy/test_install.py"),
)


def find_markers(path: str, fixtures: Collection[str] = ()) -> Iterator[str]:
    """Yield the markers of all tests in the file or folder at `path`, counted from the checkout.

    Shape: with `fixtures`, the markers of one test of that file that has these fixtures.
    """
    if any(file.startswith(path) for file in CORE):
        return
    for beginning, names in NEEDS.items():
        if path.startswith(beginning):
            yield from names
    yield from (need for name, need in NEEDS_BY_FIXTURE.items() if name in fixtures)


def leaves_out(expression: str, path: str) -> bool:
    """Return whether `-m expression` takes no test below `path`, whatever their own markers are."""
    if not expression:
        return False
    given, chosen = set(find_markers(path)), Expression.compile(expression)

    def takes(*, with_others: bool) -> bool:
        return chosen.evaluate(lambda name, /, **_: name in given or with_others)

    return not takes(with_others=False) and not takes(with_others=True)


def find_group(path: str) -> str | None:
    """Return the group of tests that share running services, and so stay on one worker.

    It is the file, or a folder that has one stack. Tests that share syntax trees are one group.
    """
    if path in READ_SYNTAX_TREES:
        return SYNTAX_TREES
    if "processes" not in find_markers(path) or path in INDEPENDENT:
        return None
    return next((folder for folder in ONE_STACK if path.startswith(folder)), path)


def find_rank(path: str, markers: Collection[str]) -> int:
    """Return when a test begins: the longest first, then others with processes, then slow ones.

    So no worker is left with a long test at the end, and waiting overlaps with computing.
    """
    if path.startswith(LONGEST):
        return 0
    return 1 if "processes" in markers else 2 if "slow" in markers else 3
