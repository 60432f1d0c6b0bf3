"""Reports written and read: each save is a version of its own, and what it freezes is kept with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from studio.accounts import activity
from studio.accounts.audit import record
from studio.accounts.models import Project, User
from studio.core.markdown import plain
from studio.reports import panels
from studio.reports.blocks import Block, parse
from studio.reports.curves import ReadAhead, read
from studio.reports.errors import ReportError, StaleReport
from studio.reports.models import Report, ReportVersion
from studio.runs.models import Run
from studio.tracking.comparing import objective_of

Part = dict[str, Any]


def create(*, project: Project, by: User, title: str, body: str) -> Report:
    """A draft with its first version. ReportError for a text that cannot be read."""
    frozen = _freeze(project, by, parse(body), {})
    with transaction.atomic():
        report = Report.objects.create(
            project=project, title=title, version=1, created_by=by, updated_at=timezone.now()
        )
        ReportVersion.objects.create(report=report, number=1, title=title, body=body, frozen=frozen, author=by)
        record(by, "report.create", report)
    return report


def save(*, report: Report, by: User, title: str, body: str, base: int) -> int:
    """The number of the new version; `base` is the one that was changed.

    StaleReport when another one came meanwhile. Panels that stay frozen keep the numbers that they have.
    """
    blocks = parse(body)
    before = version_of(report)
    frozen = _freeze(report.project, by, blocks, before.frozen)
    try:
        with transaction.atomic():
            rows = Report.objects.filter(pk=report.pk, version=base)
            if not rows.update(version=base + 1, title=title, updated_at=timezone.now()):
                raise StaleReport
            ReportVersion.objects.create(
                report=report, number=base + 1, title=title, body=body, frozen=frozen, author=by
            )
            record(by, "report.save", report, version=base + 1)
    except IntegrityError as error:
        raise StaleReport from error
    return base + 1


def publish(*, report: Report, by: User, draft: bool, url: str) -> None:
    """Say that it is ready, or that it is a draft again."""
    with transaction.atomic():
        if not Report.objects.filter(pk=report.pk, is_draft=not draft).update(is_draft=draft):
            return
        record(by, "report.withdraw" if draft else "report.publish", report)
        if not draft:
            text = plain("\n\n".join(block.text for block in parse(version_of(report).body) if not block.kind))
            title = f"{by} published the report {report}"
            activity.add(project=report.project, actor=by, kind="report.publish", title=title, text=text, url=url)


def delete(*, report: Report, by: User) -> None:
    with transaction.atomic():
        record(by, "report.delete", report, title=report.title)
        report.delete()


def version_of(report: Report, number: int | None = None) -> ReportVersion:
    """That version, or the newest; ReportVersion.DoesNotExist for a number that there is not."""
    return report.versions.select_related("author").get(number=number or report.version)


def shown(project: Project, version: ReportVersion, seen: set[int] | None = None) -> list[Part]:
    """The parts of a version: `{"key", "kind", "text" | "data", "frozen"}`; `seen` takes the runs that are in it."""
    return parts_of(project, version.author, parse(version.body), version.frozen, seen)


def parts_of(
    project: Project, reader: User | None, blocks: Sequence[Block], frozen: dict[str, Any], seen: set[int] | None = None
) -> list[Part]:
    found: list[Part] = []
    runs: set[int] = set() if seen is None else seen
    numbers: set[int] = set()
    ahead = _read_ahead([block for block in blocks if not (block.frozen and block.key in frozen)])
    for block in blocks:
        part: Part = {"key": block.key, "kind": block.kind, "frozen": block.frozen}
        if not block.kind:
            part["text"] = block.text
        elif block.frozen and block.key in frozen:
            part["data"] = frozen[block.key]
            runs.update(run["id"] for run in part["data"].get("runs", []))
            numbers.update(block.given.get("runs", []), [block.given["run"]] if "run" in block.given else [])
        else:
            part["data"] = panels.data_of(project, reader, block, runs, ahead.get(_runs_of(block), read))
        found.append(part)
    if numbers:
        runs.update(Run.objects.filter(project=project, number__in=numbers).values_list("pk", flat=True))
    return found


def _read_ahead(blocks: Sequence[Block]) -> dict[tuple[int, ...], ReadAhead]:
    """For runs of several charts that name their metrics, what reads them for all at once."""
    metrics: dict[tuple[int, ...], list[list[str]]] = {}
    for block in blocks:
        if block.kind == "chart" and "metrics" in block.given:
            metrics.setdefault(_runs_of(block), []).append(block.given["metrics"])
    return {runs: ReadAhead(chain.from_iterable(some)) for runs, some in metrics.items() if len(some) > 1}


def _runs_of(block: Block) -> tuple[int, ...]:
    return tuple(block.given.get("runs", ()))


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """Lines of a unified difference: (added, removed, place or same; the line)."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    return [(kinds.get(line[:1], "same"), line) for line in lines]


def template_for(runs: Sequence[Run]) -> tuple[str, str]:
    """A title and a text to begin with: about one run, or about several that are compared."""
    if not runs:
        return "", ""
    metric, _ = objective_of(runs)
    numbers = ", ".join(str(run.number) for run in runs)
    return (f"Report on #{runs[0].number}" if len(runs) == 1 else f"Comparison of {len(runs)} runs"), "\n".join(
        _template(runs, numbers, metric)
    )


def _template(runs: Sequence[Run], numbers: str, metric: str) -> Iterator[str]:
    yield from ("# Question", "", "What did we want to know?", "", "# Result", "")
    yield from ("```table", f"runs: {numbers}", "```", "")
    if metric:
        yield from ("```chart", f"runs: {numbers}", f"metrics: {metric}", "```", "")
    yield from ("# Curves", "", "```chart", f"runs: {numbers}", "```", "")
    if len(runs) == 1 and not runs[0].is_external:
        yield from ("# Checkpoint", "", "```checkpoint", f"run: {numbers}", "step: best", "```", "")
    yield from ("# What follows", "", "What do we do next?", "")


def _freeze(project: Project, by: User, blocks: Sequence[Block], before: dict[str, Any]) -> dict[str, Any]:
    """The numbers of frozen panels: those of before where the panel was there, else those of now."""
    found = {}
    for block in blocks:
        if block.kind and block.frozen:
            data = before.get(block.key) or panels.data_of(project, by, block, set())
            if "error" in data:
                raise ReportError([f"Line {block.line}: {data['error']}"])
            found[block.key] = data
    return found
