"""Health: every part is asked side by side, and a part that hangs delays no answer."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Final, TypeVar

Ping = Callable[[], object]
_Answer = TypeVar("_Answer")

#: How long all parts together may take to answer.
ANSWER_S: Final = 1.3


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of the parts, and the reasons of those without an answer, by name."""

    values: Mapping[str, Any]
    faults: Mapping[str, str]

    @property
    def states(self) -> dict[str, str]:
        """Return, for each part, "ok" or what is wrong."""
        return {**dict.fromkeys(self.values, "ok"), **self.faults}

    @property
    def remarks(self) -> list[str]:
        """Return the answers that are a text: what is well, and should be known all the same."""
        texts = {name: value for name, value in self.values.items() if isinstance(value, str)}
        return [f"{name}: {text}" for name, text in texts.items()]


class Questions:
    """Asks parts, each in a thread of its own, which a part that hangs keeps.

    Such a part is not asked again before it has answered, so that it keeps no second thread.
    """

    def __init__(self, questions: Mapping[str, Ping], answer_s: float = ANSWER_S) -> None:
        """Take the question of each part: a function that returns its answer, or raises."""
        self._questions = questions
        self._answer_s = answer_s
        self._asked: dict[str, tuple[Future[Any], float]] = {}
        self._lock = threading.Lock()

    def ask(self) -> Answers:
        """Return within `answer_s` what the parts answer until then."""
        with self._lock:
            asked = {name: self._ask(name) for name in self._questions}
        wait([future for future, _ in asked.values()], self._answer_s)
        faults = {name: fault for name, own in asked.items() if (fault := _find_fault(*own))}
        values = {name: own[0].result() for name, own in asked.items() if name not in faults}
        return Answers(values, faults)

    def _ask(self, name: str) -> tuple[Future[Any], float]:
        """Return the open question to a part, or a new one, and when it was asked."""
        known = self._asked.get(name)
        if known is None or known[0].done():
            known = Future[Any](), time.monotonic()
            self._asked[name] = known
            work = (known[0], self._questions[name])
            threading.Thread(target=_answer, args=work, daemon=True, name=f"ask-{name}").start()
        return known


class NoAnswerError(Exception):
    """A question was not answered in time."""


class ShortQuestions:
    """Asks questions for whose answers nobody waits long; a few may be open at once."""

    def __init__(self, answer_s: float, most: int = 8) -> None:
        """Take how long to wait for an answer, and how many threads may wait for theirs."""
        self._answer_s = answer_s
        self._free = threading.BoundedSemaphore(most)

    def ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Return the answer, or raise what the question raises; NoAnswerError."""
        if not self._free.acquire(blocking=False):
            raise NoAnswerError
        future: Future[_Answer] = Future()

        def ask() -> _Answer:
            try:
                return question()
            finally:
                self._free.release()  # before anybody learns the answer, and asks again

        threading.Thread(target=_answer, args=(future, ask), daemon=True).start()
        wait([future], self._answer_s)
        if not future.done():
            raise NoAnswerError
        return future.result()


def _answer(future: "Future[Any]", question: Ping) -> None:
    try:
        future.set_result(question())
    except Exception as error:  # noqa: BLE001 - health reports every error, and goes on
        future.set_exception(error)


def _find_fault(future: "Future[Any]", asked_at: float) -> str | None:
    if not future.done():
        return f"no answer for {time.monotonic() - asked_at:.1f} s"
    error = future.exception()
    return (str(error) or type(error).__name__) if error else None
