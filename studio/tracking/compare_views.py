"""Runs beside each other: the page that compares up to fifty."""

from __future__ import annotations

import json
from typing import cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, User
from studio.runs import tags
from studio.runs.compare.layers import TITLES, code_changes, rows_of
from studio.runs.compare.variants import variants_of, verdict
from studio.runs.models import Run, RunTag
from studio.runs.table.fields import rises
from studio.tracking.comparing import best_of, metrics_of, objective_of, points_of

MOST_RUNS, MOST_IN_TABLE = 50, 12
WINNER = "winner"


def project_of(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Project:
    return get_for(cast(User, request.user), Project.objects.select_related("team"), pk, role)


def numbered(project: Project, text: str) -> list[Run]:
    """The runs with these numbers (`12,14`), in this order; unknown ones are left out."""
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal() and len(part.strip()) < 10]
    found = {run.number: run for run in Run.objects.filter(project=project, number__in=numbers[:200]).for_list()}
    return [found[number] for number in dict.fromkeys(numbers) if number in found][:MOST_RUNS]


@require_GET
def run_compare(request: HttpRequest, pk: int) -> HttpResponse:
    """`?runs=12,14,15` by number; `?metric=` is the one that decides, `?all=1` shows also what is the same."""
    project = project_of(request, pk)
    runs = numbered(project, request.GET.get("runs", ""))
    context = {
        "project": project,
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
    values = {n: {run.pk: best_of(run, n, up if n == metric else rises(n)) for run in runs} for n in shown}
    variants = variants_of(runs, values)
    for variant in variants:
        rest = ",".join(str(run.number) for run in runs if run not in variant.runs)
        variant.without = "?" + urlencode({"runs": rest}, safe=",")
    groups = [[run.pk for run in variant.runs] for variant in variants if len(variant.runs) > 1]
    rows = rows_of(runs)
    known = {run.pk: v for run in runs if (v := values.get(metric, {}).get(run.pk)) is not None}
    best = (max if up else min)(known, key=lambda pk: known[pk]) if known else None
    context |= {
        "metric": metric,
        "metric_names": names,
        "rises": up,
        "variants": variants,
        "metric_rows": [(name, [variant.spreads[name] for variant in variants]) for name in shown],
        "more_metrics": max(0, len(names) - len(shown)),
        "verdict": verdict(variants, metric, rises=up) if metric else None,
        "best": best,
        "winners": set(RunTag.objects.filter(run__in=runs, name=WINNER).values_list("run_id", flat=True)),
        "show_all": bool(request.GET.get("all")),
        "layers": [
            (title, [row for row in rows if row.layer == layer and (row.differs or request.GET.get("all"))])
            for layer, title in TITLES.items()
        ],
        "differing": sum(row.differs for row in rows),
        "codes": code_changes(runs),
        "points": points_of(runs, rows, metric, up),
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
    tags.change([run.pk for run in runs if run.pk not in winners], remove=[WINNER])
    tags.change(winners, add=[WINNER])
    numbers = ",".join(str(run.number) for run in runs)
    return redirect(f"{reverse('run-compare', args=[project.pk])}?runs={numbers}")
