"""The form as text and back: YAML, command and script of what is filled in, and the fields of an edited YAML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.http import HttpRequest, JsonResponse, QueryDict
from django.views.decorators.http import require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.runs import texts
from studio.runs.errors import RunError
from studio.runs.forms import RunForm
from studio.runs.views.create import posted_form


@require_POST
def run_text(request: HttpRequest, project_pk: int) -> JsonResponse:
    """The form as it was sent; with `yaml`, that text's values over it. Nothing is stored.

    `yaml`, `command`, `script` and `hash` of the run, the fields' `values` when a text was read, and `errors`, each of a
    place, a sentence, and the line of the text where it is known.
    """
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    given = request.POST.copy()
    form = posted_form(request, project)
    if form is None:
        return JsonResponse({"errors": [["", "Choose a model and a dataset first.", None]]})
    answer: dict[str, Any] = {"errors": []}
    lines: dict[str, int] = {}

    def placed(errors: Iterable[tuple[str, str]]) -> list[list[str | int | None]]:
        return [[place, text, lines.get(place)] for place, text in errors]

    if "yaml" in given:
        lines = texts.lines_of(str(given["yaml"]))
        try:
            values = values_of_text(form, str(given["yaml"]))
        except RunError as error:
            return JsonResponse({"errors": placed(error.errors.items())})
        form = _filled(form, given, values)
        answer["values"] = values
    if not form.is_valid():
        answer["errors"] = placed((name, str(text)) for name, found in form.errors.items() for text in found)
        return JsonResponse(answer)
    try:
        return JsonResponse({**answer, **texts_of(form, with_places=cast(User, request.user).is_superuser)})
    except RunError as error:
        return JsonResponse({**answer, "errors": placed(error.errors.items())})


def values_of_text(form: RunForm, text: str) -> dict[str, str]:
    """Every field's text out of a YAML; RunError for what is not known."""
    model, data = (f"{version.source}:{version.ref}" for version in (form.model_version, form.dataset_version))
    return texts.read_yaml(text, form.options, model=model, data=data)


def texts_of(form: RunForm, *, with_places: bool) -> dict[str, str]:
    """Of a valid form; RunError when the choices do not fit together. Only who runs the studio sees where its files lie."""
    spec, with_seed = form.spec(), form.chosen()["seed"] is not None
    if not with_places:
        spec = texts.without_places(spec)
    return {
        "yaml": texts.as_yaml(spec, with_seed=with_seed),
        "command": texts.as_command(spec, with_seed=with_seed),
        "script": texts.as_script(spec, with_seed=with_seed),
        "hash": spec.hash if with_seed else "",
    }


def _filled(form: RunForm, given: QueryDict, values: dict[str, str]) -> RunForm:
    data = given.dict() | values
    checkpoints = [form.checkpoint] if form.checkpoint is not None else []
    return RunForm(
        data,
        model_version=form.model_version,
        dataset_version=form.dataset_version,
        checkpoints=checkpoints,
        team=form.team,
    )
