"""Which addresses are this machine's own."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str, *, otherwise: bool = False) -> bool:
    """Whether the IP address `address` is one of loopback, be it as IPv4 mapped into IPv6;
    `otherwise` for what is no IP address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return otherwise
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback
