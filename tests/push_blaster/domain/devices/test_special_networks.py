"""No message leaves for a special-purpose network, however its address is written."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network

import pytest

from push_blaster.domain.devices.device import may_reach

#: The registries of IANA: iana-ipv4-special-registry and multicast.
IPV4: tuple[str, ...] = (
    *("0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32"),
    *("192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24"),
    *("192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16"),
    *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
    *("255.255.255.255/32", "224.0.0.0/4", "169.254.169.254/32"),
)
#: iana-ipv6-special-registry, multicast, and networks that were special once.
IPV6: tuple[str, ...] = (
    *("::1/128", "::/128", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64"),
    *("100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128"),
    *("2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28"),
    *("2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48"),
    *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "3ffe::/16"),
    *("4000::/3", "e000::/4", "0400::/6"),
)
PRIVATE = tuple(IPv4Network(network)[0] for network in IPV4)


def _ends(network: str) -> set[str]:
    whole = ip_network(network)
    return {str(whole[0]), str(whole[whole.num_addresses // 2]), str(whole[-1])}


def _embed(ipv4: IPv4Address) -> dict[str, int]:
    """Return the IPv4 address in every form in which IPv6 can hold one."""
    number = int(ipv4)
    isatap = 0x2A00_1450_4001_0800 << 64
    return {
        "mapped": 0xFFFF << 32 | number,
        "translated": 0xFFFF << 48 | number,
        "compatible": number,
        "6to4": 0x2002 << 112 | number << 80 | 1,
        "teredo server": 0x2001_0000 << 96 | number << 64,
        "teredo client": 0x2001_0000 << 96 | 0x0808_0808 << 64 | number ^ 0xFFFF_FFFF,
        "nat64": 0x64_FF9B << 96 | number,
        "local nat64, /96": 0x64_FF9B_0001 << 80 | number,
        "local nat64, /48": 0x64_FF9B_0001 << 80 | (number >> 16) << 64 | (number & 0xFFFF) << 40,
        "isatap": isatap | 0x0000_5EFE << 32 | number,
        "isatap, universal": isatap | 0x0200_5EFE << 32 | number,
    }


@pytest.mark.parametrize("network", [*IPV4, *IPV6])
def test_a_special_network_is_not_reached_from_its_first_address_to_its_last(network: str) -> None:
    assert [address for address in _ends(network) if may_reach(address, [])] == []


@pytest.mark.parametrize("form", list(_embed(IPv4Address(0))))
def test_a_private_ipv4_address_within_ipv6_is_not_reached(form: str) -> None:
    inside = [str(IPv6Address(_embed(address)[form])) for address in PRIVATE]

    assert [address for address in inside if may_reach(address, [])] == []


@pytest.mark.parametrize(
    ("form", "is_reached"),
    [("mapped", True), ("nat64", True), ("isatap", True), ("6to4", False), ("compatible", False)],
)
def test_a_public_ipv4_address_is_reached_only_in_the_forms_that_are_in_use(
    form: str, is_reached: bool
) -> None:
    address = IPv6Address(_embed(IPv4Address("8.8.8.8"))[form])

    assert may_reach(str(address), []) is is_reached


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.32.0.0"),
        *("192.0.1.0", "198.20.0.0", "223.255.255.255", "2001:200::1", "2606:4700::1111"),
        *("2a00:1450:4001:800::2003", "3ffd:ffff::1", "2003::1"),
    ],
)
def test_the_neighbours_of_special_networks_are_reached(address: str) -> None:
    assert may_reach(address, [])


def test_a_network_that_is_named_is_reached_with_its_own_family_only() -> None:
    allowed = [ip_network("64:ff9b:1::/48"), ip_network("10.1.0.0/16")]

    assert may_reach("64:ff9b:1::8.8.8.8", allowed)
    assert may_reach("64:ff9b::10.1.0.1", allowed)
    assert not may_reach("2002:0a01:0001::1", allowed)
