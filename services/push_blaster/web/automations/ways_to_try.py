"""The ways of trying an automation out: what each runs, and which users it reaches."""

from typing import Final, NamedTuple


class Way(NamedTuple):
    """One way.

    Shape: `gets` are the users who get a message, empty for nobody; `where` is where a person
    finds it.
    """

    name: str
    where: str
    runs_script: bool = False
    checks_audience: bool = False
    gets: str = ""
    reaches_all: bool = False


WAYS: Final = (
    Way("Preview", "Beside the form, and on the page of the automation"),
    Way("Trial of the script", "Scripts: the page of the script", runs_script=True),
    Way("Dry run", "Test: counts who would get it", runs_script=True, checks_audience=True),
    Way("Test dry run", "Test: shows the messages of the test users", runs_script=True),
    Way("Test send", "Test: each push, at once", runs_script=True, gets="test users"),
    Way(
        "Scheduled test",
        "Test: every push, in shortened time",
        runs_script=True,
        gets="test users",
    ),
    Way(
        "Live send",
        "Run now, or the schedule",
        runs_script=True,
        checks_audience=True,
        gets="test users, then the audience",
        reaches_all=True,
    ),
)
