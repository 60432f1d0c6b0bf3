"""Limits on request bodies, and error pages that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from studio.core.errors import method_not_allowed, store_away
from studio.core.stores import StoreError

log = logging.getLogger(__name__)
Next = Callable[[HttpRequest], HttpResponse]


class BodyLimitMiddleware:
    """Refuses a request that announces more than MAX_BODY_BYTES before anything reads it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            size = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            size = settings.MAX_BODY_BYTES + 1
        if size > settings.MAX_BODY_BYTES:
            text = f"The request is larger than {settings.MAX_BODY_BYTES >> 20} MB. Send large files in chunks."
            return JsonResponse({"error": {"code": "too_large", "message": text}}, status=413)
        return self.get_response(request)


class FriendlyErrorMiddleware:
    """Adds headers that every answer carries, and words to a refused method of the API."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 405 and request.path_info.startswith("/api/"):
            response = method_not_allowed(request, response.headers.get("Allow", ""))
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A file that cannot be had at present is no fault of the studio; what exactly is wrong is for its log."""
        if not isinstance(error, StoreError):
            return None
        log.warning("%s: %s", request.path, error)
        return store_away(request)
