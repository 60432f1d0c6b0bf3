"""From where a request comes, and where its answer may lead: neither is taken from what a client can forge."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme


def client_address(request: HttpRequest) -> str:
    """The peer's address, or behind a proxy the last one that the proxy added; an IPv6 network of /64 counts as one."""
    text = request.META.get("REMOTE_ADDR") or "local"
    if settings.SECURE_PROXY_SSL_HEADER:
        text = request.META.get("HTTP_X_FORWARDED_FOR", text).rsplit(",", 1)[-1].strip()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def safe_next(request: HttpRequest, given: str | None, default: str) -> str:
    """`given` when it leads to a page of this studio, else the address of the view `default`."""
    if given and url_has_allowed_host_and_scheme(given, allowed_hosts={request.get_host()}, require_https=False):
        return given
    return resolve_url(default)
