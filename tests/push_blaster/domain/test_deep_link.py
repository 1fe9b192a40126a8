"""Where a message may lead."""

import pytest

from push_blaster.domain.deep_link import find_link_fault

SCHEMES, HOSTS = {"https", "app"}, {"example.com"}


@pytest.mark.parametrize(
    "link",
    ["", "https://example.com", "https://shop.example.com/a?b=c#d", "app://example.com/x"],
)
def test_these_are_allowed(link: str) -> None:
    assert find_link_fault(link, SCHEMES, HOSTS) is None


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
        ("https://[::1", "is no URL"),
    ],
)
def test_these_are_not(link: str, fault: str) -> None:
    found = find_link_fault(link, SCHEMES, HOSTS)

    assert found is not None
    assert fault in found


def test_without_a_list_of_hosts_every_host_is_allowed() -> None:
    assert find_link_fault("https://anywhere.example", SCHEMES, ()) is None
