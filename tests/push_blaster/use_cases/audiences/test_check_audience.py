"""What a look at every row finds before a test, and that the send refuses the same rows."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from push_blaster.adapters.audiences.frozen_audiences import freeze_rows
from push_blaster.adapters.automations.automation_document import complete_document, read_automation
from push_blaster.domain.audiences.audience import AudienceRow
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.audiences.check_audience import check_audience
from tests.push_blaster.bench import Bench, an_automation_document, messages
from tests.scripts import a_script

HEADER = "user_id,first_name,city,path,timezone,device_token"


def row(n: int, *cells: str) -> str:
    return ",".join([str(UUID(int=n)), *cells, f"token-{n}"])


PUSH = {"title": "Hi [[var:first_name]]", "body": "In [[var:city]]", "deepLink": "[[var:path]]"}


def test_every_row_is_looked_at_before_anybody_is_sent_to(bench: Bench) -> None:
    bench.write_script(
        a_script(
            row(1, "Ada", "Paris", "", "UTC"),
            row(2, "", "Paris", "", "UTC"),
            row(3, "", "", "", "Mars/Olympus"),
            row(4, "Dan", "x" * 5_000, "", "UTC"),
            row(5, "Eve", "Rome", "", "UTC"),
            header=HEADER,
        )
    )
    push = {**PUSH, "deepLink": "https://shop.example/[[var:path|home]]"}
    settings = {"quietHours": {"start": "22:00", "end": "23:00"}}

    execution = bench.run(bench.start(pushes=[push], settings=settings))

    check = execution.pushes[0].audience_check
    assert check
    assert check["missingVariables"] == {"city": 1, "first_name": 2}
    assert (check["tooLong"], check["badDeepLinks"], check["invalidTimezone"]) == (1, 0, 1)
    assert check["longest"]["fcm"] > 5_000  # type: ignore[index]  # as JSON has it
    log = bench.log(execution.id)
    assert "1 lack city, 2 lack first_name, 1 make a message that is too long" in log
    assert log.index("1 lack city") < log.index("goes out")
    assert execution.phase is Phase.COMPLETED
    states = {d["user_id"].int: (d["state"], d["reason"]) for d in bench.deliveries(execution.id)}
    assert {n: state for n, (state, _) in states.items()} == {
        1: "sent",
        2: "missing_variable",
        3: "missing_variable",
        4: "too_long",
        5: "sent",
    }
    assert "and fcm takes 4096" in str(states[4][1])
    assert bench.funnel(execution.id)["tooLong"] == 1
    assert len(messages(bench)) == 2, "the provider is not asked"


def test_links_are_judged_as_each_row_makes_them(bench: Bench) -> None:
    bench.change(
        limits=replace(bench.context.limits, links=LinkPolicy(hosts=frozenset({"a.example"})))
    )
    bench.write_script(
        a_script(
            row(1, "Ada", "Rome", "a", "UTC"), row(2, "Bob", "Rome", "b", "UTC"), header=HEADER
        )
    )

    push = {**PUSH, "deepLink": "https://[[var:path]].example/"}
    execution = bench.run(bench.start(pushes=[push]))

    check = execution.pushes[0].audience_check
    assert check
    assert check["badDeepLinks"] == bench.funnel(execution.id)["badDeepLink"] == 1


def test_each_row_is_looked_at_in_its_own_wording(bench: Bench) -> None:
    rows = [row(n, "" if n % 2 else "Ada", "Rome", "", "UTC") for n in range(1, 41)]
    bench.write_script(a_script(*rows, header=HEADER))
    variants = [{"id": "name"}, {"id": "none", "title": "Hello"}]

    execution = bench.run(bench.start(pushes=[{**PUSH, "deepLink": "", "variants": variants}]))

    check = execution.pushes[0].audience_check
    assert check
    lacking = bench.funnel(execution.id)["missingVariable"]
    assert check["missingVariables"] == {"first_name": lacking}
    assert 0 < lacking < 20


def test_a_look_takes_no_more_memory_for_a_longer_audience(tmp_path: Path) -> None:
    automation = read_automation(complete_document(an_automation_document()))
    path = tmp_path / "audience.jsonl"
    rows = [AudienceRow(UUID(int=n), {"first_name": "Ada " * 20}) for n in range(5_000)]
    freeze_rows(rows, path, ("first_name",))

    tracemalloc.start()
    check = check_audience(LinkPolicy(), automation, automation.pushes[0], path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert check["missingVariables"] == {}
    assert most < path.stat().st_size / 3
