"""Pages of one run: its overview, configuration and checkpoints."""

from __future__ import annotations

from typing import Any, cast

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST, require_safe

from studio.accounts.access import can, get_for
from studio.accounts.models import Role, User
from studio.accounts.still import still_reads
from studio.core.download import stream_file
from studio.runs import checkpoints, diff, downloads, promote, reproduce, starts, timeline
from studio.runs.directions import direction
from studio.runs.models import Checkpoint, Run, State
from studio.runs.register import online

PAGE_SIZE = 50
MOST_METRICS, MOST_EVENTS, MOST_CHILDREN = 24, 100, 20


def read(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Run:
    return get_for(request.user, Run.objects.for_list().select_related("project__team", "worker"), pk, role)


@require_GET
def run(request: HttpRequest, pk: int) -> HttpResponse:
    found = read(request, pk)
    attempts = list(found.attempts.select_related("worker").order_by("-fence")[:MOST_EVENTS])[::-1]
    rows = timeline.rows(attempts)
    context = {
        **page_of(found, "overview"),
        "timeline": rows,
        "timeline_parts": timeline.parts(found, attempts),
        "down_s": sum(row.down_s or 0.0 for row in rows),
        "last_attempt": attempts[-1] if attempts else None,
        "events": found.events.order_by("-pk")[:MOST_EVENTS],
        "unsaved": checkpoints.unsaved(found),
        "metrics": _metrics(found),
        "reproduction": reproduce.reproduction_of(found),
        "began_with": starts.origin(found, cast(User, request.user)),
        "parent": _parent_of(request, found),
        "children": found.children.visible_to(cast(User, request.user)).order_by("-number")[:MOST_CHILDREN],  # type: ignore[attr-defined]
        "no_worker": found.state == State.QUEUED and not online().filter(pool=found.pool).exists(),
    }
    return render(request, "runs/overview.html", context)


def _parent_of(request: HttpRequest, found: Run) -> Run | None:
    """What it was made from, unless that is in a project that the user does not see."""
    if found.parent_id is None:
        return None
    return Run.objects.visible_to(cast(User, request.user)).filter(pk=found.parent_id).first()


@require_GET
def run_config(request: HttpRequest, pk: int) -> HttpResponse:
    found = read(request, pk)
    parent = _parent_of(request, found)
    versions = (found.model_version, found.dataset_version)
    tables = diff.tables(found.spec, *(version.option_specs if version else {} for version in versions))
    context = {
        **page_of(found, "config"),
        "tables": tables,
        "text": diff.as_text(found.spec),
        "parent": parent,
        "changes": diff.diff(parent.spec, found.spec) if parent else [],
    }
    return render(request, "runs/config.html", context)


@require_GET
def run_checkpoints(request: HttpRequest, pk: int) -> HttpResponse:
    found = read(request, pk)
    rows = found.checkpoints.filter(deleted_at__isnull=True).order_by("-step", "-fence")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    newest = checkpoints.newest(found)
    began = starts.begun_with(list(page), cast(User, request.user))
    promoted = promote.versions_of(list(page))
    shown = [
        {
            "row": row,
            "sha256": checkpoints.sha256_of(row),
            "is_on_its_way": checkpoints.is_on_its_way(row),
            "is_last": row == newest,
            "started": began.get(row.pk, ()),
            "registered": promoted.get(row.pk, ()),
        }
        for row in page
    ]
    gone = found.checkpoints.filter(deleted_at__isnull=False).count()
    context = {**page_of(found, "checkpoints"), "page": page, "checkpoints": shown, "gone": gone}
    return render(request, "runs/checkpoints.html", {**context, "may_edit": can(request.user, found, Role.EDITOR)})


@require_safe
def checkpoint_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file of weights and state, streamed; a range of it on request."""
    found = get_for(request.user, Checkpoint.objects.select_related("run__project"), pk)
    name = f"run-{found.run.number}-step-{found.step}.ckpt"
    source, digest = downloads.source_of(found), checkpoints.sha256_of(found)
    return stream_file(request, source, name, sha256=digest, still=still_reads(request, found))


@require_POST
def checkpoint_pin(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a checkpoint for ever, or with `unpin` no longer."""
    found = get_for(request.user, Checkpoint.objects.select_related("run__project"), pk, Role.EDITOR)
    checkpoints.pin(found, "unpin" not in request.POST)
    return redirect("run-checkpoints", found.run_id)


def page_of(found: Run, tab: str) -> dict[str, Any]:
    """What every tab of a run needs."""
    return {"run": found, "project": found.project, "tab": tab}


def _metrics(found: Run) -> list[dict[str, Any]]:
    """Rows of the summary: the watched metric first, those of validation next; at most MOST_METRICS."""
    watched = found.spec.get("extras", {}).get("monitor")
    mode = found.spec.get("extras", {}).get("monitor_mode", "min")

    def order(name: str) -> tuple[bool, bool, str]:
        return name != watched, not name.startswith(("val", "test")), name

    rows = []
    for name in sorted(found.summary, key=order)[:MOST_METRICS]:
        numbers = found.summary[name]
        better = {"max": "up", "min": "down"}.get(mode) if name == watched else direction(name)
        which = {"up": "max", "down": "min"}.get(better or "", "")
        best, at = numbers.get(which), numbers.get(f"arg{which}")
        rows.append(
            {"name": name, **numbers, "best": best, "best_step": at, "which": which, "watched": name == watched}
        )
    return rows
