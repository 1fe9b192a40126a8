"""Who a person is and what the person may do, by the claims of an identity provider."""

from typing import Any

import pytest

from push_blaster.domain.access.person import (
    BadIdentityError,
    Identity,
    RoleRules,
    label_candidates,
    read_identity,
)
from push_blaster.domain.access.sign_in_attempt import SignInAttempt

RULES = {"push-admins": "admin", "marketing": "operator", "everybody": "viewer"}


def read(claim: str = "roles", **claims: Any) -> Identity:
    rules = RoleRules(claim=claim, roles=RULES)
    return read_identity("https://id.example.com", {"sub": "1", **claims}, rules)


@pytest.mark.parametrize(
    ("value", "role"),
    [
        ("marketing", "operator"),
        (["everybody", "marketing"], "operator"),
        (["push-admins", "everybody"], "admin"),
        ({"everybody": {"in": "x"}}, "viewer"),
        (["Push-Admins", "admin", None, 7, ["push-admins"]], None),
        ("push-admins everybody", None),
        (None, None),
        (True, None),
    ],
)
def test_the_greatest_role_of_the_claim_counts(value: object, role: str | None) -> None:
    assert read(roles=value).role == role


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["marketing"]}}),
        ("https://example.com/roles", {"https://example.com/roles": ["marketing"]}),
        ("a.b", {"a.b": "marketing", "a": {"b": "push-admins"}}),
        ("a.b.c", {"a": {"b": {"c": "marketing"}}}),
    ],
)
def test_a_claim_may_lie_within_objects_or_have_a_dotted_name(
    claim: str, claims: dict[str, Any]
) -> None:
    assert read(claim, **claims).role == "operator"


@pytest.mark.parametrize("claims", [{"a": "marketing"}, {"a": ["b"]}, {"a": None}, {}])
def test_a_path_that_leads_nowhere_gives_no_role(claims: dict[str, Any]) -> None:
    assert read("a.b", **claims).role is None


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 256, "a\x00b"])
def test_nobody_is_somebody_without_a_subject(subject: object) -> None:
    with pytest.raises(BadIdentityError, match="sub"):
        read(sub=subject)


@pytest.mark.parametrize(
    ("claims", "label"),
    [
        ({"name": "Anna", "email": "a@x.org"}, "Anna (a@x.org)"),
        ({"name": " An\u202ena\n\u200b B ", "email": "a@x.org"}, "Anna B (a@x.org)"),
        ({"preferred_username": "anna", "email": "a@x.org"}, "anna (a@x.org)"),
        ({"email": "a@x.org"}, "a@x.org"),
        ({"name": "a@x.org", "email": "a@x.org"}, "a@x.org"),
        ({"name": "Anna", "email": "a@x.org", "email_verified": False}, "Anna (id 1)"),
        ({"name": "Anna", "email": "a@x.org", "email_verified": "false"}, "Anna (id 1)"),
        ({"name": "Anna", "email": "no address"}, "Anna (id 1)"),
        ({"name": "admin"}, "admin (id 1)"),
        ({"name": 7, "email": ["a@x.org"]}, "id 1"),
        ({"name": "A" * 500, "email": "a@x.org"}, f"{'A' * 80} (a@x.org)"),
    ],
)
def test_a_label_has_a_name_and_what_tells_it_from_tokens(
    claims: dict[str, Any], label: str
) -> None:
    candidates = list(label_candidates(read(**claims), 5))

    assert candidates[0] == label
    assert len(set(candidates)) == 3
    assert all(" " in one or "@" in one for one in candidates)


def test_what_an_attempt_shows_does_not_tell_its_secret_or_the_rest() -> None:
    attempt, other = SignInAttempt("secret"), SignInAttempt("secreu")
    shown = {attempt.state, attempt.nonce, attempt.verifier, other.state, other.nonce}

    assert len(shown) == 5
    assert {len(text) for text in shown} == {43}
