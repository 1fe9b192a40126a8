"""Networks that are not the public internet, and IPv4 addresses within IPv6 addresses.

Source: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890), multicast,
and networks that were special once. The list is ours, because what Python calls global depends on
its version, and because no receiver of messages is in any of these networks.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

SPECIAL_IPV4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a provider's NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; the metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
#: The only addresses of IPv6 that are given out to networks of the internet.
GLOBAL_IPV6: Final = IPv6Network("2000::/3")
SPECIAL_IPV6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, AMT, ORCHID, drones and others
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "2620:4f:8000::/48",  # AS112
            "3ffe::/16",  # the 6bone
            "3fff::/20",  # documentation
        ),
    )
)
#: In these, the address is an IPv4 address, and it decides alone.
_IS_IPV4: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
_ISATAP: Final = {0x0000_5EFE, 0x0200_5EFE}
_LAST_32_BITS: Final = 0xFFFF_FFFF


def is_special(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address is in no network of the public internet."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in SPECIAL_IPV4)
    return address not in GLOBAL_IPV6 or any(address in network for network in SPECIAL_IPV6)


def find_meant(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield every address that a connection to `address` may reach in the end."""
    if isinstance(address, IPv4Address):
        yield address
        return
    last = IPv4Address(int(address) & _LAST_32_BITS)
    if any(address in network for network in _IS_IPV4):
        yield last
        return
    yield address
    if int(address) >> 32 & _LAST_32_BITS in _ISATAP:
        yield last
