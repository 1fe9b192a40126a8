from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cadence_service.domain.user_ids import _UUID, read_bytes, read_texts

IDS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: str(u).upper()),
    st.uuids().map(lambda u: u.hex),
    st.text(max_size=40),
    st.text(alphabet="0123456789abcdefABCDEF- ", min_size=36, max_size=36),
)
A = "a11ce000-0000-4000-8000-000000000001"


@pytest.mark.slow
@given(st.lists(IDS, min_size=1, max_size=8))
@example([A, A.upper()])
@example([A, A[:-2] + "  "])
@example([A[:-1] + "-", A])
@example([A, "a11ce000--000-4000-8000-000000000001"])
@example([A[:35], A + "0"])
@example(["İ" + A[1:], A])
def test_reading_at_once_and_one_by_one_agree(ids: list[str]) -> None:
    asked = read_texts(ids)

    valid = [text for text in ids if _UUID.fullmatch(text)]
    first: dict[UUID, int] = {}
    for position, text in enumerate(ids):
        if text in valid:
            first.setdefault(UUID(text), position)
    assert dict(zip(asked.users, asked.users.positions.tolist(), strict=True)) == first
    assert list(asked.users) == sorted(first)
    assert set(asked.invalid) == set(ids) - set(valid)
    assert asked.count == len(ids)


@pytest.mark.slow
@given(st.lists(st.uuids(), max_size=8))
@example([UUID(int=0), UUID(int=1 << 64), UUID(int=0)])
def test_ids_as_bytes_are_read_as_their_texts_are(ids: list[UUID]) -> None:
    asked = read_bytes(b"".join(user.bytes for user in ids))
    texts = read_texts([str(user) for user in ids])

    assert list(asked.users) == list(texts.users) == sorted(set(ids))
    assert asked.users.positions.tolist() == texts.users.positions.tolist()
    assert [ids[p] for p in asked.find_repeated()] == [
        user for place, user in enumerate(ids) if user in ids[:place]
    ]


def test_half_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="17 bytes are no whole number of 16-byte ids"):
        read_bytes(b"x" * 17)
