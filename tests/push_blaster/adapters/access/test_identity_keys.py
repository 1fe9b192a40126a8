"""Signatures of identity tokens: tokens of PyJWT stand for those of a customer's backend."""

import contextlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from push_blaster.adapters.access.identity_keys import IdentityKeys
from push_blaster.domain.access.identity_token import IdentityTokenError, TokenFault
from tests.builders import NOON
from tests.people import ALICE, BOB

KEY, OLD, OTHER = (f"{name} key of identity tokens for tests" for name in ("new", "old", "other"))
KEYS = IdentityKeys((KEY, OLD))
CLAIMS = {"sub": str(ALICE), "exp": int(NOON.timestamp()) + 600}


def part(content: object) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def signed(header: object, claims: object, key: str = KEY) -> str:
    """Return a token with any header, signed by HMAC-SHA256."""
    text = f"{part(header)}.{part(claims)}"
    proof = hmac.digest(key.encode(), text.encode(), "sha256")
    return f"{text}.{urlsafe_b64encode(proof).rstrip(b'=').decode()}"


def fault_of(token: str, keys: IdentityKeys = KEYS) -> TokenFault:
    with pytest.raises(IdentityTokenError) as refused:
        keys.read(token, NOON)
    return refused.value.fault


@pytest.mark.parametrize("key", [KEY, OLD])
def test_each_key_signs(key: str) -> None:
    assert KEYS.read(jwt.encode(CLAIMS, key, "HS256"), NOON) == ALICE


def test_the_name_of_a_key_in_the_header_does_not_matter() -> None:
    named = jwt.encode(CLAIMS, OLD, "HS256", headers={"kid": "2026-11"})

    assert KEYS.read(named, NOON) == ALICE


@pytest.mark.parametrize("key", [OTHER, KEY[:-1], KEY + "=", OLD.upper()])
def test_another_key_signs_nothing(key: str) -> None:
    assert fault_of(jwt.encode(CLAIMS, key, "HS256")) is TokenFault.SIGNATURE


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {"alg": "HS512"},
        {"alg": "HS384"},
        {"alg": "RS256"},
        {"alg": "hs256"},
        {"typ": "JWT"},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_signed", [True, False])
def test_no_other_algorithm_counts(header: dict[str, str], is_signed: bool) -> None:
    token = signed(header, CLAIMS)

    fault = fault_of(token if is_signed else f"{token.rpartition('.')[0]}.")

    assert fault is TokenFault.ALGORITHM


def test_no_claim_is_told_of_a_token_that_is_not_signed() -> None:
    forged = [jwt.encode({"sub": "x", "exp": 1}, OTHER, "HS256"), signed({"alg": "none"}, {})]

    assert {fault_of(token) for token in forged} == {TokenFault.SIGNATURE, TokenFault.ALGORITHM}


def test_another_user_cannot_be_put_into_a_signed_token() -> None:
    header, _, proof = jwt.encode(CLAIMS, KEY, "HS256").split(".")

    assert fault_of(f"{header}.{part({**CLAIMS, 'sub': str(BOB)})}.{proof}") is TokenFault.SIGNATURE


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "a.b.c.d.e",
        f"{part([])}.{part(CLAIMS)}.x",
        f"{'['.join(['W1s'] * 900)}.{part(CLAIMS)}.x",
        "é.ü.ö",
        f"{part({'alg': 'HS256'})}.{'A' * 5_000}.x",
        signed({"alg": "HS256"}, ["no", "claims"]),
        signed({"alg": "HS256", "crit": ["exp"]}, CLAIMS),
        signed({"alg": 256}, CLAIMS),
    ],
)
def test_what_is_no_token_is_said_to_be_none(token: str) -> None:
    assert fault_of(token) in {TokenFault.MALFORMED, TokenFault.ALGORITHM}


#: Values of a header, or of a claim, that no library of ours would write.
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("crit", [5, True, None, "exp", [1], [[]], [None], {"exp": 1}])
def test_an_odd_header_of_a_stranger_is_only_refused(crit: object) -> None:
    token = signed({"alg": "HS256", "crit": crit}, CLAIMS, OTHER)

    assert fault_of(token) in {TokenFault.MALFORMED, TokenFault.SIGNATURE}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "crit", "kid", "typ", "b64", "zip", "jwk", "x5c"]), ODD
    ),
    claims=st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud"]), ODD),
    key=st.sampled_from([KEY, OTHER]),
)
def test_whatever_a_token_says_it_is_read_or_refused(
    header: dict[str, object], claims: dict[str, object], key: str
) -> None:
    """A signed token with odd claims is no user's; one with odd headers may be the user's own."""
    for named in (header, {**header, "alg": "HS256"}, {"alg": "HS256"}):
        with contextlib.suppress(IdentityTokenError):
            KEYS.read(signed(named, {**CLAIMS, **claims}, key), NOON)


def test_deep_claims_of_a_signed_token_are_refused() -> None:
    deep = "[" * 1_500 + "]" * 1_500
    text = f"{part({'alg': 'HS256'})}.{urlsafe_b64encode(deep.encode()).rstrip(b'=').decode()}"
    proof = hmac.digest(KEY.encode(), text.encode(), "sha256")
    token = f"{text}.{urlsafe_b64encode(proof).rstrip(b'=').decode()}"

    assert fault_of(token) is TokenFault.MALFORMED


def test_the_claims_of_a_signed_token_are_read() -> None:
    late: dict[str, Any] = {**CLAIMS, "exp": int(NOON.timestamp()) - 600}

    assert fault_of(jwt.encode(late, KEY, "HS256")) is TokenFault.EXPIRED


def test_without_a_key_every_token_is_refused() -> None:
    assert fault_of(jwt.encode(CLAIMS, KEY, "HS256"), IdentityKeys(())) is TokenFault.UNUSED
