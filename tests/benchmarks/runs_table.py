"""The table of runs held to its bars: `python -m tests.benchmarks.runs_table` (ten minutes), on SQLite and PostgreSQL.

10,000 runs, made as people and workers make them (submitted, taken, points ingested, finished), each with about 200
choices and 100 metrics of 20 points. Every request goes through the whole studio but the network. A line shows the
median of CPU time of this process, which is what counts on SQLite, and of wall time, in which a database server's work
is too. The exit code is 1 when a bar is missed. `--keep FOLDER` leaves the studio there, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.store import middle_ms

METRICS, POINTS, PARAMETERS, PIECE = 100, 20, 150, 100
#: Milliseconds, by the larger of CPU and wall time of a quiet machine; MB.
BARS = {
    "filter": 100.0, "sort": 100.0, "filter and sort": 100.0, "group": 300.0, "page, first": 1000.0, "memory, MB": 300.0,
}  # fmt: skip
SELECTIONS: dict[str, dict[str, str]] = {
    "filter": {"q": "lr<1e-3 state:finished tag:baseline metric_003.max>0.2"},
    "filter by a choice": {"q": "choice_007:3 optimizer:adam"},
    "filter by a name": {"q": "name~77 -tag:baseline"},
    "sort": {"sort": "-val_acc.max"},
    "sort by a choice": {"sort": "lr"},
    "sort by two": {"sort": "optimizer,-val_loss.min"},
    "filter and sort": {"q": "lr<1e-2 val_acc.max>0.5", "sort": "val_loss.min,-lr"},
}
WIDE = "state,val_acc.max,val_loss.min,metric_003.last,metric_004.mean,lr,optimizer,choice_001,choice_002,best,when"


def fill(count: int, project: Any, user: Any) -> None:
    from django.db import transaction
    from django.utils import timezone

    from studio.runs import tags
    from studio.runs.models import Attempt, Run, State
    from studio.runs.states import transition
    from studio.runs.submit import submit_run
    from studio.tracking.ingest import ingest
    from tests.factories import make_dataset_version, make_model_version
    from trainer_core.events import MetricBlock, Position

    draw = random.Random(0)
    params = [
        {"name": "lr", "kind": "float", "default": 1e-3},
        {"name": "optimizer", "kind": "str", "default": "adam"},
        *({"name": f"choice_{i:03d}", "kind": "int", "default": i} for i in range(PARAMETERS)),
    ]
    models = [make_model_version(project=project, params=params) for _ in range(3)]
    data = [make_dataset_version(project=project) for _ in range(3)]
    names = ["val_acc", "val_loss", *(f"metric_{i:03d}" for i in range(METRICS - 2))]
    steps = list(range(1, POINTS + 1))
    for at in range(0, count, PIECE):
        with transaction.atomic():
            made = []
            for i in range(at, min(at + PIECE, count)):
                choices = {"lr": 10 ** draw.uniform(-5, -1), "optimizer": draw.choice(["adam", "sgd", "adamw"])}
                choices |= {f"choice_{k:03d}": draw.randrange(10) for k in range(10)}
                run = submit_run(
                    project=project,
                    user=user,
                    model_version=models[i % 3],
                    dataset_version=data[i % 2],
                    name=f"sweep {i}",
                    model_args=choices,
                    extras={"monitor": "val_loss"},
                    seed=i % 5,
                )
                Run.objects.filter(pk=run.pk).update(state=State.RUNNING, fence=1, started_at=timezone.now())
                run.state, run.fence = State.RUNNING, 1
                Attempt.objects.create(run=run, fence=1)
                rows = [(s, s / 10, 1.76e9 + s, [draw.random() * (1 + s / 40) / 2 for _ in names]) for s in steps]
                ingest(run.pk, 1, [MetricBlock.from_rows(names, rows)], Position(1, 1))
                transition(run, State.FAILED if i % 7 == 0 else State.SUCCEEDED, by="worker", outcome="ok")
                made.append(run.pk)
            tags.change(made[::3], add=["baseline"])


def measure(count: int) -> dict[str, tuple[float, ...]]:
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.urls import reverse

    from studio.accounts.models import User
    from studio.ops import data_dir
    from studio.runs.models import RunConfig
    from studio.runs.table import statistics
    from studio.runs.table.groups import groups_of
    from studio.runs.table.select import table_of
    from tests.factories import make_project, make_team, make_user

    data_dir.make_private()
    call_command("migrate", verbosity=0)
    user = User.objects.order_by("pk").first() or make_user("bench")
    project = user.memberships.first().team.projects.first() if user.memberships.exists() else None  # type: ignore[union-attr]
    project = project or make_project("Many runs", team=make_team("Bench", admin=user))
    began = time.process_time()
    if not project.runs.exists():
        fill(count, project, user)
    made_s = time.process_time() - began
    if connection.vendor == "sqlite":
        statistics.refresh()  # as the scheduler does
        connection.close()
    else:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as PostgreSQL does
    first = project.runs.order_by("pk").first()
    assert first is not None
    found: dict[str, tuple[float, ...]] = {
        "runs": (float(project.runs.count()),),
        "choices of a run": (float(RunConfig.objects.filter(run=first).count()),),
        "made, ms a run": (made_s / count * 1e3,),
    }

    def select(**asked: str) -> None:
        table = table_of(project, user, asked)
        assert table.error is None, table.error
        pks, count = table.part(0, 50)
        assert pks
        assert count

    for name, asked in SELECTIONS.items():
        found[name] = middle_ms(select, **asked)

    def group(**asked: str) -> None:
        table = table_of(project, user, asked)
        assert groups_of(table, table.matching(), table.columns)[0]

    found["group"] = middle_ms(group, group="choice_003", columns="val_acc.max,val_loss.min,lr")
    found["group by two, filtered"] = middle_ms(group, group="optimizer,model", columns="val_acc.max", q="lr<1e-2")
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on, not that of filling
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    url, kinds = (
        reverse("project", args=[project.pk]),
        {"page, first": {}, "page, wide": {"columns": WIDE, "sort": "-val_acc.max"}},
    )

    def get(address: str, query: dict[str, Any]) -> None:
        answer = client.get(address, query)
        assert answer.status_code == 200, answer.status_code
        assert answer.content

    for name, query in kinds.items():
        found[name] = middle_ms(get, url, query)
    found["page, grouped"] = middle_ms(get, url, {"group": "lr", "columns": WIDE})
    found["completions"] = middle_ms(get, reverse("run-complete", args=[project.pk]), {"text": "choi"})
    pks = list(project.runs.order_by("-number").values_list("pk", flat=True)[:50])
    curves = {"of": [f"{pk}:val_loss" for pk in pks]}
    found["small curves of a page"] = middle_ms(get, reverse("project-sparks", args=[project.pk]), curves)
    found["memory, MB"] = (peak_mb(),)
    return found


def peak_mb() -> float:
    """The most memory that this process had since its peak was forgotten."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1e3


def child(count: int) -> None:
    import logging

    import django

    logging.disable(logging.WARNING)
    django.setup()
    from django.urls import get_resolver

    from studio.runs import publish, queue

    assert get_resolver().url_patterns  # what a web process has loaded

    # Nobody waits for these runs: no worker is woken, no page is told.
    queue._ring = lambda *args, **options: None  # type: ignore[assignment]
    publish._add = lambda *args: None  # type: ignore[assignment]
    from studio.tracking import publish as points

    points.metrics = lambda *args: None  # type: ignore[assignment]
    print(json.dumps(measure(count)))


def on_database(vendor: str, count: int, folder: Path, url: str = "") -> bool:
    """Whether all bars are kept there."""
    from tests.ops.stack import ROOT, environment

    more = {"STUDIO_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.runs_table", "--child", "--runs", str(count)],
        env=environment(**more, **({"STUDIO_DATABASE_URL": url} if url else {})),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    kept = True
    print(f"{vendor:<34}{'by CPU time':>14}{'by wall time':>14}")
    for name, figures in json.loads(done.stdout.splitlines()[-1]).items():
        bar = BARS.get(name)
        counted = figures[-1] if vendor == "postgresql" else figures[0]
        is_kept = bar is None or counted <= bar
        kept &= is_kept
        texts = "".join(f"{figure:>14,.1f}" for figure in figures) + " " * 14 * (2 - len(figures))
        print(f"  {name:<32}{texts}   {'' if bar is None else f'at most {bar:g}  ' + ('ok' if is_kept else 'MISSED')}")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--keep", type=Path, help="folder for the studio on SQLite; runs that are there are used")
    given = parser.parse_args()
    if given.child:
        child(given.runs)
        return 0
    from tests import postgres

    kept = True
    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        if given.only != "postgresql":
            kept = on_database("sqlite", given.runs, given.keep or Path(folder))
        if given.only == "sqlite":
            return int(not kept)
        if not postgres.IS_THERE:
            print("postgresql: left out, since initdb, pg_ctl or psycopg is not installed")
            return int(not kept)
        with tempfile.TemporaryDirectory(prefix="studio-") as other, postgres.server() as server:
            kept &= on_database("postgresql", given.runs, Path(other), server.url)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
