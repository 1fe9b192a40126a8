from ipaddress import ip_network

import pytest

from push_blaster.domain.devices.device import find_push_host_fault, may_reach


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - it is looked at, and bound to nothing
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::8.8.8.8", True),
        ("2002:0a00:0001::1", False),
    ],
)
def test_only_public_addresses_may_be_reached(address: str, is_public: bool) -> None:
    assert may_reach(address, []) is is_public


def test_a_private_network_that_is_named_may_be_reached_and_no_other() -> None:
    allowed = [ip_network("10.1.0.0/16")]

    assert may_reach("10.1.2.3", allowed)
    assert may_reach("::ffff:10.1.2.3", allowed)
    assert not may_reach("10.2.0.1", allowed)


def test_a_star_stands_for_every_name_below_and_not_for_the_name_itself() -> None:
    hosts = ["*.push.example", "one.example"]

    assert find_push_host_fault("https://a.b.push.example/x", hosts) is None
    assert find_push_host_fault("https://ONE.example:8443/x", hosts) is None
    for other in ("push.example", "evilpush.example", "one.example.evil", "two.one.example"):
        assert find_push_host_fault(f"https://{other}/x", hosts)
