"""A team: its members, its invitations, its audit log."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts import invites, members
from studio.accounts.access import get_for, role_in
from studio.accounts.errors import InviteError, MemberError
from studio.accounts.forms import InviteForm, MemberForm, NewMemberForm, TeamForm
from studio.accounts.models import AuditEntry, Invite, Membership, Role, Team, User
from studio.accounts.projects import create_team

PAGE_SIZE = 50
MOST_MEMBERS = 200


@require_GET
def team(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, get_for(request.user, Team.objects, pk))


@require_http_methods(["GET", "POST"])
def team_create(request: HttpRequest) -> HttpResponse:
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = create_team(name=form.cleaned_data["name"], by=cast(User, request.user))
        return redirect("team", made.pk)
    return render(request, "accounts/team_create.html", {"form": form})


@require_POST
def member_add(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Team.objects, pk, Role.ADMIN)
    form = NewMemberForm(request.POST, by=cast(User, request.user))
    if not form.is_valid():
        return _page(request, found, status=400, new_member=form)
    user, role = form.cleaned_data["username"], Role(form.cleaned_data["role"])
    try:
        members.add_member(team=found, user=user, role=role, by=cast(User, request.user))
    except MemberError as error:
        form.add_error("username", str(error))
        return _page(request, found, status=400, new_member=form)
    messages.success(request, f"{user} is in the team as {role.label.lower()}.")
    return redirect("team", found.pk)


@require_POST
def member(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Membership.objects.select_related("team", "user"), pk, Role.ADMIN)
    form = MemberForm(request.POST)
    if form.is_valid():
        try:
            members.change_member(
                membership=found,
                role=Role(form.cleaned_data["role"]),
                may_run_code=form.cleaned_data["may_run_code"],
                by=cast(User, request.user),
            )
            messages.success(request, f"The role of {found.user} is saved.")
        except MemberError as error:
            messages.error(request, str(error))
    else:
        messages.error(request, "There is no such role.")
    return redirect("team", found.team_id)


@require_POST
def member_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """An administrator removes anybody; everybody may leave. Whose links still open something is asked about them first:
    `links` says `revoke` or `keep`.
    """
    found = get_for(request.user, Membership.objects.select_related("team", "user"), pk)
    if found.user_id != request.user.pk:
        get_for(request.user, Membership.objects, pk, Role.ADMIN)
    links = request.POST.get("links", "")
    if links not in ("revoke", "keep") and (count := members.open_links_of(found)):
        context = {"member": found, "team": found.team, "links": count, "own": found.user_id == request.user.pk}
        return render(request, "accounts/member_remove.html", context)
    try:
        members.remove_member(membership=found, by=cast(User, request.user), revoke_links=links == "revoke")
    except MemberError as error:
        messages.error(request, str(error))
        return redirect("team", found.team_id)
    if found.user_id == request.user.pk:
        return redirect("home")
    messages.success(request, f"{found.user} is no longer in the team.")
    return redirect("team", found.team_id)


@never_cache
@require_POST
def invite_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Answers with the page itself: the link is shown this once and stored nowhere, also when it was sent."""
    found = get_for(request.user, Team.objects, pk, Role.ADMIN)
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _page(request, found, status=400, new_invite=form)
    given, user = form.cleaned_data, cast(User, request.user)
    email: str = given.get("email", "")
    context: dict[str, Any] = {}
    try:
        token = invites.create_invite(team=found, role=Role(given["role"]), by=user, days=given["days"], email=email)
        invite = invites.usable_invite(token)
        context = {"invite": invite, "invite_url": settings.PUBLIC_URL + reverse("join", args=[token])}
        if invite is not None and email:
            invites.send_invite(invite=invite, url=context["invite_url"], by=user)
            context["invite_sent"] = True
    except InviteError as error:
        form.add_error(None, str(error))
        return _page(request, found, status=200 if context else 400, new_invite=form, **context)
    return _page(request, found, **context)


@require_POST
def invite_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Invite.objects.all(), pk, Role.ADMIN)
    invites.revoke_invite(invite=found, by=cast(User, request.user))
    messages.success(request, "The invitation no longer opens anything.")
    return redirect("team", found.team_id)


@require_GET
def audit_log(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Team.objects, pk, Role.ADMIN)
    entries = AuditEntry.objects.filter(team=found).select_related("actor")
    page = Paginator(entries, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "accounts/audit_log.html", {"team": found, "page": page})


def _page(request: HttpRequest, team: Team, *, status: int = 200, **forms: Any) -> HttpResponse:
    is_admin = role_in(request.user, team) == Role.ADMIN
    context = {
        "team": team,
        "is_admin": is_admin,
        "roles": Role.choices,
        "members": team.memberships.select_related("user").order_by("user__username")[:MOST_MEMBERS],
        "invites": invites.open_invites(team).select_related("created_by") if is_admin else (),
        "new_member": NewMemberForm(by=cast(User, request.user)),
        "new_invite": InviteForm(),
        **forms,
    }
    return render(request, "accounts/team.html", context, status=status)
