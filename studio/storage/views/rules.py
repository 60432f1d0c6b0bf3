"""The rules of retention of a project and of its team: what a rule would remove is said before it is saved."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, Team, User
from studio.storage import retention
from studio.storage.forms import RuleForm
from studio.storage.models import RetentionRule
from studio.storage.trash import DAYS

MOST_PROJECTS = 50


@require_http_methods(["GET", "POST"])
def project_retention(request: HttpRequest, pk: int) -> HttpResponse:
    role = Role.VIEWER if request.method == "GET" else Role.ADMIN
    project = get_for(request.user, Project.objects.select_related("team"), pk, role)
    return _answer(request, project.team, project)


@require_http_methods(["GET", "POST"])
def team_retention(request: HttpRequest, pk: int) -> HttpResponse:
    team = get_for(request.user, Team.objects, pk, Role.VIEWER if request.method == "GET" else Role.ADMIN)
    return _answer(request, team, None)


@require_POST
def rule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    rule = get_for(request.user, RetentionRule.objects.select_related("team", "project"), pk, Role.ADMIN)
    if rule.project is not None:
        get_for(request.user, Project.objects.all(), rule.project_id, Role.ADMIN)
    retention.forget(rule=rule, user=cast(User, request.user))
    messages.success(request, f"The rule is gone: {rule.words}.")
    return _to_rules(rule.team, rule.project)


def _answer(request: HttpRequest, team: Team, project: Project | None) -> HttpResponse:
    """POST says what the rule would remove now; with `confirm` equal to that, it is saved."""
    form = RuleForm(request.POST or None)
    if request.method == "GET" or not form.is_valid():
        return _page(request, team, project, form, status=200 if request.method == "GET" else 400)
    rule = RetentionRule(team=team, project=project, **form.cleaned_data)
    preview, count, size = _preview(cast(User, request.user), team, project, rule)
    mark = f"{count}-{size}"
    if request.POST.get("confirm") != mark:
        told = {"rule": rule, "preview": preview, "count": count, "size_bytes": size, "mark": mark}
        return _page(request, team, project, form, {**told, "changed": "confirm" in request.POST})
    saved = retention.save(team=team, project=project, user=cast(User, request.user), **form.cleaned_data)
    messages.success(request, f"Saved: {saved.words}. What it is about now goes within the hour.")
    return _to_rules(team, project)


def _preview(
    user: User, team: Team, project: Project | None, rule: RetentionRule
) -> tuple[list[tuple[Project, retention.Due]], int, int]:
    """What the rule would remove in each project that it holds for, and in all of them."""
    if project is not None:
        places = [project]
    else:
        own = RetentionRule.objects.filter(team=team, kind=rule.kind).exclude(project=None).values("project")
        places = list(
            Project.objects.visible_to(user).filter(team=team).exclude(pk__in=own).order_by("name")[:MOST_PROJECTS]
        )
    found = [(place, due) for place in places if (due := retention.due(place, rule)).count or due.left]
    return found, sum(due.count for _, due in found), sum(due.size_bytes for _, due in found)


def _page(
    request: HttpRequest,
    team: Team,
    project: Project | None,
    form: RuleForm,
    told: dict[str, object] | None = None,
    status: int = 200,
) -> HttpResponse:
    if project is None:
        rules = list(RetentionRule.objects.filter(team=team, project=None).select_related("created_by"))
    else:
        rules = sorted(retention.rules_of(project).values(), key=lambda rule: rule.kind)
    context = {
        "team": team, "project": project, "rules": rules, "form": form, "trash_days": DAYS,
        "has_trash_rule": any(rule.kind == RetentionRule.Kind.TRASH for rule in rules),
        "is_admin": can(request.user, team, Role.ADMIN), **(told or {}),
    }  # fmt: skip
    return render(request, "storage/rules.html", context, status=status)


def _to_rules(team: Team, project: Project | None) -> HttpResponse:
    return redirect("team-storage-rules", team.pk) if project is None else redirect("storage-rules", project.pk)
