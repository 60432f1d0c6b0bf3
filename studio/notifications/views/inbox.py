"""What a person is told: the list, what is new, what was read, what is also sent by e-mail."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.models import User
from studio.notifications.forms import KindsForm
from studio.notifications.models import MailChoice, Notification, RunWatch
from studio.runs.views.runs import read

PAGE_SIZE = 50
MOST_COUNTED, MOST_FOLDED = 100, 500


@require_GET
def notification_list(request: HttpRequest) -> HttpResponse:
    """The newest first; those of one bundle are one entry, the newest of them, with the others folded below it."""
    user = cast(User, request.user)
    rows = Notification.objects.visible_to(user).heads().select_related("project").order_by("-at", "-pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    folded = _folded(user, list(page))
    entries = [{"head": head, "others": folded.get(head.bundle, [])} for head in page]
    choice = MailChoice.objects.filter(user=user).first()
    form = KindsForm(initial={"kinds": choice.kinds if choice else []})
    new = any(not n.read_at for n in page) or any(not n.read_at for some in folded.values() for n in some)
    context = {"page": page, "entries": entries, "form": form, "mail": bool(settings.EMAIL_HOST), "new": new}
    return render(request, "notifications/list.html", context)


def _folded(user: User, heads: list[Notification]) -> dict[str, list[Notification]]:
    """What else is in the bundles of these, the newest first: at most MOST_FOLDED in all. A query when there are any."""
    bundles = {head.bundle for head in heads if head.bundle}
    if not bundles:
        return {}
    rows = Notification.objects.visible_to(user).filter(bundle__in=bundles).exclude(pk__in=[h.pk for h in heads])
    found: dict[str, list[Notification]] = {}
    for row in rows.order_by("-pk")[:MOST_FOLDED]:
        found.setdefault(row.bundle, []).append(row)
    return found


@require_GET
@never_cache
def notification_count(request: HttpRequest) -> JsonResponse:
    """How many entries are not read, at most MOST_COUNTED. One query."""
    unread = Notification.objects.visible_to(cast(User, request.user)).unread()
    return JsonResponse({"unread": len(unread.entries()[:MOST_COUNTED])})


@require_POST
def notification_open(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark as read and go where it leads; the one that tells of all of its bundle stands for the others."""
    found = Notification.objects.visible_to(cast(User, request.user)).filter(pk=pk).first()
    if found is None:
        return redirect("notification-list")
    read_now = Notification.objects.filter(user=found.user_id, read_at=None)
    read_now = read_now.filter(bundle=found.bundle) if found.tells_all else read_now.filter(pk=found.pk)
    read_now.update(read_at=timezone.now())
    return redirect(found.url)


@require_POST
def notification_read(request: HttpRequest) -> HttpResponse:
    """Mark all as read."""
    Notification.objects.filter(user=cast(User, request.user), read_at=None).update(read_at=timezone.now())
    return redirect("notification-list")


@require_POST
def mail_choice(request: HttpRequest) -> HttpResponse:
    form = KindsForm(request.POST)
    if form.is_valid():
        MailChoice.objects.update_or_create(user=cast(User, request.user), defaults=form.cleaned_data)
        messages.success(request, "Saved.")
    return redirect("notification-list")


@require_POST
def run_watch(request: HttpRequest, pk: int) -> HttpResponse:
    """Be told how a run ends; with `stop`, no longer."""
    found, user = read(request, pk), cast(User, request.user)
    if "stop" in request.POST:
        RunWatch.objects.filter(run=found, user=user).delete()
    else:
        RunWatch.objects.get_or_create(run=found, user=user)
    return redirect("run-discussion", found.pk)
