"""Why a script failed, in words, from its last output; and this output, with own lines marked."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from push_blaster.domain.error_words import MAX_WORDS, explain

#: What stands between the sentence and the output in the text of a failure.
LAST_WORDS: Final = "Its last words:"
_FRAME: Final = re.compile(r'\s+File "(?P<path>[^"]+)", line (?P<line>\d+)')
_ERROR: Final = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")


class OutputLine(NamedTuple):
    """A line of output; `is_own` marks what a traceback says of the script itself."""

    text: str
    is_own: bool = False


class Failure(NamedTuple):
    """The sentence of a failure, the output below it, and the line of the script that failed."""

    sentence: str
    output: Sequence[OutputLine] = ()
    line: int | None = None


def describe_failure(file_name: str, how: str, lines: Sequence[str]) -> str:
    """Return the text of a failure: a sentence in words, and then the last lines of output.

    Shape: `how` is the end of the script, such as `The script 'users' ended with exit code 1`.
    """
    line, cause = _find_line(lines, file_name), _find_cause(lines)
    sentence = f"{how} in line {line}" if line else how
    sentence += f": {cause.rstrip('.')}." if cause else "."
    return "\n".join([f"{sentence} {LAST_WORDS}", *(lines or ["(it said nothing)"])])


def read_failure(text: str, file_name: str = "") -> Failure:
    """Return the parts of the text of a failure; other texts have only the sentence."""
    sentence, *lines = text.splitlines() or [""]
    sentence = sentence.removesuffix(LAST_WORDS).rstrip()
    return Failure(sentence, list(_mark_own(lines, file_name)), _find_line(lines, file_name))


def _find_line(lines: Sequence[str], file_name: str) -> int | None:
    """Return the innermost line of the script in the last traceback."""
    frames = [frame for line in lines if (frame := _FRAME.match(line))]
    own = [int(frame["line"]) for frame in frames if _is_own(frame["path"], file_name)]
    return own[-1] if own else None


def _find_cause(lines: Sequence[str]) -> str:
    """Return why the script failed: the error below the last traceback, or the last line."""
    places = [number for number, line in enumerate(lines) if _FRAME.match(line)]
    below = [line for line in lines[places[-1] :] if line[:1].strip()] if places else []
    error = _ERROR.match(below[0]) if below else None
    if error:
        return explain(error["name"], error["message"] or "")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:MAX_WORDS] if said else ""


def _mark_own(lines: Sequence[str], file_name: str) -> Iterator[OutputLine]:
    is_own = False
    for line in lines:
        frame = _FRAME.match(line)
        if frame:
            is_own = _is_own(frame["path"], file_name)
        elif line[:1].strip():
            is_own = False
        yield OutputLine(line, is_own)


def _is_own(path: str, file_name: str) -> bool:
    return path.rpartition("/")[2] == file_name
