"""CSVs as scripts write them: each user gets the text of their own row, or nobody gets any."""

import pytest

from push_blaster.domain.executions.phase import Phase
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench, messages

PUSHES = [{"title": "Hi [[var:first_name|friend]]"}]


def writes(content: bytes, name: bytes = b"people.csv") -> str:
    """Return a script that writes `content` into its folder."""
    return (
        "import os\n"
        f"path = os.fsencode(os.environ['OUTPUT_PATH']) + b'/' + {name!r}\n"
        f"open(path, 'wb').write({content!r})\n"
    )


def titles(bench: Bench) -> dict[str, str]:
    return {message["userId"]: message["title"] for message in messages(bench)}


def test_an_unclosed_quote_greets_nobody_with_the_row_of_another(bench: Bench) -> None:
    bench.write_script(writes(f'user_id,first_name\n{ALICE},"unclosed\n{BOB},T'.encode()))

    execution = bench.run(bench.start(pushes=PUSHES))

    assert execution.phase is Phase.FAILED
    assert "people.csv, line 2: the row that begins here has a quote" in (execution.reason or "")
    assert messages(bench) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"user_id,first_name\n{ALICE},A\0\n".encode(), "line 2: there is a NUL character"),
        (f"user_id,first_name\n{ALICE},A\n".encode("utf-16-le"), "NUL character"),
        (f"user_id,first_name\n{ALICE},é".encode() + b"\xff", "neither UTF-8 nor Windows-1252"),
        (f"user_id,name,Name\n{ALICE},a,b\n".encode(), "the columns 'name' and 'Name'"),
        (f'user_id,first_name\n{ALICE},"A"B\n'.encode(), "line 2: the row that begins here"),
    ],
)
def test_a_file_that_cannot_be_read_fails_its_execution_with_the_reason(
    bench: Bench, content: bytes, says: str
) -> None:
    bench.write_script(writes(content))

    execution = bench.run(bench.start(pushes=PUSHES))

    assert execution.phase is Phase.FAILED
    assert says in (execution.reason or "")
    assert messages(bench) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_everybody_is_greeted_by_name_in_every_usual_form(
    bench: Bench, encoding: str, delimiter: str
) -> None:
    rows = f"User ID,First Name,device_token\n{ALICE},Žofie,a\n\n{BOB},,b\n"
    bench.write_script(writes(rows.replace(",", delimiter).encode(encoding)))

    assert bench.run(bench.start(pushes=PUSHES)).phase is Phase.COMPLETED
    assert titles(bench) == {str(ALICE): "Hi Žofie", str(BOB): "Hi friend"}


def test_rows_without_their_trailing_empty_cells_are_sent_to(bench: Bench) -> None:
    rows = f"user_id,device_token,first_name\n{ALICE},a\n{BOB},b,Bob\n{CAROL},c,C,too many\n"
    bench.write_script(writes(rows.encode()))

    execution = bench.run(bench.start(pushes=PUSHES))

    assert titles(bench) == {str(ALICE): "Hi friend", str(BOB): "Hi Bob"}
    assert "people.csv has 3 rows, 2 valid" in bench.log(execution.id)
    assert "line 4 bad_row: 4 cells, 3 columns" in bench.log(execution.id)


def test_a_guess_at_the_encoding_is_in_the_log_with_a_sample(bench: Bench) -> None:
    rows = f"user_id,device_token,first_name\n{ALICE},a,Jürgen\n"
    bench.write_script(writes(rows.encode("cp1252")))

    execution = bench.run(bench.start(pushes=PUSHES))

    assert titles(bench) == {str(ALICE): "Hi Jürgen"}
    assert "people.csv is not UTF-8 and was read as Windows-1252, for example 'Jürgen'" in (
        bench.log(execution.id)
    )


@pytest.mark.parametrize(
    ("title", "sample"),
    [
        ("Hi [[var:first_name]]", "'Jürgen'"),
        ("Hi [[var:Stadt]]", "'Köln'"),
        ("Hi", "'Straße'"),
    ],
)
def test_the_sample_is_of_a_text_that_the_push_uses_if_there_is_one(
    bench: Bench, title: str, sample: str
) -> None:
    rows = (
        "user_id,device_token,Straße,stadt,First Name\n"
        f"{BOB},b,x,Köln,Bob\n"
        f"{ALICE},a,x,Bonn,Jürgen\n"
    )
    bench.write_script(writes(rows.encode("cp1252")))

    execution = bench.run(bench.start(pushes=[{"title": title}]))

    assert f"for example {sample}." in bench.log(execution.id)


def test_placeholders_have_letters_of_any_script(bench: Bench) -> None:
    bench.write_script(writes(f"user_id,device_token,Имя\n{ALICE},a,Жанна\n".encode()))

    bench.run(bench.start(pushes=[{"title": "Привет, [[var:имя]]"}]))

    assert titles(bench) == {str(ALICE): "Привет, Жанна"}


def test_an_audience_in_another_script_is_given_no_other_file(bench: Bench) -> None:
    content = f"user_id,device_token\n{ALICE},a\n".encode()
    bench.write_script(writes(content, name="покупатели.csv".encode()))

    execution = bench.run(bench.start(pushes=[{"audienceName": "продавцы"}]))

    assert execution.phase is Phase.FAILED
    assert "It wrote: покупатели.csv" in (execution.reason or "")
    assert messages(bench) == []


def test_a_file_name_that_is_no_text_fails_the_script(bench: Bench) -> None:
    bench.write_script(writes(b"user_id\n", name=b"\xff.csv"))

    execution = bench.run(bench.start())

    assert execution.phase is Phase.FAILED
    assert r"a file whose name is no text in UTF-8: b'\xff.csv'" in (execution.reason or "")


def test_a_nul_that_a_script_prints_is_only_a_strange_character_in_the_log(bench: Bench) -> None:
    content = f"user_id,device_token,first_name\n{ALICE},a,A\n".encode()
    bench.write_script(writes(content) + "print('a\\0b')\n")

    execution = bench.run(bench.start())

    assert execution.phase is Phase.COMPLETED
    assert "a\N{REPLACEMENT CHARACTER}b" in bench.log(execution.id)


def test_a_parameter_has_letters_of_any_script_up_to_the_script(bench: Bench) -> None:
    bench.write_script(
        "# parameter first (integer)\n# parameter users (integer)\n"
        "# parameter город (string, required)\n"
        "import os\n"
        "with open(os.path.join(os.environ['OUTPUT_PATH'], 'a.csv'), 'w') as file:\n"
        f"    print('user_id,device_token,city', '{ALICE},a,' + os.environ['PARAM_ГОРОД'],"
        " sep='\\n', file=file)\n"
    )
    pushes = [{"title": "[[var:city]]"}]

    execution = bench.run(bench.start(parameters={"город": "Köln"}, pushes=pushes))

    assert execution.phase is Phase.COMPLETED, execution.reason
    assert titles(bench) == {str(ALICE): "Köln"}
