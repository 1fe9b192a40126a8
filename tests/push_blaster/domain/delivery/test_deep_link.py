"""Where a message may lead."""

import pytest

from push_blaster.domain.delivery.deep_link import LinkPolicy

SCHEMES, HOSTS = frozenset({"https", "app"}), frozenset({"example.com"})


@pytest.mark.parametrize(
    "link",
    [
        "",
        "https://example.com",
        "https://shop.example.com/a?b=c#d",
        "app://example.com/x",
        "app:///home",
        "app:///orders/7?from=push#top",
        "app:/home",
    ],
)
def test_these_are_allowed(link: str) -> None:
    assert LinkPolicy(SCHEMES, HOSTS).find_fault(link) is None


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("javascript://example.com/%0aalert(1)", "scheme 'javascript'"),
        ("http://example.com", "scheme 'http'"),
        ("//example.com", "scheme ''"),
        ("https://example.com@evil.example", "a user before it"),
        ("https://evil.example/example.com", "leads to 'evil.example'"),
        ("https://notexample.com", "leads to 'notexample.com'"),
        ("https://example.com.evil.example", "leads to"),
        ("https://example.com\\@evil.example", "backslashes"),
        ("https://exam\nple.com", "control characters"),
        ("https://ex\u0430mple.com", "not ASCII"),
        ("https:///path", "names no host"),
        ("https:/path", "names no host"),
        ("other:///home", "scheme 'other'"),
        ("app://me@/home", "a user before it"),
        ("app://evil.example/home", "leads to 'evil.example'"),
        ("app:alert(1)", "names no host"),
        ("https://[::1", "is no URL"),
    ],
)
def test_these_are_not(link: str, fault: str) -> None:
    found = LinkPolicy(SCHEMES, HOSTS).find_fault(link)

    assert found is not None
    assert fault in found


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("http://[[var:host]]/a", "scheme 'http'"),
        ("https://evil.example/[[var:path]]", "leads to 'evil.example'"),
        ("javascript:[[var:code]]", "scheme 'javascript'"),
    ],
)
def test_what_is_written_around_placeholders_is_checked_at_once(link: str, fault: str) -> None:
    found = LinkPolicy(SCHEMES, HOSTS).find_fault_as_written(link)

    assert found is not None
    assert fault in found


@pytest.mark.parametrize(
    "link", ["[[var:link]]", "https://[[var:host|a.b/c:d]]/x", "https://example.com/[[var:a|:/b]]"]
)
def test_what_placeholders_decide_is_left_to_the_user(link: str) -> None:
    assert LinkPolicy(SCHEMES, HOSTS).find_fault_as_written(link) is None


def test_without_a_list_of_hosts_every_host_is_allowed() -> None:
    assert LinkPolicy(SCHEMES).find_fault("https://anywhere.example") is None
