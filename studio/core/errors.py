"""Error pages: a plain sentence and a way on, never a traceback."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

TEXTS: dict[int | str, tuple[str, str]] = {
    400: ("bad_request", "That request could not be understood."),
    403: ("forbidden", "Your role does not allow this. Ask an administrator of the team."),
    "csrf": ("forbidden", "This page was open for too long, or came from elsewhere. Reload it and send it again."),
    404: ("not_found", "There is nothing here, or it is not shared with you."),
    503: ("store_away", "The store that has this file does not answer, or is still waiting for it. Try again soon."),
    500: ("server_error", "Something went wrong here. Nothing was lost; the error is in the studio's log."),
}


def _answer(request: HttpRequest, status: int, kind: int | str = "") -> HttpResponse:
    code, text = TEXTS[kind or status]
    if request.path.startswith("/api/"):
        return JsonResponse({"error": {"code": code, "message": text}}, status=status)
    return render(request, "core/error.html", {"status": status, "text": text}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, 403, "csrf")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404)


def method_not_allowed(request: HttpRequest, allowed: str) -> JsonResponse:
    text = f"{request.method} is not possible here; allowed is {allowed}."
    return JsonResponse({"error": {"code": "method", "message": text}}, status=405, headers={"Allow": allowed})


def store_away(request: HttpRequest) -> HttpResponse:
    return _answer(request, 503)


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, 500)
