"""Why a script failed, in words."""

import pytest

from push_blaster.domain.audiences.script_failure import describe_failure, read_failure

HOW = "The script 'users' ended with exit code 1"
KEY_ERROR = """Traceback (most recent call last):
  File "/data/scripts/users.py", line 12, in <module>
    main()
  File "/data/scripts/users.py", line 9, in main
    write(row["city"])
          ~~~^^^^^^^^
  File "/usr/lib/python3.11/csv.py", line 100, in __getitem__
    raise KeyError(name)
KeyError: 'city'"""
CHAINED = """Traceback (most recent call last):
  File "/data/scripts/users.py", line 3, in <module>
    open("x")
FileNotFoundError: [Errno 2] No such file or directory: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/data/scripts/users.py", line 5, in <module>
    raise shop.NoRowsError
shop.NoRowsError"""
SYNTAX = """  File "/data/scripts/users.py", line 2
    def x(:
          ^
SyntaxError: invalid syntax"""
LONG = "ValueError: " + "x" * 400


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (KEY_ERROR, f"{HOW} in line 9: there is no 'city'."),
        (CHAINED, f"{HOW} in line 5: no rows error."),
        (SYNTAX, f"{HOW} in line 2: invalid syntax."),
        ("Loading\nThe shop is closed.", f"{HOW}: The shop is closed."),
        ("", f"{HOW}."),
        (f'  File "/elsewhere/other.py", line 7\n{LONG}', f"{HOW}: {'x' * 300}…."),
        (f"{KEY_ERROR}\nsys:1: ResourceWarning: unclosed", f"{HOW} in line 9: there is no 'city'."),
        ('  File "/data/scripts/users.py", line 1, in <module>', f"{HOW} in line 1: File"),
    ],
)
def test_the_last_error_is_told_in_words_first(output: str, said: str) -> None:
    text = describe_failure("users.py", HOW, output.splitlines())

    assert text.startswith(said)


def test_the_output_is_kept_and_the_lines_of_the_script_are_marked() -> None:
    text = describe_failure("users.py", HOW, KEY_ERROR.splitlines())

    failure = read_failure(text, "users.py")

    assert failure.sentence == f"{HOW} in line 9: there is no 'city'."
    assert failure.line == 9
    assert "\n".join(line.text for line in failure.output) == KEY_ERROR
    assert [number for number, line in enumerate(failure.output) if line.is_own] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("text", ["", "No rows.", "The script wrote 12 MB."])
def test_another_reason_is_only_a_sentence(text: str) -> None:
    assert read_failure(text, "users.py") == (text, [], None)
