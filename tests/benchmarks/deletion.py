"""Promote, roll back and delete with ten clients at once: `python -m tests.benchmarks.deletion` (two minutes, twice).

On SQLite and, where its programs are, on PostgreSQL. Says how many orders were carried out, and holds what has to be
true: an alias names exactly one version that exists, and the bytes made are those on the disk and those noted as freed.
The exit code is 1 when something was wrong.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--only", choices=["sqlite", "postgresql"], default="")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        return blow(given.clients, given.seconds)
    from tests import postgres

    code = 0
    if given.only != "postgresql":
        code |= _in_child(given, {})
    if given.only != "sqlite" and postgres.IS_THERE:
        with postgres.server() as server:
            code |= _in_child(given, {"STUDIO_DATABASE_URL": server.url})
    return code


def _in_child(given: argparse.Namespace, more: dict[str, str]) -> int:
    with tempfile.TemporaryDirectory(prefix="studio-storm-") as folder:
        told = {
            "STUDIO_DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "STUDIO_LOG_LEVEL": "ERROR",
            **more,
        }
        command = [sys.executable, "-m", __spec__.name, "--here", "--seconds", str(given.seconds)]
        command += ["--clients", str(given.clients)]
        return subprocess.run(command, env=os.environ | told, cwd=ROOT, check=False).returncode


def blow(clients: int, seconds: float) -> int:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import setup_test_environment

    from studio.runs import publish
    from studio.storage.disk import differences
    from tests.access.people import make_people
    from tests.storage.storm import Storm

    setup_test_environment()
    publish._add = lambda *args: None  # nobody listens here
    call_command("migrate", verbosity=0)
    people = make_people()
    storm, began = Storm(people.project, people.owner), time.process_time()
    storm.blow(clients=clients, seconds=seconds)
    used = time.process_time() - began
    made, left, freed = storm.balance()
    print(f"{connection.display_name}: {clients} clients, {seconds:g} s, {used:.0f} s of CPU")
    for order, count in sorted(storm.orders.items()):
        print(f"  {order:24} {count:>7,}")
    print(f"  {storm.looks:,} looks at the aliases; wrong: {storm.wrong or 'nothing'}")
    print(f"  made {made:,} bytes = on the disk {left:,} + freed {freed:,}: {made == left + freed}")
    apart = differences()
    print(f"  disk and rows differ in {len(apart)} places")
    return 1 if storm.wrong or made != left + freed or apart else 0


if __name__ == "__main__":
    sys.exit(main())
