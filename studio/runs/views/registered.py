"""Pages of the registry of trained models: promote a checkpoint, its versions, and the aliases that move between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.access import can, editors_of, get_for
from studio.accounts.models import Project, Role, User
from studio.runs import promote, snippet
from studio.runs.checkpoints import sha256_of
from studio.runs.errors import RunError
from studio.runs.models import Checkpoint
from studio.runs.registered_models import AliasMove, RegisteredModel, RegisteredVersion

PAGE_SIZE, MOST_MOVES, MOST_NAMES, MOST_KEPT = 50, 50, 50, 20


class AliasForm(forms.Form):
    alias = forms.CharField(
        label="Alias",
        max_length=40,
        widget=forms.TextInput(attrs={"list": "aliases", "autocomplete": "off"}),
        help_text="Such as candidate or production. It names one version at a time, and moves.",
    )
    why = forms.CharField(label="Why", max_length=500, required=False, help_text="Kept in its history.")
    reviewer = forms.ModelChoiceField(
        label="Reviewer", queryset=User.objects.none(), required=False, empty_label="nobody",
        help_text="The alias moves once this person, who is told, has approved; a protected one always waits for somebody.",
    )  # fmt: skip

    def __init__(self, *args: Any, project: Project, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = editors_of(project).exclude(pk=user.pk).order_by("username")
        self.fields["reviewer"].queryset = people  # type: ignore[attr-defined]


class PromoteForm(AliasForm):
    name = forms.CharField(
        label="Registered model",
        max_length=80,
        widget=forms.TextInput(attrs={"list": "names", "autocomplete": "off"}),
        help_text="A new name makes a new one; a known name gets its next version.",
    )
    note = forms.CharField(
        label="Note", max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What is good about it, for those who will use it.",
    )  # fmt: skip
    field_order = ["name", "alias", "note", "why", "reviewer"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["alias"].required = False


@require_GET
def registered_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The registered models of a project, and the pinned checkpoints that are none yet."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk)
    living = RegisteredVersion.objects.living()
    later = living.filter(model=OuterRef("model"), number__gt=OuterRef("number"))
    rows = project.registered_models.annotate(count=Count("versions", filter=Q(versions__deleted_at=None))).order_by(
        "name"
    )
    rows = rows.prefetch_related(
        Prefetch("versions", living.filter(~Exists(later)), to_attr="newest"), "aliases__version"
    )
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    pinned = Checkpoint.objects.filter(run__project=project, pinned=True, is_promoted=False, deleted_at=None)
    context = {
        "project": project,
        "page": page,
        "pinned": pinned.select_related("run").order_by("-pk")[:MOST_KEPT],
        "may_edit": can(request.user, project, Role.EDITOR),
    }
    return render(request, "runs/registered_list.html", context)


@require_GET
def registered_model(request: HttpRequest, pk: int) -> HttpResponse:
    """Aliases, versions, what waits for a second person, and the history."""
    found = get_for(request.user, RegisteredModel.objects.select_related("project__team"), pk)
    versions = found.versions.living().select_related("checkpoint__run__dataset_version__dataset", "created_by")
    moves = found.moves.select_related("before", "to", "by", "reviewer", "decided_by")
    waiting, user = list(moves.waiting()[:MOST_MOVES]), cast(User, request.user)
    may_edit, may_protect = can(user, found, Role.EDITOR), can(user, found, Role.ADMIN)
    context = {
        "project": found.project,
        "model": found,
        "page": Paginator(versions.prefetch_related("aliases"), PAGE_SIZE).get_page(request.GET.get("page")),
        "aliases": found.aliases.select_related("version"),
        "waiting": waiting,
        "mine": [move.pk for move in waiting if may_edit and (may_protect or promote.is_for(move, user))],
        "moves": moves.exclude(stage=AliasMove.Stage.WAITING)[:MOST_MOVES],
        "may_edit": may_edit,
        "may_protect": may_protect,
    }
    return render(request, "runs/registered_model.html", context)


@require_GET
def registered_version(request: HttpRequest, pk: int) -> HttpResponse:
    found = _version(request, pk)
    form = AliasForm(project=found.model.project, user=cast(User, request.user))
    return render(request, "runs/registered_version.html", _version_context(request, found, form))


@require_http_methods(["GET", "POST"])
def checkpoint_promote(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Checkpoint.objects.select_related("run__project__team"), pk, Role.EDITOR)
    project = found.run.project
    names = list(project.registered_models.values_list("name", flat=True)[:MOST_NAMES])
    initial = {"name": snippet.suggested_name(found.run), "alias": "candidate"}
    user = cast(User, request.user)
    form = PromoteForm(request.POST or None, project=project, user=user, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = promote.promote(checkpoint=found, user=user, **form.cleaned_data)
            messages.success(request, f"{made.model} {made} is registered; it is kept from now on.")
            if waits := made.moves_here.waiting().filter(alias=form.cleaned_data["alias"]).first():
                _tell(request, waits)
            return redirect("registered-version", made.pk)
        except RunError as error:
            for name, words in error.errors.items():
                form.add_error(name if name in form.fields else None, words)
    context = {"project": project, "checkpoint": found, "run": found.run, "form": form, "names": names}
    return render(request, "runs/promote.html", context, status=422 if form.errors else 200)


@require_POST
def alias_move(request: HttpRequest, pk: int) -> HttpResponse:
    """Let an alias name this version."""
    found, user = _version(request, pk, Role.EDITOR), cast(User, request.user)
    form = AliasForm(request.POST, project=found.model.project, user=user)
    if form.is_valid():
        try:
            _tell(request, promote.move_alias(version=found, user=user, **form.cleaned_data))
            return redirect("registered-version", found.pk)
        except RunError as error:
            form.add_error("reviewer" if "reviewer" in error.errors else "alias", str(error))
    return render(request, "runs/registered_version.html", _version_context(request, found, form), status=422)


@require_POST
def alias_order(request: HttpRequest, pk: int) -> HttpResponse:
    """`order` is back or remove, of the alias `alias`."""
    found = get_for(request.user, RegisteredModel.objects.select_related("project__team"), pk, Role.EDITOR)
    order = promote.remove_alias if request.POST.get("order") == "remove" else promote.roll_back
    fields = {"alias": request.POST.get("alias", "")[:40], "why": request.POST.get("why", "")}
    return _try(request, found, lambda: _tell(request, order(model=found, user=cast(User, request.user), **fields)))


@require_POST
def alias_protect(request: HttpRequest, pk: int) -> HttpResponse:
    """For administrators: whether moves of an alias need two people; with `off` no longer."""
    found = get_for(request.user, RegisteredModel.objects.select_related("project__team"), pk, Role.ADMIN)
    alias, on = request.POST.get("alias", "")[:40], "off" not in request.POST
    return _try(request, found, lambda: promote.protect(model=found, user=cast(User, request.user), alias=alias, on=on))


@require_POST
def alias_decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve a move that waits, or with `decline` not."""
    found = get_for(request.user, AliasMove.objects.select_related("model__project__team"), pk, Role.EDITOR)
    approve = "decline" not in request.POST
    return _try(
        request, found.model, lambda: promote.decide(move=found, user=cast(User, request.user), approve=approve)
    )


@require_POST
def version_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = _version(request, pk, Role.EDITOR)
    return _try(request, found.model, lambda: promote.delete_version(version=found, user=cast(User, request.user)))


def _version(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> RegisteredVersion:
    rows = RegisteredVersion.objects.select_related(
        "model__project__team", "checkpoint__run__dataset_version__dataset", "checkpoint__run__model_version__model",
        "created_by",
    )  # fmt: skip
    return get_for(request.user, rows, pk, role)


def _version_context(request: HttpRequest, found: RegisteredVersion, form: AliasForm) -> dict[str, Any]:
    aliases = list(found.model.aliases.select_related("version"))
    return {
        "project": found.model.project,
        "model": found.model,
        "version": found,
        "checkpoint": found.checkpoint,
        "run": found.checkpoint.run,
        "sha256": sha256_of(found.checkpoint),
        "aliases": aliases,
        "own": [alias for alias in aliases if alias.version_id == found.pk],
        "waits": list(found.moves_here.waiting().select_related("reviewer")[:MOST_MOVES]),
        "form": form,
        "snippet": snippet.snippet_of(found, request.build_absolute_uri("/").rstrip("/")),
        "may_edit": can(request.user, found, Role.EDITOR) and found.deleted_at is None,
    }


def _tell(request: HttpRequest, move: AliasMove) -> None:
    if move.stage == AliasMove.Stage.WAITING:
        who = move.reviewer or "somebody else"
        messages.info(request, f"{move.alias} moves to {move.to} when {who} has approved.")
    elif move.to is None:
        messages.success(request, f"{move.alias} names no version any more.")
    else:
        messages.success(request, f"{move.alias} is {move.to}.")


def _try(request: HttpRequest, model: RegisteredModel, order: Callable[[], object]) -> HttpResponse:
    try:
        order()
    except RunError as error:
        messages.warning(request, str(error))
    return redirect("registered-model", model.pk)
