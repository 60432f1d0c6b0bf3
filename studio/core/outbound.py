"""Requests that the studio sends to addresses which people typed: never into the network around the server.

A name is resolved once, every address of it is looked at, and the connection goes to one that was looked at, so that a
name which changes its mind between the two (DNS rebinding) reaches nothing else. Redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.conf import settings

MAX_URL_CHARS = 2000
MOST_ANSWER_BYTES = 64 << 10
PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundError(Exception):
    """Nothing was sent, or no answer came; the words are for people."""


def checked_url(url: str, schemes: tuple[str, ...] = tuple(PORTS)) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query); OutboundError for another scheme, a password, or what is no address."""
    if len(url) > MAX_URL_CHARS:
        raise OutboundError(f"The address has {len(url):,} characters; at most {MAX_URL_CHARS:,} are taken.")
    if any(ord(c) <= 32 or ord(c) == 127 for c in url) or "\\" in url:
        raise OutboundError("An address may not have spaces, backslashes or control characters in it.")
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise OutboundError(f"{url!r:.200} is no address: {error}.") from error
    if parts.scheme not in schemes or not parts.hostname or parts.hostname.startswith("-"):
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        raise OutboundError(f"{url!r:.200} is not allowed: an address begins with {begins} and has a host.")
    if parts.username is not None or parts.password is not None:
        raise OutboundError("An address may not have a name or a password in it: it is kept and shown.")
    return parts.scheme, parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def public_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host; OutboundError when one of them is not public, unless the settings allow the host.

    `STUDIO_OUTBOUND_HOSTS` names hosts inside the own network that may be reached. One look-up of the name.
    """
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise OutboundError(f"The host {host[:100]} is not known.") from error
    addresses = [str(address) for address in dict.fromkeys(found)]
    if host.lower() not in settings.OUTBOUND_HOSTS:
        for address in addresses:
            if not is_public(address):
                raise OutboundError(
                    f"{host[:100]} is inside the studio's own network, which addresses may not lead to. "
                    "An administrator can allow the host with STUDIO_OUTBOUND_HOSTS."
                )
    return addresses


def is_public(address: str) -> bool:
    """Whether it is a unicast address of the public internet; what wraps an IPv4 address counts as that one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 10.0) -> int:
    """Send `body` once; the status of the answer, which is read up to 64 kB and thrown away. OutboundError without one."""
    with answer_of("POST", url, body, headers, timeout_s=timeout_s) as answer:
        for _ in chunks_of(answer, url, MOST_ANSWER_BYTES):
            break
        return answer.status


@contextmanager
def answer_of(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = 10.0,
    schemes: tuple[str, ...] = tuple(PORTS),
) -> Iterator[http.client.HTTPResponse]:
    """One request, and its answer to read within the context; `timeout_s` is how long the other side may be silent."""
    scheme, host, port, path = checked_url(url, schemes)
    address = public_addresses(host, port)[0]
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        try:
            connection.sock = socket.create_connection((address, port), timeout=timeout_s)
            if scheme == "https":
                trusted = ssl.create_default_context(cafile=settings.CA_FILE or None)
                connection.sock = trusted.wrap_socket(connection.sock, server_hostname=host)
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise OutboundError(f"{host} did not answer: {error or type(error).__name__}.") from error
        yield answer
    finally:
        connection.close()


def chunks_of(answer: http.client.HTTPResponse, url: str, size_bytes: int = 1 << 20) -> Iterator[bytes]:
    """What an answer holds, piece by piece; OutboundError when it breaks off."""
    awaited = answer.length
    try:
        while chunk := answer.read(size_bytes):
            awaited = None if awaited is None else awaited - len(chunk)
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise OutboundError(f"{urlsplit(url).hostname} broke off: {error or type(error).__name__}.") from error
    if awaited:
        raise OutboundError(f"{urlsplit(url).hostname} broke off with {awaited:,} bytes to come.")
