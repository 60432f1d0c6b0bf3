"""The address of the web server: the listening socket, the names it answers to, and its health."""

from __future__ import annotations

import errno
import http.client
import socket

from django.conf import settings

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - and how this machine reaches itself


class AddressError(Exception):
    """The address cannot be listened on; the text says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that all web processes share; AddressError when the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(512)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise AddressError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Choose another with --port {port % 65535 + 1}, or any free one with --port 0."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose one above 1023, such as --port 8000."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --host or --port."


def public_url(host: str, port: int) -> str:
    """The address people open: STUDIO_PUBLIC_URL if it is set, else made of host and port."""
    if settings.PUBLIC_URL_GIVEN:
        return str(settings.PUBLIC_URL)
    name = socket.gethostname() if host in EVERYWHERE else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def allowed_hosts(host: str) -> list[str]:
    """Names under which the web processes answer: those of the settings, and the host's own."""
    names = [*settings.ALLOWED_HOSTS, f"[{host}]" if ":" in host else host]
    if host in EVERYWHERE:
        import psutil

        addresses = [address for found in psutil.net_if_addrs().values() for address in found]
        names = [*settings.ALLOWED_HOSTS, socket.gethostname()]
        names += [address.address for address in addresses if address.family == socket.AF_INET]
    return list(dict.fromkeys(names))


def health_status(host: str, port: int, timeout_s: float = 2.0) -> int:
    """HTTP status of the health page there: 200 is well, 0 no answer."""
    connection = http.client.HTTPConnection(EVERYWHERE.get(host, host), port, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
