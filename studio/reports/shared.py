"""What a link shows: chosen field by field as plain data, so that pages, exports and frozen links hold nothing else.

Whatever a template of a shared page can reach is in here: no model, no path, no name of a machine or of a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, cast

from django.core.cache import cache
from django.db.models import Count, Max

from studio.reports import redact
from studio.reports.curves import charts_of
from studio.reports.known_names import names_of
from studio.reports.models import ShareLink
from studio.reports.shared_report import view_of_report
from studio.reports.writing import version_of
from studio.runs import checkpoints, diff, facts
from studio.runs.compare.layers import rows_of
from studio.runs.compare.variants import variants_of, verdict
from studio.runs.directions import rises
from studio.runs.models import Attempt, Checkpoint, Run, State
from studio.tracking.comparing import best_of, metrics_of, objective_of
from studio.tracking.logs import read_log

View = dict[str, Any]
MOST_METRICS, MOST_FILES, LOG_BYTES, COMPARISON_CHARTS, CACHE_S = 40, 50, 64_000, 12, 60
NOT_SHOWN = ("packages", "hardware", "code")  # layers of a comparison that tell of machines and programs
PENDING = (State.QUEUED, State.STARTING, State.RUNNING, State.PAUSING, State.PAUSED, State.CANCELLING)


def shown(link: ShareLink) -> tuple[View, str]:
    """What the link shows now, and a cursor that is another one when that changes. Four queries when nothing changed."""
    if link.frozen:
        return link.snapshot or {}, "frozen"
    # A report is not followed live: what it shows is at most CACHE_S old.
    cursor = cursor_of(runs_of(link)) if link.report is None else str(link.report.version)
    key = f"shared:{link.digest}:{cursor}"
    if (found := cache.get(key)) is None:
        cache.set(key, found := view_of(link), CACHE_S)
    return found, cursor


def runs_of(link: ShareLink) -> list[Run]:
    """The runs that a link shows, in their order, without those in the trash. One query."""
    if link.run_id is not None:
        ids = [link.run_id]
    elif link.checkpoint is not None:
        ids = [link.checkpoint.run_id]
    else:
        ids = link.run_ids
    found = {run.pk: run for run in Run.objects.filter(project_id=link.project_id, pk__in=ids).listed().for_list()}
    return [found[pk] for pk in ids if pk in found]


def cursor_of(runs: Sequence[Run]) -> str:
    """Two queries."""
    ids = [run.pk for run in runs]
    attempts = Attempt.objects.filter(run_id__in=ids).order_by().values_list("run_id")
    saved = Checkpoint.objects.filter(run_id__in=ids, deleted_at=None).order_by().values_list("run_id")
    words = (
        [(run.pk, run.name, run.state, run.last_seq, run.fence, str(run.progress.get("step"))) for run in runs],
        sorted(attempts.annotate(Max("log_bytes"), Count("ready_at"))),
        sorted(saved.annotate(Count("pk"), Max("pk"))),
    )
    return blake2b(repr(words).encode(), digest_size=12).hexdigest()


def view_of(link: ShareLink) -> View:
    """All of it as JSON. About twenty queries, and nine a run for its curves."""
    if link.report is not None:
        view = view_of_report(link.project, version_of(link.report))
        return {**view, "author": redact.text(str(link.created_by)) if link.show_author and link.created_by else ""}
    runs = runs_of(link)
    machines, people = names_of(link.project, [run.pk for run in runs])
    hidden = [*machines, *people]
    made = {ShareLink.Kind.RUN: _run, ShareLink.Kind.COMPARISON: _comparison, ShareLink.Kind.CHECKPOINT: _checkpoint}
    view = made[ShareLink.Kind(link.kind)](link, runs, hidden) if runs else {"heading": "Nothing to see any more"}
    view = redact.tree(view, machines)
    view["kind"] = link.kind
    view["author"] = redact.text(str(link.created_by)) if link.show_author and link.created_by else ""
    view["heading"] = redact.text(link.title, machines) or view["heading"]
    view["pending"] = not link.frozen and any(run.state in PENDING for run in runs)
    return view


def _run(link: ShareLink, runs: Sequence[Run], hidden: Sequence[str]) -> View:
    run = runs[0]
    view = _facts(run) | {"heading": run.name, "charts": charts_of([run])}
    view["metrics"] = _metrics(run)
    if link.show_config:
        view["config"] = _config(run, hidden)
    if link.show_logs:
        view["log"] = redact.text(read_log(run.pk, limit=LOG_BYTES).text, hidden)
    if link.show_files:
        rows = run.checkpoints.usable()[:MOST_FILES]
        view["files"] = [file for row in rows if (file := _file(row))["sha256"]]
    return view


def _checkpoint(link: ShareLink, runs: Sequence[Run], hidden: Sequence[str]) -> View:
    run, row = runs[0], cast(Checkpoint, link.checkpoint)
    file = _file(row)
    view = _facts(run) | {"heading": f"{run.name}, step {row.step:,}", "run_name": run.name}
    view |= {"files": [file] if file["sha256"] else [], "step": row.step, "epoch": row.epoch, "is_best": row.is_best}
    view["values"] = [[name, value] for name, value in row.metrics.items()][:MOST_METRICS]
    if link.show_config:
        view["config"] = _config(run, hidden)
    return view


def _comparison(link: ShareLink, runs: Sequence[Run], hidden: Sequence[str]) -> View:
    metric, up = objective_of(runs)
    columns = [metric, *(name for name in metrics_of(runs) if name != metric)][:MOST_METRICS] if metric else []
    values = {n: [best_of(run, n, up if n == metric else rises(n)) for run in runs] for n in columns}
    known = [v for v in values.get(metric, []) if v is not None]
    view: View = {
        "heading": f"{len(runs)} runs compared",
        "runs": [_facts(run) | {"name": run.name} for run in runs],
        "metric": metric,
        "best": values[metric].index((max if up else min)(known)) if known else None,
        "rows": [[name, values[name]] for name in columns],
        "charts": charts_of(runs, most=COMPARISON_CHARTS),
    }
    by_run = {n: {run.pk: v for run, v in zip(runs, values[n], strict=True)} for n in columns}
    said = verdict(variants_of(runs, by_run), metric, rises=up) if metric else None
    view["verdict"] = said.words if said else ""
    if link.show_config:
        rows = [row for row in rows_of(runs) if row.differs and row.layer not in NOT_SHOWN]
        view["choices"] = [[row.name, [redact.option(row.name, value, hidden) for value in row.values]] for row in rows]
    return view


def _facts(run: Run) -> View:
    """What is known of every run."""
    now = facts.progress_of(run)
    seconds = facts.duration_s(run) if run.is_settled else None
    return {
        "number": run.number,
        "state": run.state,
        "fraction": None if run.is_settled else now.fraction,
        "words": "" if run.is_settled else now.words,
        "began": f"{run.started_at:%Y-%m-%d %H:%M}" if run.started_at else "",
        "seconds": seconds,
        "model": "" if run.model_version is None else str(run.model_version),
        "dataset": "" if run.dataset_version is None else str(run.dataset_version),
    }


def _metrics(run: Run) -> list[View]:
    wanted = ("last", "min", "max", "mean", "count")
    return [
        {"name": name, **{key: run.summary[name].get(key) for key in wanted}}
        for name in metrics_of([run])[:MOST_METRICS]
    ]


def _config(run: Run, hidden: Sequence[str]) -> list[Any]:
    options = [version.option_specs if version else {} for version in (run.model_version, run.dataset_version)]

    def shown(row: diff.Row) -> list[str]:
        return [row.name, redact.option(row.name, row.value, hidden)]

    return [
        [title, *([shown(row) for row in rows if row.is_default is default] for default in (False, True))]
        for title, rows in diff.tables(run.spec, *options)
        if rows
    ]


def _file(row: Checkpoint) -> View:
    digest = checkpoints.sha256_of(row) if checkpoints.is_there(row) else ""
    metrics = [[name, value] for name, value in row.metrics.items()][:6]
    return {
        "id": row.pk, "step": row.step, "epoch": row.epoch, "size_bytes": row.size_bytes, "sha256": digest,
        "best": row.is_best, "metrics": metrics,
    }  # fmt: skip
