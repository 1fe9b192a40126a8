"""Errors in words, without the names that only programmers know."""

import re
from typing import Final

#: Errors whose message alone says too little; the message is put in.
_SENTENCES: Final = {
    "AssertionError": "something that must hold does not hold: {}",
    "KeyError": "there is no {}",
    "MemoryError": "the memory is used up",
    "NameError": "{}",
    "RecursionError": "a function calls itself too often",
    "UnicodeDecodeError": "a text is not in the expected encoding: {}",
    "ZeroDivisionError": "a number is divided by zero",
}
_ERRNO: Final = re.compile(r"^\[Errno \d+\] ")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
MAX_WORDS: Final = 300


def explain_error(error: BaseException) -> str:
    """Return what went wrong."""
    return explain(type(error).__name__, str(error))


def explain(name: str, message: str) -> str:
    """Return what went wrong, from the name of an error and its message."""
    name, message = name.rpartition(".")[2], _ERRNO.sub("", message.strip())
    sentence = _SENTENCES.get(name, "{}")
    if not message and "{}" in sentence:
        return _spell(name)
    text = sentence.format(message)
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}…"


def spell_name(error: BaseException) -> str:
    """Return the name of an error as words: `ReadTimeout` is `read timeout`."""
    return _spell(type(error).__name__)


def _spell(name: str) -> str:
    return " ".join(_CAPITAL.split(name.strip("_"))).replace("_", " ").lower()
