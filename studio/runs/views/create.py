"""The form of a new run: choose a model and a dataset, see whether they fit, change what matters, start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.registry.builtin import MODEL_NAMES
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.refs import compatibility, suited
from studio.runs import chains, starts
from studio.runs.checkpoints import newest
from studio.runs.crosscheck import Advice, Facts, crosscheck
from studio.runs.errors import RunError
from studio.runs.forms import RunForm
from studio.runs.models import Checkpoint, Preset, Run
from studio.runs.options import rate_option
from studio.runs.register import online
from studio.runs.submit import submit_run

MOST_CHOICES = 500
# Of what is sent, no value of the run.
OTHER_FIELDS = frozenset(
    "csrfmiddlewaretoken model dataset parent refresh key further start_was repair ask preset preset_was preset_name "
    "preset_default".split()
)


@require_http_methods(["GET", "POST"])
def run_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """`?model=` and `?dataset=` choose versions, `?parent=` fills in the values of a run, `?start=` a checkpoint that it
    begins with (`start_mode=all` to train further), `?further=` the newest one of a run. Of model and dataset one may be
    left out: a fitting one is proposed. `refresh` only shows the form for other choices, with everything that was typed."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    given = _further(request, project, request.POST if request.method == "POST" else request.GET)
    checkpoints = starts.choices(cast(User, request.user))
    start = _start(request, given.get("start", ""), checkpoints)
    parent = _parent(request, project, given) or (start.run if start and start.run.project_id == project.pk else None)
    models = _versions(ModelVersion.objects.select_related("model"), "model", project)
    datasets = _versions(DatasetVersion.objects.select_related("dataset"), "dataset", project)
    model = _chosen(given.get("model"), models, ModelVersion, project, parent.model_version_id if parent else None)
    dataset = _chosen(
        given.get("dataset"), datasets, DatasetVersion, project, parent.dataset_version_id if parent else None
    )
    if dataset is None and model is not None and not given.get("dataset"):
        dataset = next((d for d in datasets if compatibility(model, d)[0]), None)
    if model is None and dataset is not None and not given.get("model"):
        model = _first_suited(models, dataset)
    context: dict[str, Any] = {"project": project, "parent": parent, "models": models, "datasets": datasets}
    context |= {"model_version": model, "dataset_version": dataset, "workers_online": _workers_online()}
    if model is None or dataset is None:
        context["asked_for"] = bool(given.get("model") and given.get("dataset"))
        return render(request, "runs/choose.html", context, status=422 if request.method == "POST" else 200)
    submitting = request.method == "POST" and not {"refresh", "repair"} & {*request.POST}
    presets = list(Preset.objects.filter(team=project.team_id).order_by("name", "pk"))
    preset = _preset(given, presets, fresh=parent is None and request.method == "GET")
    typed = {} if submitting else {k: v for k, v in given.items() if k not in OTHER_FIELDS}
    if not submitting:
        typed |= _filled_in(given, start, preset, model, _run_numbered(project, _follows(given)))
    form = RunForm(
        request.POST if submitting else None,
        model_version=model,
        dataset_version=dataset,
        parent=parent,
        typed=typed,
        checkpoints=checkpoints,
        team=project.team_id,
    )
    if submitting and (run := _submit(request, project, form, parent)):
        return redirect("run", run.pk)
    if start is not None:
        mode = form["start_mode"].value() or "weights"
        fit = starts.words(start, mode, model_pk=model.pk, dataset_pk=dataset.pk)
        context |= {"start": start, "start_fits": fit[0], "start_sentence": fit[1]}
    elif after := _run_numbered(project, form.follows):
        mode = form["start_mode"].value() or "weights"
        fit = chains.words(after, form.follows[1], mode, model_pk=model.pk, dataset_pk=dataset.pk)
        context |= {"after": after, "start_fits": fit[0], "start_sentence": fit[1]}
    context |= {"presets": presets, "preset": preset, "start_was": _start_key(given)}
    context |= {"draft_key": f"draft-{request.user.pk}-{project.pk}-{parent.pk if parent else ''}"}
    context |= {"address": _address(given, model, dataset, parent, preset)}
    context |= {"rate_field": rate_option(model.option_specs), "advice": _advice(form)}
    fits, sentence = compatibility(model, dataset)
    context |= {"form": form, "sections": form.sections(), "fits": fits, "sentence": sentence}
    return render(request, "runs/create.html", context, status=422 if submitting else 200)


def _first_suited(models: list[ModelVersion], dataset: DatasetVersion) -> ModelVersion | None:
    """The first built-in model, in the order of the engine's list, that is for such data; it can be changed on the form."""
    order = [*MODEL_NAMES]
    built_in = [m for m in models if m.model.project_id is None and m.ref in order and suited(m, dataset)]
    return min(built_in, key=lambda m: order.index(m.ref), default=None)


def _preset(given: Mapping[str, str], presets: list[Preset], *, fresh: bool) -> Preset | None:
    """The one that is chosen; for a fresh form that says nothing of it, the team's default."""
    if "preset" in given:
        return next((one for one in presets if str(one.pk) == given["preset"]), None)
    return next((one for one in presets if one.is_default), None) if fresh else None


def _filled_in(
    given: Mapping[str, str],
    start: Checkpoint | None,
    preset: Preset | None,
    model: ModelVersion,
    after: Run | None,
) -> dict[str, Any]:
    """What a newly chosen preset, a newly chosen start and a repair put into the fields, over what was typed."""
    values: dict[str, Any] = {}
    if preset is not None and given.get("preset_was", "") != str(preset.pk):
        values |= preset.values
    if start is not None and given.get("start_was", "") != _start_key(given):
        values |= _start_values(start, given.get("start_mode", ""), model)
    elif (
        start is None
        and after is not None
        and given.get("start_mode") == "all"
        and given.get("start_was") != _start_key(given)
    ):
        values |= {"seed": after.spec.get("seed"), **starts.further_values(Checkpoint(run=after, step=0, epoch=0))}
    return values | (_repair(given["repair"]) if "repair" in given else {})


def _address(
    given: Mapping[str, str],
    model: ModelVersion,
    dataset: DatasetVersion,
    parent: Run | None,
    preset: Preset | None,
) -> str:
    """The query that shows this choice again."""
    choice = {
        "model": model.pk,
        "dataset": dataset.pk,
        "parent": parent.pk if parent else "",
        "start": given.get("start"),
    }
    if given.get("queue.after_checkpoint"):
        choice |= {name: given.get(name) for name in ("queue.after", "queue.after_checkpoint")}
    choice["start_mode"] = given.get("start_mode") if given.get("start") or given.get("queue.after_checkpoint") else ""
    choice["preset"] = preset.pk if preset is not None else ""
    return "?" + urlencode({name: value for name, value in choice.items() if value})


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


def _advice(form: RunForm) -> list[Advice]:
    """What does not go together in a form as it is shown."""
    values = form.shown_values()
    parts = {part: {"args": values[part]} for part in ("model", "data")}
    return crosscheck({**values, **parts}, Facts.of(form.dataset_version))


def posted_form(request: HttpRequest, project: Project) -> RunForm | None:
    """The form as it was sent, for what looks at it without starting the run; None without a model and a dataset."""
    given = request.POST
    model = _chosen(given.get("model"), (), ModelVersion, project, None)
    dataset = _chosen(given.get("dataset"), (), DatasetVersion, project, None)
    if model is None or dataset is None:
        return None
    start = _start(request, given.get("start", ""), [])
    checkpoints = [start] if start is not None else []
    return RunForm(given, model_version=model, dataset_version=dataset, checkpoints=checkpoints, team=project.team_id)


def _repair(given: str) -> dict[str, str]:
    """Values by field that a message offers; nothing for what is no such thing."""
    try:
        found = json.loads(given[:10_000])
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _further(request: HttpRequest, project: Project, given: Mapping[str, str]) -> Mapping[str, str]:
    """`?further=` spelt out: the run, its newest checkpoint, all of it."""
    if not given.get("further"):
        return given
    run = get_for(request.user, Run.objects.filter(project=project).for_list(), given["further"])
    last = newest(run)
    return {**given, "parent": str(run.pk), "start": str(last.pk) if last else "", "start_mode": "all"}


def _start(request: HttpRequest, pk: str, known: list[Checkpoint]) -> Checkpoint | None:
    """The checkpoint with that key, also one that is not worth a line of the list, which then gets it."""
    if not pk:
        return None
    found = next((one for one in known if str(one.pk) == pk), None)
    if found is None:
        found = get_for(request.user, Checkpoint.objects.usable().select_related("run__project"), pk)
        known.append(found)
    return found


def _start_key(given: Mapping[str, str]) -> str:
    after = "".join(f"-{found}" for found in _follows(given) if found)
    return f"{given.get('start', '')}-{given.get('start_mode', '') or 'weights'}{after}"


def _follows(given: Mapping[str, str]) -> tuple[str, str]:
    """As `RunForm.follows`, of what was sent."""
    return given.get("queue.after", "").strip().removeprefix("#"), given.get("queue.after_checkpoint", "")


def _run_numbered(project: Project, follows: tuple[str, str]) -> Run | None:
    """The run whose checkpoint is waited for; None where none is, or the number is no run's: the field then says so."""
    number, which = follows
    if not which or not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    return Run.objects.filter(project=project, number=int(number)).first()


def _start_values(start: Checkpoint, mode: str, model: ModelVersion) -> dict[str, Any]:
    if mode == "all":
        return starts.further_values(start)
    return starts.fine_tune_values(start, model.option_specs)


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
