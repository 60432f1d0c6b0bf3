"""The webhooks of a team."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Role, Team, User
from studio.notifications import webhooks
from studio.notifications.errors import NotificationError
from studio.notifications.forms import WebhookForm
from studio.notifications.models import Delivery, Webhook

SHOWN_DELIVERIES = 50


@require_http_methods(["GET", "POST"])
def team_webhooks(request: HttpRequest, pk: int) -> HttpResponse:
    """The list with what was sent of late, and the form of a new one."""
    team = get_for(request.user, Team.objects, pk, Role.ADMIN)
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            webhooks.create_webhook(team=team, by=cast(User, request.user), **form.cleaned_data)
            return redirect("team-webhooks", team.pk)
        except NotificationError as error:
            form.add_error(None, str(error))
    sent = Delivery.objects.filter(webhook__team=team).select_related("webhook")[:SHOWN_DELIVERIES]
    hooks = Webhook.objects.filter(team=team).select_related("created_by")[: webhooks.MOST]
    working = set(Webhook.objects.filter(team=team).working().values_list("pk", flat=True))
    context = {"team": team, "form": form, "webhooks": hooks, "working": working, "deliveries": sent}
    return render(request, "notifications/webhooks.html", context, status=400 if form.errors else 200)


@require_POST
def webhook_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found: Webhook = get_for(request.user, Webhook.objects.select_related("team"), pk, Role.ADMIN)
    team_pk = found.team_id
    webhooks.delete_webhook(webhook=found, by=cast(User, request.user))
    messages.success(request, f"{found.name} is deleted; nothing more is sent there.")
    return redirect("team-webhooks", team_pk)


@require_POST
def webhook_take_over(request: HttpRequest, pk: int) -> HttpResponse:
    found: Webhook = get_for(request.user, Webhook.objects.all(), pk, Role.ADMIN)
    webhooks.take_over(webhook=found, by=cast(User, request.user))
    messages.success(request, f"{found.name} is yours now: what happens from now on is sent there.")
    return redirect("team-webhooks", found.team_id)


@require_POST
def webhook_try(request: HttpRequest, pk: int) -> HttpResponse:
    found: Webhook = get_for(request.user, Webhook.objects.all(), pk, Role.ADMIN)
    webhooks.try_webhook(webhook=found, by=cast(User, request.user))
    messages.success(request, "A message is on its way; what became of it stands below in a moment.")
    return redirect("team-webhooks", found.team_id)
