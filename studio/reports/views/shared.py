"""Pages that a link opens for anybody: they read one thing, know nobody, and answer alike to every wrong address."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from studio.core import limits
from studio.core.addresses import client_address
from studio.core.download import stream_file
from studio.reports import sharing
from studio.reports.forms import PasswordForm
from studio.reports.models import ShareLink
from studio.reports.shared import shown
from studio.reports.svg import picture
from studio.runs import checkpoints, downloads
from studio.runs.models import Checkpoint

MISSES_A_MINUTE, REQUESTS_A_MINUTE = 20, 600
UNLOCKED_S = 12 * 3600
POLL_S = 4
HEADERS = {"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
SALT = "studio.reports.shared"
View = Callable[..., HttpResponseBase]


def by_link(view: View) -> View:
    """Calls `view(request, link, token, …)` when the token opens something and its password, if any, was given."""

    @login_not_required
    @wraps(view)
    def checked(request: HttpRequest, token: str, **kwargs: Any) -> HttpResponseBase:
        response = _checked(request, token, view, kwargs)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    return checked


def _checked(request: HttpRequest, token: str, view: View, kwargs: dict[str, Any]) -> HttpResponseBase:
    link, address = sharing.find(token), client_address(request)
    if link is None:
        return _slower(request, f"shared-misses:{address}", MISSES_A_MINUTE) or _nothing(request)
    if refused := _slower(request, f"shared:{link.pk}:{address}", REQUESTS_A_MINUTE):
        return refused
    if link.password and view is not _unlock and not _is_unlocked(request, link):
        return _locked(request, token, PasswordForm(), 401)
    return view(request, link, token, **kwargs)


@require_safe
@by_link
def shared(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    view, cursor = shown(link)
    if request.method == "GET":
        sharing.count_view(link)
    return render(request, "reports/shared/page.html", _context(link, token, view, cursor))


@require_safe
@by_link
def shared_embed(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    """The page for a frame on the sites that the link names, and on no others; `?theme=light` or `dark` fixes its colours."""
    if not link.embed_on:
        return _nothing(request)
    view, cursor = shown(link)
    if request.method == "GET":
        sharing.count_view(link)
    theme = request.GET.get("theme", "")
    context = {"embed_on": link.embed_on, "theme": theme if theme in ("light", "dark") else "system"}
    response = render(request, "reports/shared/embed.html", _context(link, token, view, cursor) | context)
    response._csp_replace = {"frame-ancestors": link.embed_on}  # type: ignore[attr-defined]
    response.xframe_options_exempt = True  # type: ignore[attr-defined]
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


@require_safe
@by_link
def shared_live(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    """The changing part of the page; 204 while `?cursor=` is what there is."""
    view, cursor = shown(link)
    if request.GET.get("cursor") == cursor:
        return HttpResponse(status=204)
    return render(request, "reports/shared/_body.html", _context(link, token, view, cursor))


@require_safe
@by_link
def shared_series(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    """The numbers of the charts, as JSON: `{"cursor", "charts"}`, see `reports.curves.charts_of`."""
    view, cursor = shown(link)
    return JsonResponse({"cursor": cursor, "charts": view.get("charts", [])})


@require_safe
@by_link
def shared_file(request: HttpRequest, link: ShareLink, token: str, pk: int) -> HttpResponseBase:
    """A checkpoint that the link shows, streamed; a range of it on request."""
    view, _ = shown(link)
    listed = {file["id"] for file in view.get("files", [])}
    found = Checkpoint.objects.filter(pk=pk, deleted_at=None, run__deleted_at=None).select_related("run").first()
    if pk not in listed or found is None or not checkpoints.is_there(found):
        return _nothing(request)
    name = f"run-{found.run.number}-step-{found.step}.ckpt"
    source, digest = downloads.source_of(found), checkpoints.sha256_of(found)
    return stream_file(request, source, name, sha256=digest, still=lambda: sharing.find(token) is not None)


def _unlock(request: HttpRequest, link: ShareLink, token: str) -> HttpResponseBase:
    page = reverse("shared", args=[token])
    if not link.password:
        return redirect(page)
    form = PasswordForm(request.POST)
    if not form.is_valid():
        return _locked(request, token, form, 400)
    answer = sharing.unlock(link, form.cleaned_data["password"], client_address(request))
    if isinstance(answer, timedelta):
        minutes = math.ceil(answer.total_seconds() / 60)
        form.add_error("password", f"Too many tries. Try again in {minutes} minute{'s' if minutes > 1 else ''}.")
        response = _locked(request, token, form, 429)
        response.headers["Retry-After"] = str(math.ceil(answer.total_seconds()))
        return response
    if not answer:
        form.add_error("password", "The password is not right.")
        return _locked(request, token, form, 400)
    response = redirect(page)
    response.set_signed_cookie(
        _cookie(link), link.digest, salt=SALT + link.password, max_age=UNLOCKED_S, path=page, httponly=True,
        secure=settings.HTTPS, samesite="Lax",
    )  # fmt: skip
    return response


# It gives nobody a right over anything of theirs and sets no session, so another site gains nothing by sending it; a
# page that is read without an account has no cookie with which to prove where a form came from.
shared_unlock = csrf_exempt(sensitive_post_parameters("password")(require_POST(by_link(_unlock))))


def _is_unlocked(request: HttpRequest, link: ShareLink) -> bool:
    try:
        given = request.get_signed_cookie(_cookie(link), salt=SALT + link.password, max_age=UNLOCKED_S)
    except (KeyError, signing.BadSignature):
        return False
    return given == link.digest


def _cookie(link: ShareLink) -> str:
    return f"shared_{link.pk}"


def _context(link: ShareLink, token: str, view: dict[str, Any], cursor: str) -> dict[str, Any]:
    """Nothing of the models but dates: what the page shows is in `view`."""
    return {
        "view": view,
        "pictures": [picture(chart) for chart in view.get("charts", [])],
        "cursor": cursor,
        "token": token,
        "pending": view.get("pending", False),
        "frozen_at": link.created_at if link.frozen else None,
        "expires_at": link.expires_at,
        "poll_s": POLL_S,
    }


def _locked(request: HttpRequest, token: str, form: PasswordForm, status: int) -> HttpResponse:
    return render(request, "reports/shared/locked.html", {"form": form, "token": token}, status=status)


def _nothing(request: HttpRequest) -> HttpResponse:
    return render(request, "reports/shared/nothing.html", status=404)


def _slower(request: HttpRequest, what: str, limit: int) -> HttpResponse | None:
    """The refusal of one who asks too often; None for others."""
    if not (wait_s := limits.wait_s(what, limit)):
        return None
    response = render(request, "reports/shared/slower.html", {"wait_s": wait_s}, status=429)
    response.headers["Retry-After"] = str(wait_s)
    return response
