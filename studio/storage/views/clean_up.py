"""The clean-up of a project: what is offered, what exactly was chosen, then what became free."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.core.templatetags.studio import filesize
from studio.runs.models import Run
from studio.storage.errors import StorageError
from studio.storage.offers import Done, Offer, clean_up, offers_of

SHOWN_RUNS = 20


@require_http_methods(["GET", "POST"])
def project_clean_up(request: HttpRequest, pk: int) -> HttpResponse:
    """The offers; POST with `offer` shows what they are about, and with the marks that it shows carries them out."""
    project = get_for(request.user, Project.objects.select_related("team"), pk, Role.EDITOR)
    if request.method == "POST" and "confirm" in request.POST:
        pairs = [given.partition(":") for given in request.POST.getlist("mark")[:20]]
        try:
            done = clean_up(project=project, marks={key: mark for key, _, mark in pairs}, user=cast(User, request.user))
        except StorageError as error:
            return _page(request, project, [key for key, _, _ in pairs], said=str(error))
        messages.success(request, words_of(done))
        for words in done.stayed[:5]:
            messages.warning(request, words)
        return redirect("project-storage", project.pk)
    return _page(request, project, request.POST.getlist("offer")[:20] if request.method == "POST" else [])


def words_of(done: Done) -> str:
    words = []
    if done.freed.files_bytes or (not done.freed.database_bytes and not done.moved):
        words.append(f"Freed {filesize(done.freed.files_bytes)} on the disk.")
    if done.freed.database_bytes:
        words.append(f"{filesize(done.freed.database_bytes)} in the database is free for new rows.")
    if done.moved:
        words.append(f"{done.moved} run{'' if done.moved == 1 else 's'} moved to the trash.")
    if done.later_bytes:
        words.append(
            f"{filesize(done.later_bytes)} more follows within the hour: files that were stored only just now."
        )
    return " ".join(words)


def _page(request: HttpRequest, project: Project, keys: list[str], said: str = "") -> HttpResponse:
    offers = offers_of(project)
    chosen = [offer for offer in offers if offer.key in keys]
    if request.method == "POST" and not chosen:
        said = said or "Nothing is chosen. Tick what should go."
    context = {
        "project": project,
        "offers": offers,
        "chosen": [(offer, _runs_of(offer)) for offer in chosen],
        "total": sum(offer.size_bytes for offer in chosen if offer.hard),
        "said": said,
        "shown": SHOWN_RUNS,
    }
    return render(request, "storage/clean_up.html", context, status=200)


def _runs_of(offer: Offer) -> list[Run]:
    if offer.key == "trash":
        return []
    return list(Run.objects.filter(pk__in=offer.runs[:SHOWN_RUNS]).defer("spec", "summary", "progress"))
