"""Pages of datasets: list, new, the wizard for a table, one dataset, one version with its preview and statistics."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.core.numbers import whole
from studio.registry.arguments import fix_arguments
from studio.registry.batch import ask_for_batch, class_table, leak_words
from studio.registry.choices import choose
from studio.registry.code_lines import code_of
from studio.registry.errors import RegistryError
from studio.registry.files import create_dataset_from_address, create_dataset_from_file
from studio.registry.forms import (
    ArgumentsForm,
    ChoicesForm,
    ClassForm,
    CodeForm,
    NoteForm,
    ProjectForm,
    TableForm,
    TextForm,
)
from studio.registry.models import Dataset, DatasetVersion, Upload, Version, VersionState
from studio.registry.publish import (
    archive_entry,
    choose_class,
    create_dataset_from_code,
    create_dataset_from_project,
    version_with_other_choices,
)
from studio.registry.refs import form_options, in_words
from studio.registry.tables.drawing import class_bars, drawn_columns
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
from studio.registry.workbooks import other_sheets, read_sheet

SOURCES = {
    "csv": Dataset.Kind.TABLE,
    "images": Dataset.Kind.IMAGES,
    "text": Dataset.Kind.TEXT,
    "arrays": Dataset.Kind.ARRAYS,
    "code": Dataset.Kind.CODE,
    "project": Dataset.Kind.CODE,
}


@require_GET
def dataset_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    project = get_for(request.user, Project.objects.select_related("team"), project_pk)
    entries = Dataset.objects.listed().filter(project=project, archived_at__isnull="archived" not in request.GET)
    page = Paginator(with_newest(entries, DatasetVersion), PAGE_SIZE).get_page(request.GET.get("page"))
    built_in = list(with_newest(Dataset.objects.filter(project__isnull=True, archived_at__isnull=True), DatasetVersion))
    attach_newest([*page, *built_in], DatasetVersion)
    context = {"project": project, "page": page, "built_in": built_in, "editable": may_edit(request, project)}
    return render(request, "registry/dataset_list.html", {**context, "archived": "archived" in request.GET})


@require_http_methods(["GET", "POST"])
def dataset_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """A table, images, a text, arrays or code, as `?from=` says."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    source = request.GET.get("from", "csv")
    source = source if source in SOURCES else "csv"
    if source in ("code", "project") and (refusal := needs_code_right(request, project)):
        return refusal
    given = request.POST if request.method == "POST" else None
    form: CodeForm | ProjectForm | TableForm
    base = _base(project, request)
    if source == "code":
        form = CodeForm(given, request.FILES or None, initial=base, what="DataModule")
    elif source == "project":
        form = ProjectForm(given, request.FILES if given is not None else None, initial=base)
    elif source == "text":
        form = TextForm(given, request.FILES or None, initial=base)
    else:
        pasted = source == "csv"
        form = TableForm(given, request.FILES or None, initial=base, pasted=pasted)
    if given is not None and form.is_valid() and (version := _register(request, project, form, source)):
        return redirect("dataset-version", version.pk)
    context = {"project": project, "form": form, "source": source, "mark": base.get("mark") if given is None else None}
    return render(request, "registry/dataset_create.html", context, status=422 if given is not None else 200)


@require_GET
def dataset(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Dataset.objects.select_related("project__team"), pk)
    versions = found.versions.defer("code", "params", "schema", "preview").select_related("created_by")
    page = Paginator(versions, PAGE_SIZE).get_page(request.GET.get("page"))
    project = project_in_view(request, found.project)
    editable = may_edit(request, found.project)
    startable = editable if found.project else project is not None and may_edit(request, project)
    context = {"dataset": found, "project": project, "page": page, "editable": editable, "startable": startable}
    return render(request, "registry/dataset.html", context)


@require_GET
def dataset_version(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; asked for by htmx, its changing part alone. A table that waits for its choices leads to the wizard."""
    found = get_for(request.user, _versions(), pk)
    is_part = "HX-Request" in request.headers
    if found.state == VersionState.CHOOSING and found.schema and may_edit(request, found.dataset.project):
        answer = redirect("dataset-version-choices", found.pk)
        if is_part:
            answer = HttpResponse(status=200, headers={"HX-Redirect": answer.url})  # type: ignore[assignment]
        return answer
    name = "_dataset_version" if is_part else "dataset_version"
    return render(request, f"registry/{name}.html", _version_context(request, found))


@require_http_methods(["GET", "POST"])
def dataset_version_choices(request: HttpRequest, pk: int) -> HttpResponse:
    """The wizard: target, task, use of each column, split; for what is no table, the arguments that the look suggests."""
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    if found.state != VersionState.CHOOSING or not found.schema:
        return redirect("dataset-version", found.pk)
    if "args" in found.schema:
        return _choose_arguments(request, found)
    known = found.info.get("choices")
    given = request.POST if request.method == "POST" else None
    form = ChoicesForm(given, schema=found.schema, known=known, name=found.dataset.name)
    if request.method == "POST" and form.is_valid():
        choose(found, form.checked)
        return redirect("dataset-version", found.pk)
    context = {"version": found, "dataset": found.dataset, "project": found.dataset.project, "form": form}
    context |= {"columns": drawn_columns(found.schema), "status_text": found.reason, "sheets": other_sheets(found)}
    context["column_rows"] = list(zip(context["columns"], [field for _, field in form.rows], strict=True))
    return render(request, "registry/dataset_choices.html", context, status=422 if form.is_bound else 200)


def _choose_arguments(request: HttpRequest, found: DatasetVersion) -> HttpResponse:
    form = ArgumentsForm(request.POST if request.method == "POST" else None, version=found)
    if request.method == "POST" and form.is_valid():
        fix_arguments(found, form.checked)
        return redirect("dataset-version", found.pk)
    context: dict[str, Any] = {"version": found, "dataset": found.dataset, "project": found.dataset.project}
    context |= {"form": form, "columns": drawn_columns(found.schema), "status_text": found.reason}
    return render(request, "registry/dataset_arguments.html", context, status=422 if form.is_bound else 200)


@require_POST
def dataset_version_again(request: HttpRequest, pk: int) -> HttpResponse:
    """A new version of the same file, to be chosen for anew: another target, other columns, another split."""
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    try:
        version = version_with_other_choices(version=found, user=cast(User, request.user))
    except RegistryError as error:
        messages.error(request, error.text)
        return redirect("dataset-version", found.pk)
    return redirect("dataset-version-choices", version.pk)


@require_POST
def dataset_version_sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """Look into another sheet of the workbook."""
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    try:
        read_sheet(found, request.POST.get("sheet", ""))
    except RegistryError as error:
        messages.error(request, error.text)
    return redirect("dataset-version", found.pk)


@require_POST
def dataset_version_batch(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a worker show the first batch, as a model gets it."""
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    try:
        ask_for_batch(found)
    except RegistryError as error:
        messages.error(request, error.text)
    return redirect(f"{reverse('dataset-version', args=[found.pk])}#batch")


@require_POST
def dataset_version_class(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose one of several classes of the file."""
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    form = ClassForm(request.POST, classes=found.info.get("classes", []) if not found.schema else [])
    if form.is_valid():
        choose_class(version=found, user=cast(User, request.user), class_name=form.cleaned_data["class_name"])
        return redirect("dataset-version", found.pk)
    context = {**_version_context(request, found), "class_form": form}
    return render(request, "registry/dataset_version.html", context, status=422)


@require_POST
def dataset_version_retry(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    if not inspect_again(found):
        messages.info(request, "Only a rejected version is inspected again.")
    return redirect("dataset-version", found.pk)


@require_POST
def dataset_version_note(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, _versions(), pk, Role.EDITOR)
    form = NoteForm(request.POST)
    if form.is_valid():
        edit_note(found, form.cleaned_data["note"])
    return redirect("dataset-version", found.pk)


@require_POST
def dataset_archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Archive, or with `restore` bring back."""
    found = get_for(request.user, Dataset.objects.select_related("project"), pk, Role.EDITOR)
    archive_entry(entry=found, archived="restore" not in request.POST, user=cast(User, request.user))
    return redirect("dataset", found.pk)


def _versions() -> Any:
    return DatasetVersion.objects.select_related("dataset__project__team", "created_by")


def _base(project: Project, request: HttpRequest) -> dict[str, Any]:
    """The name of the dataset that `?dataset=` names, and its newest code if it is made of code."""
    found = Dataset.objects.filter(project=project, pk=whole(request.GET.get("dataset")) or 0).first()
    if found is None:
        return {}
    newest = found.versions.first()
    if newest is None or newest.source != Version.Source.FILE:
        return {"name": found.name}
    return {"name": found.name, "code": newest.code, "mark": complaint(newest)}


def _register(
    request: HttpRequest, project: Project, form: CodeForm | ProjectForm | TableForm, source: str
) -> DatasetVersion | None:
    data, user = form.cleaned_data, cast(User, request.user)
    name = data["name"] or _name_from(data, user)
    common: dict[str, Any] = {"project": project, "user": user, "name": name, "note": data["note"]}
    try:
        if isinstance(form, CodeForm):
            return create_dataset_from_code(
                **common, code=data["code"], filename=data["filename"], class_name=data["class_name"]
            )
        if isinstance(form, ProjectForm):
            file, named = data["file"], data["class_name"]
            return create_dataset_from_project(**common, data=file.read(), filename=file.name, class_name=named)
        if data["address"]:
            kind, wanted = SOURCES[source], form.wanted
            common["name"] = data["name"]
            return create_dataset_from_address(kind=kind, **common, address=data["address"], wanted=wanted)
        given = {**data["source"], "filename": data["filename"]}
        if data.get("upload"):
            given["upload"] = Upload.objects.visible_to(user).filter(pk=data["upload"], project=project).first()
        return create_dataset_from_file(kind=SOURCES[source], **common, **given, wanted=form.wanted)
    except RegistryError as error:
        form.refuse(error)
        return None


def _name_from(data: dict[str, Any], user: User) -> str:
    """Without a name, the file's."""
    filename: str = data.get("filename") or getattr(data.get("file"), "name", "") or ""
    if data.get("upload"):
        found = Upload.objects.visible_to(user).filter(pk=data["upload"]).first()
        filename = found.filename if found else ""
    return filename.rsplit(".", 1)[0]


def _version_context(request: HttpRequest, version: DatasetVersion) -> dict[str, Any]:
    owner = version.dataset.project
    project = project_in_view(request, owner)
    runs = version.runs.filter(project__in=Project.objects.visible_to(cast(User, request.user)))
    batch: dict[str, Any] = version.preview.get("batch") or {}
    of_classes = version.state == VersionState.CHOOSING and not version.schema
    return {
        "version": version,
        "dataset": version.dataset,
        "project": project,
        "editable": may_edit(request, owner),
        "options": list(form_options(version).values()) if version.is_ready else [],
        "task": in_words(version.info.get("task", "")),
        "input": in_words(version.info.get("input", "")),
        "files": code_of(version),
        "columns": drawn_columns(version.schema, version.info.get("choices")),
        "balance": class_bars(version.schema, version.info.get("choices")),
        "runs": runs.select_related("project")[:SHOWN_RUNS],
        "start_projects": start_projects(request, project) if version.is_ready else [],
        "class_form": ClassForm(classes=version.info.get("classes", [])) if of_classes else None,
        "waiting": version.state == VersionState.INSPECTING,
        "batch": batch,
        "leaks": leak_words(batch),
        "batch_classes": class_table(batch),
        "sheets": other_sheets(version),
        "followed": version.state == VersionState.INSPECTING or batch.get("state") == "waiting",
        "retryable": version.source != Version.Source.ZOO
        or bool(version.blobs or {"upload", "server_file", "fetched", "stored"} & {*version.info}),
    }
