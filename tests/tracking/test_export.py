"""Points as files: the same bits in every form, of frames, chunks and both, of one run and of a project."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse

from studio.runs.models import Attempt, Run, State
from studio.tracking import export as exporting
from studio.tracking import stored
from studio.tracking.compact import compact_oldest, compact_run
from studio.tracking.export import FORMS, export
from studio.tracking.ingest import ingest
from tests.access.people import People
from tests.factories import make_attempt, make_run, make_token
from trainer_core.events import MetricBlock, Position

pytestmark = pytest.mark.django_db
VALUES = [0.1, math.pi, -0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 1e16, 1 / 3]
NAMES = ["loss", '=odd,"name"', "größe/🙂"]


@pytest.fixture(autouse=True)
def _no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)


def logged(project: Any = None, frames: int = 40) -> Run:
    """Two attempts; what the first did after step 150 was done again."""
    run = make_run(project, state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    for k in range(frames):
        names = NAMES if k % 3 else NAMES[:1]
        rows = [
            (s, s / 7, 1.7e9 + s / 3, [VALUES[(s + i) % 10] for i in range(len(names))])
            for s in range(k * 5, k * 5 + 5)
        ]
        if k == frames // 2 + 15:
            Run.objects.filter(pk=run.pk).update(fence=2)
            Attempt.objects.filter(run=run).update(valid_to_step=150)
            make_attempt(run, fence=2)
        run.refresh_from_db(fields=["fence"])
        ingest(run.pk, run.fence, [MetricBlock.from_rows(names, rows)], Position(1, k + 1))
    run.refresh_from_db()
    return run


def text(number: float) -> str:
    return repr(float(number))


def rows_of(form: str, data: bytes) -> list[tuple[Any, ...]]:
    """(run, attempt, step, epoch, time, metric, value), numbers as text that has all their bits."""
    if form == "csv":
        found = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    elif form == "jsonl":
        found = [json.loads(line) for line in data.decode().splitlines()]
    else:
        found = pq.read_table(io.BytesIO(data)).to_pylist()
    return sorted(
        (int(r["run"]), int(r["attempt"]), *(text(r[k]) for k in ("step", "epoch", "time")), r["metric"].removeprefix("'"),
         text(r["value"]))
        for r in found
    )  # fmt: skip


def wanted(run: Run, *, abandoned: bool = False) -> list[tuple[Any, ...]]:
    limits = {} if abandoned else stored.limits_of(run.pk)
    return sorted(
        (run.number, fence, text(step), text(block.epochs[i]), text(block.times[i]), name, text(column[i]))
        for fence, block in stored.stored_blocks(run.pk)
        for name, column in zip(block.names, block.values, strict=True)
        for i, step in enumerate(block.steps)
        if step <= limits.get(fence, math.inf)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compacted", [0, 17, 40])
def test_every_form_has_every_point_bit_for_bit(form: Any, compacted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GROUP_ROWS", 64)
    monkeypatch.setattr(stored, "FRAMES_AT_ONCE", 3)
    monkeypatch.setattr(stored, "VALUES_AT_ONCE", 100)
    run = logged()
    assert len(wanted(run)) < len(wanted(run, abandoned=True))
    points = wanted(run), wanted(run, abandoned=True)
    compact_run(run.pk, keep=40 - compacted)
    assert rows_of(form, b"".join(export([run], form))) == points[0]
    assert rows_of(form, b"".join(export([run], form, abandoned=True))) == points[1]
    only = [p for p in points[0] if p[5] == "loss"]
    assert rows_of(form, b"".join(export([run], form, ["loss"]))) == only


def test_what_is_compacted_while_it_is_exported_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "FRAMES_AT_ONCE", 2)
    run = logged()
    points, found, last = wanted(run, abandoned=True), [], 2
    for fence, block in stored.streamed_blocks(run.pk, run.last_seq):
        found += [
            (run.number, fence, text(step), text(block.epochs[i]), text(block.times[i]), name, text(column[i]))
            for name, column in zip(block.names, block.values, strict=True)
            for i, step in enumerate(block.steps)
        ]
        last += 3
        compact_oldest(run.pk, last)
    assert sorted(found) == points


def test_a_parquet_file_is_typed_and_cut_into_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GROUP_ROWS", 100)
    parts = list(export([logged()], "parquet"))
    assert len(parts) > 3
    assert max(map(len, parts)) < 20_000
    file = pq.ParquetFile(io.BytesIO(b"".join(parts)))
    assert file.num_row_groups > 3
    table = file.read()
    assert table.column_names == list(exporting.COLUMNS)
    assert str(table.schema.field("value").type) == "double"
    assert np.isnan(table["value"].to_numpy()).any()


@pytest.mark.parametrize("form", FORMS)
def test_a_run_without_points_is_a_file_too(form: Any) -> None:
    assert rows_of(form, b"".join(export([make_run()], form))) == []


def test_a_project_gives_all_its_runs_or_some(people: People) -> None:
    runs = [logged(people.project, 36) for _ in range(3)]
    viewer = people.client("viewer")
    url = reverse("project-metrics", args=[people.project.pk, "jsonl"])
    response = viewer.get(url)
    assert 'filename="Digits-metrics.jsonl"' in response["Content-Disposition"]
    assert rows_of("jsonl", b"".join(response)) == sorted(row for run in runs for row in wanted(run))
    some = b"".join(viewer.get(url, {"run": [runs[0].number, runs[2].number], "metric": "loss"}))
    assert {row[0] for row in rows_of("jsonl", some)} == {runs[0].number, runs[2].number}
    assert {row[5] for row in rows_of("jsonl", some)} == {"loss"}
    assert viewer.get(reverse("project-metrics", args=[people.project.pk, "xls"])).status_code == 404


def test_the_interface_gives_the_same(client: Client, people: People) -> None:
    run = logged(people.project, 36)
    headers = {"Authorization": f"Bearer {make_token(people.viewer)[1]}"}

    def get(path: str, **query: Any) -> bytes:
        return b"".join(client.get(f"/api/v1{path}", query, headers=headers))

    assert rows_of("csv", get(f"/runs/{run.pk}/metrics/csv")) == wanted(run)
    assert rows_of("csv", get(f"/runs/{run.pk}/metrics/csv", abandoned=True)) == wanted(run, abandoned=True)
    assert rows_of("parquet", get(f"/projects/{people.project.pk}/metrics/parquet", run=run.number)) == wanted(run)
    assert client.get(f"/api/v1/runs/{run.pk}/metrics/xls", headers=headers).status_code == 422


def test_the_charts_tab_offers_them(people: People) -> None:
    run = make_run(people.project)
    page = people.client("viewer").get(reverse("run-charts", args=[run.pk])).content.decode()
    for form in FORMS:
        assert reverse("run-metrics", args=[run.pk, form]) in page
