"""Refuses IP addresses that are not public, in addition to ``requests-hardened``.

``requests-hardened`` refuses private and multicast addresses, as :mod:`ipaddress`
defines them, and some special networks. It accepts every other IPv6 address, allocated
or not, and the public addresses at which clouds offer services to their own machines.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: The only addresses that IANA allocates as global unicast (RFC 4291, "IPv6 Global
#: Unicast Address Assignments"). Outside are the retired site-local (``fec0::/10``) and
#: IPv4-compatible (``::/96``) ones, NAT64, unique local, link-local and multicast.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: Networks that look public and are not. The IPv6 networks embed IPv4 addresses, which
#: may be private.
_SPECIAL: tuple[IPv4Network | IPv6Network, ...] = (
    # IETF protocol assignments (RFC 2928), Teredo among them.
    IPv6Network("2001::/23"),
    # 6to4 (RFC 3056).
    IPv6Network("2002::/16"),
    # Azure's metadata and wire server:
    # learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    IPv4Network("168.63.129.16/32"),
)


def is_special(address: str) -> bool:
    """Return whether images and keys must not be sent to a numeric address.

    :param address: an IPv6 address may have brackets and a zone.
    :raises ValueError: if *address* is not a numeric address.
    """
    number: IPv4Address | IPv6Address = ip_address(address.strip("[]"))
    if isinstance(number, IPv6Address):
        if number.ipv4_mapped is not None:
            return is_special(str(number.ipv4_mapped))
        if number.scope_id is not None or number not in _GLOBAL_UNICAST:
            return True
    return any(number in network for network in _SPECIAL)
