"""Whether the studio may connect to an address that somebody typed: public ones only, looked up once and held to.

A name is resolved here, every address it has must be public, and whoever connects is given one of them, so that a name
that changes its address between the check and the connection (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from django.conf import settings

MAX_URL_CHARS = 2000


class AddressRefused(Exception):
    """Why an address is not connected to, in words."""


def checked_url(url: str, *, schemes: tuple[str, ...] = ("https",)) -> tuple[str, int, str]:
    """(host, port, one public address of it); AddressRefused for anything that may not be reached."""
    if len(url) > MAX_URL_CHARS or any(ord(c) < 33 or ord(c) == 127 for c in url) or "\\" in url:
        raise AddressRefused("The address has characters that no address has, or is too long.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused(f"This is no address: {error}.") from error
    if parts.scheme not in schemes:
        raise AddressRefused(f"The address has to begin with {' or '.join(f'{s}://' for s in schemes)}.")
    if not host or host.startswith("-"):
        raise AddressRefused("The address names no host.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("Names and passwords do not belong in an address: they would be kept with the version.")
    port = port or {"https": 443, "http": 80}[parts.scheme]
    return host, port, public_address(host, port)


def public_address(host: str, port: int) -> str:
    """One address of the host; AddressRefused if it has none, or any that is not public (unless a setting allows it)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"The host {host[:100]} is not known here.") from error
    addresses = [str(info[4][0]) for info in found]
    if not settings.ALLOW_PRIVATE_ADDRESSES:
        for address in addresses:
            if not is_public(address):
                raise AddressRefused(
                    f"{host[:100]} leads to {address}, which is not on the public internet. An administrator can allow "
                    "such addresses with STUDIO_ALLOW_PRIVATE_ADDRESSES."
                )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether it is a unicast address of the public internet; what wraps an IPv4 address counts as that one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast
