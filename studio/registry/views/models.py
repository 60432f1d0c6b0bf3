"""Pages of models: list, new, one model, one version with its code and parameters."""

from __future__ import annotations

import re
from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.core.numbers import whole
from studio.registry.code_lines import code_of
from studio.registry.errors import RegistryError
from studio.registry.forms import ClassForm, CodeForm, GitForm, NoteForm, PackageForm, ProjectForm
from studio.registry.models import Model, ModelVersion, Version, VersionState
from studio.registry.publish import (
    archive_entry,
    choose_class,
    create_model_from_code,
    create_model_from_git,
    create_model_from_package,
    create_model_from_project,
)
from studio.registry.refs import form_options, in_words
from studio.registry.versions import edit_note, inspect_again
from studio.registry.views.common import (
    PAGE_SIZE,
    SHOWN_RUNS,
    attach_newest,
    complaint,
    may_edit,
    needs_code_right,
    project_in_view,
    start_projects,
    with_newest,
)

AnyForm = CodeForm | PackageForm | GitForm | ProjectForm


@require_GET
def model_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    project = get_for(request.user, Project.objects.select_related("team"), project_pk)
    entries = Model.objects.listed().filter(project=project, archived_at__isnull="archived" not in request.GET)
    page = Paginator(with_newest(entries, ModelVersion), PAGE_SIZE).get_page(request.GET.get("page"))
    built_in = list(with_newest(Model.objects.filter(project__isnull=True, archived_at__isnull=True), ModelVersion))
    attach_newest([*page, *built_in], ModelVersion)
    context = {"project": project, "page": page, "built_in": built_in, "editable": may_edit(request, project)}
    return render(request, "registry/model_list.html", {**context, "archived": "archived" in request.GET})


@require_http_methods(["GET", "POST"])
def model_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Code, a zipped project, a repository or a package, as `?from=` says; `?model=` is for that model's next version."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    if refusal := needs_code_right(request, project):
        return refusal
    source = request.GET.get("from", "")
    form: AnyForm
    given, base = request.POST if request.method == "POST" else None, _base(project, request)
    if source == "package":
        form = PackageForm(given, initial=base)
    elif source == "git":
        form = GitForm(given, initial=base)
    elif source == "project":
        form = ProjectForm(given, request.FILES if given is not None else None, initial=base)
    else:
        source, form = "", CodeForm(given, request.FILES or None, initial=base, what="Module")
    if given is not None and form.is_valid() and (version := _register(request, project, form)):
        return redirect("model-version", version.pk)
    status = 422 if given is not None else 200
    context = {"project": project, "form": form, "source": source, "mark": base.get("mark") if given is None else None}
    return render(request, "registry/model_create.html", context, status=status)


@require_GET
def model(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Model.objects.select_related("project__team"), pk)
    versions = found.versions.defer("code", "params").select_related("created_by")
    page = Paginator(versions, PAGE_SIZE).get_page(request.GET.get("page"))
    project = project_in_view(request, found.project)
    editable = may_edit(request, found.project)
    startable = editable if found.project else project is not None and may_edit(request, project)
    context = {"model": found, "project": project, "page": page, "editable": editable, "startable": startable}
    return render(request, "registry/model.html", context)


@require_GET
def model_version(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; asked for by htmx, its changing part alone."""
    found = get_for(request.user, ModelVersion.objects.select_related("model__project__team", "created_by"), pk)
    name = "_model_version" if "HX-Request" in request.headers else "model_version"
    return render(request, f"registry/{name}.html", _version_context(request, found))


@require_POST
def model_version_class(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose one of several classes of the file."""
    found = get_for(request.user, ModelVersion.objects.select_related("model__project"), pk, Role.EDITOR)
    form = ClassForm(request.POST, classes=found.info.get("classes", []))
    if form.is_valid():
        choose_class(version=found, user=cast(User, request.user), class_name=form.cleaned_data["class_name"])
        return redirect("model-version", found.pk)
    context = {**_version_context(request, found), "class_form": form}
    return render(request, "registry/model_version.html", context, status=422)


@require_POST
def model_version_retry(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, ModelVersion.objects.select_related("model__project"), pk, Role.EDITOR)
    if not inspect_again(found):
        messages.info(request, "Only a rejected version is inspected again.")
    return redirect("model-version", found.pk)


@require_POST
def model_version_note(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, ModelVersion.objects.select_related("model__project"), pk, Role.EDITOR)
    form = NoteForm(request.POST)
    if form.is_valid():
        edit_note(found, form.cleaned_data["note"])
    return redirect("model-version", found.pk)


@require_POST
def model_archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Archive, or with `restore` bring back."""
    found = get_for(request.user, Model.objects.select_related("project"), pk, Role.EDITOR)
    archive_entry(entry=found, archived="restore" not in request.POST, user=cast(User, request.user))
    return redirect("model", found.pk)


def _base(project: Project, request: HttpRequest) -> dict[str, Any]:
    """The name and newest code of the model that `?model=` names."""
    found = Model.objects.filter(project=project, pk=whole(request.GET.get("model")) or 0).first()
    newest = found.versions.first() if found else None
    if found is None:
        return {}
    if newest is None:
        return {"name": found.name}
    code = newest.code if newest.source == Version.Source.FILE else ""
    git = newest.info.get("git") or {}
    mark = complaint(newest) if code else None
    return {"name": found.name, "code": code, "path": newest.ref, "url": git.get("url", ""), "mark": mark}


def _register(request: HttpRequest, project: Project, form: AnyForm) -> ModelVersion | None:
    data, who = form.cleaned_data, {"project": project, "user": cast(User, request.user)}
    common = {**who, "name": data["name"] or _name_from(data), "note": data["note"]}
    try:
        if isinstance(form, PackageForm):
            return create_model_from_package(**common, path=data["path"])
        if isinstance(form, GitForm):
            return create_model_from_git(
                **common, url=data["url"], revision=data["revision"], class_name=data["class_name"]
            )
        if isinstance(form, ProjectForm):
            file, named = data["file"], data["class_name"]
            return create_model_from_project(**common, data=file.read(), filename=file.name, class_name=named)
        return create_model_from_code(
            **common, code=data["code"], filename=data["filename"], class_name=data["class_name"]
        )
    except RegistryError as error:
        form.refuse(error)
        return None


def _name_from(data: dict[str, Any]) -> str:
    """Without a name that of the class that is wanted, the file, the repository, or the first class of pasted code."""
    named = str(data.get("class_name") or data.get("path") or "").rpartition(":")[2].rpartition(".")[2]
    filename = str(data.get("filename") or getattr(data.get("file"), "name", "") or "")
    repository = str(data.get("url") or "").rstrip("/").rpartition("/")[2].removesuffix(".git")
    pasted = re.search(r"^class (\w+)", str(data.get("code") or ""), re.MULTILINE)
    return named or filename.rpartition(".")[0] or repository or (pasted[1] if pasted else "")


def _version_context(request: HttpRequest, version: ModelVersion) -> dict[str, Any]:
    owner = version.model.project
    project = project_in_view(request, owner)
    runs = version.runs.filter(project__in=Project.objects.visible_to(cast(User, request.user)))
    return {
        "version": version,
        "model": version.model,
        "project": project,
        "editable": may_edit(request, owner),
        "options": list(form_options(version).values()) if version.is_ready else [],
        "task": in_words(version.info.get("task", "")),
        "input": in_words(version.info.get("input", "")),
        "files": code_of(version),
        "runs": runs.select_related("project")[:SHOWN_RUNS],
        "start_projects": start_projects(request, project) if version.is_ready else [],
        "class_form": ClassForm(classes=version.info["classes"]) if version.state == VersionState.CHOOSING else None,
        "waiting": version.state == VersionState.INSPECTING,
        "retryable": True,
    }
