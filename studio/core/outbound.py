"""Requests that the studio sends to addresses which people typed: never into the network around the server.

A name is resolved once, every address of it is looked at, and the connection goes to one that was looked at, so that a
name which changes its mind between the two reaches nothing else. Redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings

MOST_ANSWER_BYTES = 64 << 10
PORTS = {"http": 80, "https": 443}


class OutboundError(Exception):
    """Nothing was sent, or no answer came; the words are for people."""


def checked_url(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query) of an http or https address; OutboundError for others, or with a password."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise OutboundError(f"{url!r:.200} is no address: {error}.") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise OutboundError(f"{url!r:.200} is not allowed: an address begins with https:// or http:// and has a host.")
    if parts.username is not None or parts.password is not None:
        raise OutboundError("An address may not have a name or a password in it.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(ord(c) <= 32 or ord(c) == 127 for c in parts.hostname + path):
        raise OutboundError("An address may not have spaces or control characters in it.")
    return parts.scheme, parts.hostname, port, path


def public_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host; OutboundError when one of them is not public, unless the settings allow the host.

    `STUDIO_OUTBOUND_HOSTS` names hosts inside the own network that may be reached. One look-up of the name.
    """
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise OutboundError(f"The host {host} is not known.") from error
    addresses = [str(address) for address in dict.fromkeys(found)]
    if host.lower() not in settings.OUTBOUND_HOSTS:
        for address in addresses:
            if not _is_public(address):
                raise OutboundError(
                    f"{host} is inside the studio's own network, which addresses may not lead to. "
                    "An administrator can allow it with STUDIO_OUTBOUND_HOSTS."
                )
    return addresses


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 10.0) -> int:
    """Send `body` once; the status of the answer, which is read up to 64 kB and thrown away. OutboundError without one."""
    scheme, host, port, path = checked_url(url)
    address = public_addresses(host, port)[0]
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        raw = socket.create_connection((address, port), timeout=timeout_s)
        connection.sock = (
            ssl.create_default_context().wrap_socket(raw, server_hostname=host) if scheme == "https" else raw
        )
        connection.request("POST", path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        answer.read(MOST_ANSWER_BYTES)
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        raise OutboundError(f"{host} did not answer: {error or type(error).__name__}.") from error
    finally:
        connection.close()


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return (mapped or ip).is_global and not ip.is_multicast and not (mapped or ip).is_multicast
