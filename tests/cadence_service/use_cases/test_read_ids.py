from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from cadence_service.use_cases.filter_audience import _UUID, read_ids

IDS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: str(u).upper()),
    st.uuids().map(lambda u: u.hex),
    st.text(max_size=40),
    st.text(alphabet="0123456789abcdefABCDEF- ", min_size=36, max_size=36),
)
A = "a11ce000-0000-4000-8000-000000000001"


@given(st.lists(IDS, min_size=1, max_size=8))
@example([A, A.upper()])
@example([A, A[:-2] + "  "])
@example([A[:-1] + "-", A])
@example([A, "a11ce000--000-4000-8000-000000000001"])
@example([A[:35], A + "0"])
@example(["İ" + A[1:], A])
def test_reading_at_once_and_one_by_one_agree(ids: list[str]) -> None:
    asked = read_ids(ids)

    valid = [text for text in ids if _UUID.fullmatch(text)]
    expected: dict[str, str] = {}
    for text in valid:
        expected.setdefault(text.lower(), text)
    assert asked.valid == expected
    assert list(asked.valid) == list(expected)
    assert asked.invalid == len(set(ids) - set(valid))
    assert all(str(UUID(canonical)) == canonical for canonical in asked.valid)
