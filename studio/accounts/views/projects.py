"""The list of projects, and making and changing one."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.forms import ProjectForm
from studio.accounts.models import Project, Role, Team, User
from studio.accounts.projects import archive_project, create_project, edit_project, show_project

PAGE_SIZE = 50


@require_GET
def project_list(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    projects = (
        Project.objects.visible_to(user).with_right(user).select_related("team").order_by("archived_at", "name", "pk")
    )
    if "archived" not in request.GET:
        projects = projects.active()
    page = Paginator(projects, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "accounts/project_list.html", {"page": page, "archived": "archived" in request.GET})


@require_http_methods(["GET", "POST"])
def project_create(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    teams = Team.objects.filter(memberships__user=user, memberships__role__in=Role.at_least(Role.EDITOR))
    form = ProjectForm(request.POST or None, teams=teams)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        project = create_project(
            team=given["team"],
            name=given["name"],
            description=given["description"],
            is_private=form.is_private(),
            by=user,
        )
        if project.is_private:
            messages.success(request, f"{project} is made. Name below who else may see it.")
            return redirect("project-edit", project.pk)
        return redirect("project", project.pk)
    return render(request, "accounts/project_form.html", {"form": form, "teams": teams})


@require_http_methods(["GET", "POST"])
def project_edit(request: HttpRequest, pk: int) -> HttpResponse:
    project = get_for(request.user, Project.objects.select_related("team"), pk, Role.EDITOR)
    form = ProjectForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        given, user = form.cleaned_data, cast(User, request.user)
        edit_project(project=project, name=given["name"], description=given["description"], by=user)
        show_project(project=project, is_private=form.is_private(), people=given["people"], by=user)
        messages.success(request, "Saved.")
        return redirect("project", project.pk)
    context = {"form": form, "project": project, "is_admin": can(request.user, project, Role.ADMIN)}
    return render(request, "accounts/project_form.html", context)


@require_POST
def project_archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Archive, or with `restore` bring back."""
    project = get_for(request.user, Project.objects.all(), pk, Role.ADMIN)
    archived = "restore" not in request.POST
    archive_project(project=project, archived=archived, by=cast(User, request.user))
    messages.success(request, f"{project.name} is {'archived' if archived else 'back'}.")
    return redirect("project-list")
