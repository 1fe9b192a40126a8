"""The pushes of an execution are shown as a user of the audience reads them."""

from push_blaster.web.executions.sample_texts import read_sample_texts
from tests.push_blaster.bench import Bench

PUSHES = [
    {"id": "a", "title": "Hi [[var:first_name]]", "body": "Yours"},
    {"id": "b", "title": "[[var:first_name|You]], again", "body": "Yours"},
]


def test_before_the_audience_is_frozen_placeholders_stay(bench: Bench) -> None:
    execution = bench.execution(bench.start(pushes=PUSHES))

    titles = [texts.title for texts in read_sample_texts(bench.folder, execution)]

    assert titles == ["Hi [[var:first_name]]", "You, again"]


def test_afterwards_the_texts_have_the_values_of_a_real_row(bench: Bench) -> None:
    execution = bench.run(bench.start(pushes=PUSHES))

    first, second = read_sample_texts(bench.folder, execution)

    assert "[[" not in first.title + second.title
    assert first.title.removeprefix("Hi ") == second.title.removesuffix(", again")
