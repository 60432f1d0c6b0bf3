"""The form of a new run: choose a model and a dataset, see whether they fit, change what matters, start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.refs import compatibility
from studio.runs.errors import RunError
from studio.runs.forms import RunForm
from studio.runs.models import Run
from studio.runs.register import online
from studio.runs.submit import submit_run

MOST_CHOICES = 500
OTHER_FIELDS = ("csrfmiddlewaretoken", "model", "dataset", "parent", "refresh", "key")


@require_http_methods(["GET", "POST"])
def run_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """`?model=` and `?dataset=` choose versions, `?parent=` fills in the values of a run. `refresh` only shows the form
    for other choices, with everything that was typed."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    given = request.POST if request.method == "POST" else request.GET
    parent = _parent(request, project, given)
    models = _versions(ModelVersion.objects.select_related("model"), "model", project)
    datasets = _versions(DatasetVersion.objects.select_related("dataset"), "dataset", project)
    model = _chosen(given.get("model"), models, ModelVersion, project, parent.model_version_id if parent else None)
    dataset = _chosen(
        given.get("dataset"), datasets, DatasetVersion, project, parent.dataset_version_id if parent else None
    )
    if dataset is None and model is not None and not given.get("dataset"):
        dataset = next((d for d in datasets if compatibility(model, d)[0]), None)
    context: dict[str, Any] = {"project": project, "parent": parent, "models": models, "datasets": datasets}
    context |= {"model_version": model, "dataset_version": dataset, "workers_online": _workers_online()}
    if model is None or dataset is None:
        context["asked_for"] = bool(given.get("model") and given.get("dataset"))
        return render(request, "runs/choose.html", context, status=422 if request.method == "POST" else 200)
    submitting = request.method == "POST" and "refresh" not in request.POST
    typed = {} if submitting else {k: v for k, v in given.items() if k not in OTHER_FIELDS}
    form = RunForm(
        request.POST if submitting else None, model_version=model, dataset_version=dataset, parent=parent, typed=typed
    )
    if submitting and (run := _submit(request, project, form, parent)):
        return redirect("run", run.pk)
    fits, sentence = compatibility(model, dataset)
    context |= {"form": form, "sections": form.sections(), "fits": fits, "sentence": sentence}
    return render(request, "runs/create.html", context, status=422 if submitting else 200)


def _submit(request: HttpRequest, project: Project, form: RunForm, parent: Run | None) -> Run | None:
    """The queued run; None when the form has to be shown again with what does not fit."""
    if not form.is_valid():
        return None
    try:
        return submit_run(
            project=project,
            user=cast(User, request.user),
            model_version=form.model_version,
            dataset_version=form.dataset_version,
            parent=parent,
            **form.chosen(),
        )
    except RunError as error:
        form.refuse(error.errors)
        return None


def _parent(request: HttpRequest, project: Project, given: Mapping[str, str]) -> Run | None:
    pk = given.get("parent", "")
    if not pk:
        return None
    return get_for(request.user, Run.objects.filter(project=project).for_list(), pk)


def _versions(versions: Any, entry: str, project: Project) -> list[Any]:
    """The newest ready version of every entry, those of the project first; light enough for a long list."""
    heavy = ["code", *(["preview"] if entry == "dataset" else [])]
    rows = versions.usable_in(project).ready().defer(*heavy)
    newest: dict[int, Any] = {}
    for version in rows.order_by("-number", "-pk")[: 4 * MOST_CHOICES]:
        newest.setdefault(getattr(version, f"{entry}_id"), version)

    def order(version: Any) -> tuple[bool, str, int]:
        owner = getattr(version, entry)
        return owner.project_id is None, str(owner).lower(), version.pk

    return sorted(newest.values(), key=order)[:MOST_CHOICES]


def _chosen(pk: str | None, known: Iterable[Any], model: Any, project: Project, otherwise: int | None) -> Any:
    """The version with that key, also an older one; None when there is none that may be used here."""
    wanted = pk or otherwise
    if not wanted or not str(wanted).isdecimal() or len(str(wanted)) > 18:
        return None
    found = next((version for version in known if version.pk == int(wanted)), None)
    if found is not None:
        return found
    entry = "model" if model is ModelVersion else "dataset"
    return model.objects.usable_in(project).ready().filter(pk=int(wanted)).select_related(entry).first()


def _workers_online() -> bool:
    return any("runs" in worker.queues for worker in online())
