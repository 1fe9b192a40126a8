"""A part that hangs delays no answer about the others, and keeps one thread."""

import threading
import time

from chassis.health import Questions
from tests.journeys.stack import wait_until


def test_every_part_is_asked_and_a_fault_is_told() -> None:
    def away() -> None:
        raise ConnectionError("it is away")

    answers = Questions({"well": lambda: 7, "ill": away}).ask()

    assert answers.values == {"well": 7}
    assert answers.states == {"well": "ok", "ill": "it is away"}


def test_a_part_that_hangs_delays_nothing_and_is_asked_once() -> None:
    goes_on, asked = threading.Event(), []

    def hang() -> str:
        asked.append(1)
        goes_on.wait(30)
        return "at last"

    questions = Questions({"slow": hang, "well": lambda: 1}, answer_s=0.2)

    begun = time.monotonic()
    found = [questions.ask() for _ in range(3)]
    took = time.monotonic() - begun

    assert took < 2
    assert [answers.values for answers in found] == [{"well": 1}] * 3
    assert found[0].faults["slow"].startswith("no answer for 0.")
    assert asked == [1]
    goes_on.set()
    wait_until(lambda: questions.ask().faults, lambda faults: not faults, 10)
    assert questions.ask().values == {"slow": "at last", "well": 1}
