"""Every page asks for a sign-in, unless its view is marked `login_not_required`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase, JsonResponse

Next = Callable[[HttpRequest], HttpResponseBase]


class SignInMiddleware:
    """Nobody learns whether an object exists: the answer to a stranger at the door depends on the address only.

    A page leads to the log-in and back. A script (fetch, htmx, an upload) gets 401, with which it can say so. The API
    has its own keys and errors.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        if not getattr(view, "login_required", True) or request.path_info.startswith("/api/"):
            return None
        if request.user.is_authenticated:
            return None
        if _is_page(request):
            return redirect_to_login(request.get_full_path() if request.method in ("GET", "HEAD") else "/")
        text = "You are signed out. Sign in and try again."
        return JsonResponse({"error": {"code": "signed_out", "message": text}}, status=401)


def _is_page(request: HttpRequest) -> bool:
    return (
        request.method in ("GET", "HEAD", "POST")
        and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        and "HX-Request" not in request.headers
    )
