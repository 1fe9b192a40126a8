"""Where a message may lead."""

import pytest

from push_blaster.domain.delivery.deep_link import LinkPolicy, write_in_ascii

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
        ("https://ex\u0430mple.com", "leads to 'xn--exmple-4nf.com'"),
        ("https://example.com\u3002evil.example", "leads to 'example.com.evil.example'"),
        ("https://exa\u2100mple.com", "is no URL"),
        ("https://example.com\uff20evil.example", "is no URL"),
        ("https://\u202eexample.com", "is no URL"),
        ("https://m\u00fc@example.com/", "a user before it"),
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


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("https://example.com/plain?a=%20b#c", "https://example.com/plain?a=%20b#c"),
        (
            "https://example.com/straße/Köln?q=木#ü",
            "https://example.com/stra%C3%9Fe/K%C3%B6ln?q=%E6%9C%A8#%C3%BC",
        ),
        ("https://straße.example:8443/a", "https://xn--strae-oqa.example:8443/a"),
        ("https://МОСКВА.example", "https://xn--80adxhks.example"),
        ("app:///größe/100%", "app:///gr%C3%B6%C3%9Fe/100%"),
        ("app:/grün", "app:/gr%C3%BCn"),
    ],
)
def test_letters_beyond_ascii_are_encoded(typed: str, sent: str) -> None:
    policy = LinkPolicy(SCHEMES)

    assert policy.find_fault(typed) is None
    assert write_in_ascii(typed) == sent
    assert write_in_ascii(sent) == sent
    assert policy.find_fault(sent) is None


@pytest.mark.parametrize("allowed", ["müller.example", "xn--mller-kva.example"])
def test_an_allowed_host_may_be_written_either_way(allowed: str) -> None:
    policy = LinkPolicy(hosts=frozenset({allowed}))

    assert policy.find_fault("https://shop.müller.example/a") is None
    assert policy.find_fault("https://xn--mller-kva.example/a") is None
    assert policy.find_fault("https://muller.example/a") is not None


def test_without_a_list_of_hosts_every_host_is_allowed() -> None:
    assert LinkPolicy(SCHEMES).find_fault("https://anywhere.example") is None
