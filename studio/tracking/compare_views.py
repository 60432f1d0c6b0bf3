"""Runs beside each other: the page that compares up to fifty."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import cast
from urllib.parse import urlencode

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from studio.accounts import activity
from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, User
from studio.runs import tags
from studio.runs.compare.layers import TITLES, code_changes, rows_of
from studio.runs.compare.variants import variants_of, verdict
from studio.runs.directions import direction, rises
from studio.runs.models import Checkpoint, Run, RunTag
from studio.tracking.compare_table import cost_rows, metric_rows
from studio.tracking.comparing import best_of, best_run, costs_of, metrics_of, objective_of, points_of, value_of

MOST_RUNS, MOST_IN_TABLE = 50, 12
WINNER = "winner"


def project_of(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Project:
    return get_for(cast(User, request.user), Project.objects.select_related("team"), pk, role)


def numbered(project: Project, text: str) -> list[Run]:
    """The runs with these numbers (`12,14`), in this order; unknown ones are left out. One query."""
    return _found(project, text)[0][:MOST_RUNS]


def _found(project: Project, text: str) -> tuple[list[Run], list[str]]:
    """The runs, and what of the text names none of the project."""
    parts = list(dict.fromkeys(part for some in text[:4000].split(",") if (part := some.strip().removeprefix("#"))))[
        :200
    ]
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) < 10]
    found = {run.number: run for run in Run.objects.filter(project=project, number__in=numbers).for_list()}
    unknown = [part for part in parts if not (part.isdecimal() and len(part) < 10 and int(part) in found)]
    return [found[number] for number in dict.fromkeys(numbers) if number in found], unknown


def unknown_of(project: Project, text: str) -> list[str]:
    """A sentence on the numbers that name no run of the project, if there are any."""
    return _notices(*_found(project, text))


def _notices(runs: list[Run], unknown: list[str]) -> list[str]:
    """What of the address is not on the page, and what of it is elsewhere not to be seen."""
    said = []
    if unknown:
        names = ", ".join(f"#{part[:20]}" for part in unknown[:10])
        said.append(f"Left out: no run of this project is {names}{' …' if len(unknown) > 10 else ''}.")
    if len(runs) > MOST_RUNS:
        said.append(f"{len(runs)} runs are asked for; these are the first {MOST_RUNS}.")
    return said


@require_GET
def run_compare(request: HttpRequest, pk: int) -> HttpResponse:
    """`?runs=12,14,15` by number; `?metric=` is the one that decides, `?all=1` shows also what is the same."""
    project = project_of(request, pk)
    asked_for, unknown = _found(project, request.GET.get("runs", ""))
    runs = asked_for[:MOST_RUNS]
    context = {
        "project": project,
        "notices": _notices(asked_for, unknown),
        "runs": runs,
        "numbers": ",".join(str(run.number) for run in runs),
        "most": MOST_RUNS,
    }
    if len(runs) < 2:
        return render(request, "tracking/compare_none.html", context)
    metric, up = objective_of(runs)
    asked = request.GET.get("metric", "")
    if asked and any(asked in run.summary for run in runs):
        metric, up = asked, (up if asked == metric else rises(asked))
    names = metrics_of(runs)
    shown = [metric, *(name for name in names if name != metric)][:MOST_IN_TABLE] if metric else []
    values = {n: {run.pk: value_of(run, n, direction(n)) for run in runs} for n in shown}
    if metric:
        values[metric] = {run.pk: best_of(run, metric, up) for run in runs}
    variants = variants_of(runs, values)
    for variant in variants:
        rest = ",".join(str(run.number) for run in runs if run not in variant.runs)
        variant.without = "?" + urlencode({"runs": rest}, safe=",")
        variant.best = best_run(variant.runs, values.get(metric, {}), rises=up)
    groups = [[run.pk for run in variant.runs] for variant in variants if variant.seeds > 1]
    rows, costs = rows_of(runs), costs_of(runs)
    found = verdict(variants, metric, rises=up) if metric else None
    winners = set(RunTag.objects.filter(run__in=runs, name=WINNER).values_list("run_id", flat=True))
    context |= {
        "metric": metric,
        "metric_names": names,
        "rises": up,
        "variants": variants,
        "metric_rows": metric_rows(variants, shown, metric, rises=up),
        "cost_rows": cost_rows(variants, costs),
        "more_metrics": max(0, len(names) - len(shown)),
        "verdict": found,
        "more_seeds": [run for run in found.more if not run.is_external] if found else [],
        "winners": winners,
        "promotable": checkpoints_of(winners),
        "show_all": bool(request.GET.get("all")),
        "layers": [
            (title, [row for row in rows if row.layer == layer and (row.differs or request.GET.get("all"))])
            for layer, title in TITLES.items()
        ],
        "differing": sum(row.differs for row in rows),
        "codes": code_changes(runs),
        "points": points_of(runs, rows, metric, up, costs),
        "names_json": json.dumps({run.pk: f"#{run.number} {run.name}" for run in runs}),
        "seed_groups": json.dumps(groups) if groups else "",
        "ids": ",".join(str(run.pk) for run in runs),
        "may_edit": can(request.user, project, Role.EDITOR),
    }
    return render(request, "tracking/compare.html", context)


@require_POST
def run_winner(request: HttpRequest, pk: int) -> HttpResponse:
    """Tag the run `winner` (a number) of those compared, and no other of `runs`; without one, none of them."""
    project = project_of(request, pk, Role.EDITOR)
    runs = numbered(project, request.POST.get("runs", ""))
    number = request.POST.get("winner", "")
    winners = [run.pk for run in runs if str(run.number) == number]
    numbers = ",".join(str(run.number) for run in runs)
    address = f"{reverse('run-compare', args=[project.pk])}?runs={numbers}"
    with transaction.atomic():
        tags.change([run.pk for run in runs if run.pk not in winners], remove=[WINNER])
        if tags.change(winners, add=[WINNER]):
            _tell(project, cast(User, request.user), next(run for run in runs if run.pk in winners), runs, address)
    return redirect(address)


def _tell(project: Project, user: User, winner: Run, runs: list[Run], address: str) -> None:
    """Those whose runs were compared, and the project's activity."""
    others = ", ".join(f"#{run.number}" for run in runs if run is not winner)
    activity.add(
        project=project,
        actor=user,
        kind="review.winner",
        title=f"{user} marked {winner} as the winner",
        text=f"Compared with {others}",
        url=address[:300],
        people={run.created_by_id: "yours" for run in runs if run.created_by_id is not None},
    )


def checkpoints_of(runs: Collection[int]) -> dict[int, Checkpoint]:
    """Of each run the checkpoint to promote: the best, else the newest. One query."""
    rows = Checkpoint.objects.filter(run__in=runs, deleted_at=None).order_by("run_id", "is_best", "step")
    return {row.run_id: row for row in rows}
