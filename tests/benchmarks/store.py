"""The metric store held to its bars: `python -m tests.benchmarks.store` (a few minutes), on SQLite and on PostgreSQL.

What is stored: 20 metrics at the same steps, each a decaying loss with noise that was float32, wall times with jitter,
epochs of 1,000 steps; 50 rows a frame. Every line shows CPU time of this process, which is what counts, and wall time
beside it, which other work on the machine lengthens; the database server's own CPU time is in the wall time only. The
exit code is 1 when a bar is missed. Without PostgreSQL's programs its part is left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

METRICS, ROWS, STEPS = 20, 50, 50_000
REPEATS = 15
#: At least so many points a second.
LEAST = {"ingest, points/s": {"sqlite": 500_000, "postgresql": 150_000}}
MOST = {
    "compacted, bytes/point": 9.0, "series of 1M, ms": 40.0,
    "series of 1M by epoch, ms": 40.0, "series of 1M by time, ms": 40.0, "series of 1M by relative time, ms": 40.0,
    "series of 100k, ms": 15.0, "response, KB": 300.0,
    "last values of 1,000 runs x 20, ms": 60.0,
}  # fmt: skip


def losses(rng: Any, n: int) -> Any:
    import numpy as np

    t = np.arange(n)
    return (2.0 * np.exp(-t / (0.3 * n)) + 0.1 * rng.normal(size=n)).astype(np.float32).astype(np.float64)


def blocks(metrics: int, steps: int, rows: int) -> list[Any]:
    import numpy as np

    from trainer_core.events import MetricBlock

    rng = np.random.default_rng(0)
    names = ["train/loss", *(f"train/metric_{i:02d}" for i in range(1, metrics))]
    step = np.arange(1, steps + 1, dtype=np.float64)
    times = 1.76e9 + np.cumsum(np.abs(rng.normal(0.01, 0.002, size=steps)))
    table = np.stack([step, step / 1000, times, *(losses(rng, steps) for _ in names)])
    return [
        MetricBlock.from_columns(names, rows, np.ascontiguousarray(table[:, at : at + rows]).tobytes())
        for at in range(0, steps, rows)
    ]


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def middle_ms(work: Callable[..., Any], *given: Any, **options: Any) -> tuple[float, float]:
    """Medians of CPU and wall time of REPEATS calls."""
    work(*given, **options)
    found = [timed(lambda: work(*given, **options)) for _ in range(REPEATS)]
    return statistics.median(f[0] for f in found) * 1e3, statistics.median(f[1] for f in found) * 1e3


def spool_to_database(run: Any, folder: Path, written: list[Any]) -> tuple[float, float]:
    """Seconds of a worker's reader, from the spool to committed rows and the stream of pages."""
    from studio.worker.spool import SpoolReader
    from trainer_core.events import METRICS as KIND
    from trainer_core.events import SpoolWriter

    writer = SpoolWriter(folder / "spool")
    for block in written:
        writer.write((KIND, block.encode()))
    writer.close()
    reader = SpoolReader(run.attempts.get(), folder, lambda event: None)

    def read() -> None:
        while reader.read():
            pass

    return timed(read)


def table_bytes() -> int:
    """What the tables of points take with their indexes."""
    from django.db import connection

    names = ("tracking_metricframe", "tracking_metricaxis", "tracking_metricchunk")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM FULL")
            cursor.execute("SELECT " + " + ".join(f"pg_total_relation_size('{name}')" for name in names))
        else:
            cursor.execute("VACUUM")
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(cursor.fetchone()[0])


def new_run() -> Any:
    from studio.runs.models import State
    from tests.factories import make_attempt, make_run

    run = make_run(state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    return run


def compacted(run: Any) -> Any:
    from studio.runs.models import Run, State
    from studio.tracking.compact import compact_run

    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)
    compact_run(run.pk)
    return run


def measure(folder: Path) -> dict[str, tuple[float, ...]]:
    """(figure by CPU time, figure by wall time) or (figure,)."""
    from django.core.management import call_command

    from studio.ops import data_dir, installation, redis_server
    from studio.runs.models import Run
    from studio.tracking.summaries import last_values as last_values_of

    data_dir.make_private()
    server = installation.queue_server()
    server.start()
    while not redis_server.answers():
        time.sleep(0.02)
    try:
        call_command("migrate", verbosity=0)
        found: dict[str, tuple[float, ...]] = {}
        empty, run, points = table_bytes(), new_run(), METRICS * STEPS
        spent = spool_to_database(run, folder / "a", blocks(METRICS, STEPS, ROWS))
        found["ingest, points/s"] = tuple(points / s for s in spent)
        found["compaction, points/s"] = tuple(points / s for s in timed(lambda: compacted(run)))
        found["compacted, bytes/point"] = ((table_bytes() - empty) / points,)
        for name, steps in (("1M", 1_000_000), ("100k", 100_000)):
            one = new_run()
            spool_to_database(one, folder / name, blocks(1, steps, 1000))
            compacted(one)
            found[f"series of {name}, ms"] = middle_ms(answer, one.pk)
            if name == "1M":
                found["response, KB"] = (len(answer(one.pk)) / 1e3,)
                found["series of 1M by epoch, ms"] = middle_ms(answer, one.pk, x="epoch")
                found["series of 1M by time, ms"] = middle_ms(answer, one.pk, x="time")
                found["series of 1M by relative time, ms"] = middle_ms(answer, one.pk, x="relative")
                found["series of 1M, a tenth of it, ms"] = middle_ms(answer, one.pk, lo=4e5, hi=5e5)
        live = new_run()
        from studio.tracking.compact import compact_run

        spool_to_database(live, folder / "live", blocks(1, 1_000_000, 1000))
        compact_run(live.pk, keep=128)
        found["series of 1M of a run that goes on, ms"] = middle_ms(answer, live.pk)
        run.refresh_from_db()
        fields = {"project": run.project, "model_version": run.model_version, "dataset_version": run.dataset_version}
        fields |= {"spec": run.spec, "spec_hash": run.spec_hash, "state": run.state, "summary": run.summary}
        Run.objects.bulk_create([Run(number=1000 + i, name="r", **fields) for i in range(1000)])
        ids = list(Run.objects.filter(number__gte=1000).values_list("pk", flat=True))

        def last_values() -> None:
            assert sum(map(len, last_values_of(ids).values())) == 1000 * METRICS

        found["last values of 1,000 runs x 20, ms"] = middle_ms(last_values)
        return found
    finally:
        server.signal(signal.SIGTERM)


def answer(pk: int, **query: Any) -> str:
    """What a chart gets, as text."""
    from studio.tracking.query import series

    return json.dumps(series([pk], width=1500, **query)["runs"][0], separators=(",", ":"), allow_nan=False)


def child() -> None:
    import logging

    import django

    logging.disable(logging.WARNING)
    django.setup()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder))))


def on_database(vendor: str, url: str = "") -> bool:
    """Whether all bars are kept there."""
    from tests.ops.stack import ROOT, environment

    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        more = {"STUDIO_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "studio.settings"}
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.store", "--child"],
            env=environment(**more, **({"STUDIO_DATABASE_URL": url} if url else {})),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    kept = True
    print(f"{vendor:<42}{'by CPU time':>14}{'by wall time':>14}")
    for name, figures in json.loads(done.stdout.splitlines()[-1]).items():
        least, most = LEAST.get(name, {}).get(vendor), MOST.get(name)
        is_kept = (least is None or figures[0] >= least) and (most is None or figures[0] <= most)
        kept &= is_kept
        bar = f"at least {least:,.0f}" if least else f"at most {most:g}" if most else ""
        texts = [f"{f:>14,.1f}" for f in figures] + [" " * 14] * (2 - len(figures))
        print(f"  {name:<40}{''.join(texts)}   {bar:<18}{'' if not bar else 'ok' if is_kept else 'MISSED'}")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    given = parser.parse_args()
    if given.child:
        child()
        return 0
    from tests import postgres

    kept = on_database("sqlite") if given.only != "postgresql" else True
    if given.only == "sqlite":
        return int(not kept)
    if not postgres.IS_THERE:
        print("postgresql: left out, since initdb, pg_ctl or psycopg is not installed")
        return int(not kept)
    with postgres.server() as server:  # without fsync, as a test's server: commits reach memory only
        kept &= on_database("postgresql", server.url)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
