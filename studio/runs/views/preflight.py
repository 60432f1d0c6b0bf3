"""Check and Find LR: a question about the form as it is filled in, and its answer, as a part of the page or a page."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.runs import preflight as questions
from studio.runs import rates
from studio.runs.cost import estimate
from studio.runs.crosscheck import Facts, crosscheck
from studio.runs.errors import RunError
from studio.runs.forms import RunForm
from studio.runs.models import Preflight
from studio.runs.views.create import posted_form


@require_POST
def preflight_ask(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Ask a worker about the choices of the form, `ask` being `check` or `rates`; nothing is started."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    form = posted_form(request, project)
    kind = Preflight.Kind.RATES if request.POST.get("ask") == Preflight.Kind.RATES else Preflight.Kind.CHECK
    if form is None:
        return _refused(request, project, [("", "Choose a model and a dataset first.")])
    if not form.is_valid():
        return _refused(request, project, _errors_of(form))
    try:
        asked = questions.ask(
            project=project,
            user=cast(User, request.user),
            kind=kind,
            spec=form.spec(),
            model_version=form.model_version,
            dataset_version=form.dataset_version,
            pool=form.chosen()["queueing"].get("pool", "default"),
        )
    except RunError as error:
        form.refuse(error.errors)
        return _refused(request, project, _errors_of(form))
    if _is_part(request):
        return render(request, "runs/_preflight.html", _context(asked))
    return redirect("preflight", asked.pk)


@require_GET
def preflight(request: HttpRequest, pk: int) -> HttpResponse:
    """The answer, or where the question stands."""
    asked = get_for(request.user, Preflight.objects.select_related("project__team", "worker"), pk)
    if asked.checkpoint_id is not None:
        return _about_checkpoint(request, asked)
    template = "runs/_preflight.html" if _is_part(request) else "runs/preflight.html"
    context = {**_context(asked), "project": asked.project, "standalone": not _is_part(request)}
    return render(request, template, context)


def _about_checkpoint(request: HttpRequest, asked: Preflight) -> HttpResponse:
    """The part of the page of its checkpoint; that page begins anew once it has a form or files to show."""
    if not _is_part(request):
        return redirect(f"{reverse('checkpoint-use', args=[asked.checkpoint_id])}?asked={asked.pk}")
    waiting = "" if asked.is_over else questions.waiting_words(asked.pool)
    response = render(request, "runs/_prediction.html", {"asked": asked, "waiting": waiting})
    if asked.is_over and "prediction" not in asked.result and (asked.kind == Preflight.Kind.EXPORT or not asked.reason):
        response.headers["HX-Refresh"] = "true"
    return response


def _context(asked: Preflight) -> dict[str, Any]:
    found, context = asked.result, {"asked": asked, "found": asked.result}
    if not asked.is_over:
        context["waiting"] = questions.waiting_words(asked.pool)
    elif asked.stage == Preflight.Stage.DONE and asked.kind == Preflight.Kind.CHECK:
        facts = Facts(rows=asked.known.get("rows"), batch_default=asked.known.get("batch_default"))
        context |= {"cost": estimate(asked.spec, found), "advice": crosscheck(asked.spec, facts.with_check(found))}
    elif asked.stage == Preflight.Stage.DONE:
        context |= {"curve": rates.curve(found), "suggestions": rates.suggestions(found, asked.known.get("rate", ""))}
    return context


def _is_part(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _errors_of(form: RunForm) -> list[tuple[str, str]]:
    labels = {name: str(field.label) for name, field in form.fields.items()}
    return [(labels.get(name, ""), str(text)) for name, texts in form.errors.items() for text in texts]


def _refused(request: HttpRequest, project: Project, errors: list[tuple[str, str]]) -> HttpResponse:
    """As a part of the page it is shown in the place of an answer; htmx shows what comes with 200 only."""
    part = _is_part(request)
    template = "runs/_preflight_refused.html" if part else "runs/preflight.html"
    return render(request, template, {"errors": errors, "project": project}, status=200 if part else 422)
