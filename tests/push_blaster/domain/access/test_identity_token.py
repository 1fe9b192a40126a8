"""What the claims of an identity token have to say."""

from datetime import timedelta
from typing import Any

import pytest

from push_blaster.domain.access.identity_token import IdentityTokenError, TokenFault, read_user
from tests.builders import NOON
from tests.people import ALICE

NOW = NOON.timestamp()
GOOD = {"sub": str(ALICE), "exp": NOW + 600}


@pytest.mark.parametrize(
    "claims",
    [
        GOOD,
        {**GOOD, "sub": str(ALICE).upper()},
        {**GOOD, "exp": NOW - 59.5},
        {**GOOD, "exp": int(NOW + 3_660)},
        {**GOOD, "iat": NOW + 60, "nbf": NOW + 60},
        {**GOOD, "iat": None, "nbf": None},
        {**GOOD, "aud": ["push"], "iss": "shop", "jti": 7, "name": "Alice"},
    ],
    ids=["usual", "capitals", "60 s late", "60 s more", "60 s early", "null", "other claims"],
)
def test_a_token_names_its_user(claims: dict[str, Any]) -> None:
    assert read_user(claims, NOON) == ALICE


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({"exp": NOW - 60}, TokenFault.EXPIRED),
        ({"exp": -1}, TokenFault.EXPIRED),
        ({"exp": NOW + 3_661}, TokenFault.TOO_LONG),
        ({"exp": 10**400}, TokenFault.NO_EXPIRY),
        ({"exp": None}, TokenFault.NO_EXPIRY),
        ({"exp": True}, TokenFault.NO_EXPIRY),
        ({"exp": str(NOW + 600)}, TokenFault.NO_EXPIRY),
        ({"exp": float("inf")}, TokenFault.NO_EXPIRY),
        ({"exp": float("nan")}, TokenFault.NO_EXPIRY),
        ({"exp": (NOW + 600) * 1_000}, TokenFault.TOO_LONG),
        ({"nbf": NOW + 61}, TokenFault.NOT_YET),
        ({"iat": NOW + 61}, TokenFault.NOT_YET),
        ({"iat": "today"}, TokenFault.NOT_YET),
        ({"sub": None}, TokenFault.NO_SUBJECT),
        ({"sub": ""}, TokenFault.NO_SUBJECT),
        ({"sub": "alice"}, TokenFault.BAD_SUBJECT),
        ({"sub": 7}, TokenFault.BAD_SUBJECT),
        ({"sub": [str(ALICE)]}, TokenFault.BAD_SUBJECT),
        ({"sub": f" {ALICE}"}, TokenFault.BAD_SUBJECT),
        ({"sub": f"urn:uuid:{ALICE}"}, TokenFault.BAD_SUBJECT),
        ({"sub": ALICE.hex}, TokenFault.BAD_SUBJECT),
    ],
)
def test_a_claim_that_does_not_fit_is_refused_by_its_own_word(
    claims: dict[str, Any], fault: TokenFault
) -> None:
    with pytest.raises(IdentityTokenError) as refused:
        read_user(GOOD | claims, NOON)

    assert refused.value.fault is fault


def test_the_expiry_counts_first_and_then_the_begin() -> None:
    wrong = {"sub": "alice", "exp": NOW - 3_600, "nbf": (NOON + timedelta(days=1)).timestamp()}

    with pytest.raises(IdentityTokenError) as refused:
        read_user(wrong, NOON)

    assert refused.value.fault is TokenFault.EXPIRED
