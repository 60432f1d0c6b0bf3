"""A studio full of markup, for a real browser: `STUDIO_DATA_DIR=… python -m tests.e2e.hostile`.

Rows of every page of the access matrix with markup in all their text columns; and a run whose metrics, log, results and
media, a report, and a dataset whose columns and cells carry it too. Prints as JSON which addresses there are to open, and
the cookie of somebody who may.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.ops.stack import Studio

#: Closes an attribute and a tag; would be a picture that is not there, whose error runs a program.
MARKUP = "\"'><img x9 src=x onerror=alert(1)>"
#: What charts take for a link and for a style; as an element it would be a program too.
CHARTED = '<a href="javascript:alert(1)" x9>a</a><span style="color:red">b</span><script x9>alert(1)</script>'
ANONYMOUS = ("login", "join")
LEFT_OUT = {"login-link", "report-export"}  # the one signs somebody else in, the other is a download


@dataclass
class Attacked:
    """A studio without workers that is full of markup: `found` says what is in it. It may be stopped and started again."""

    data_dir: Path
    studio: Studio
    found: dict[str, Any]

    def start(self) -> None:
        """At the same address, so that open pages find it again."""
        port = self.studio.url.rpartition(":")[2]
        self.studio = Studio(self.data_dir, "--port", port, "--workers", "0").wait_ready()


def prepare(data_dir: Path, module: str = "tests.e2e.hostile") -> dict[str, Any]:
    """From another process: addresses of `pages`, `anonymous` pages, a `report` to export, the `form` of a run,
    a page that is `followed` for ever; and who may."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "STUDIO_DATA_DIR": str(data_dir)}
    env.pop("PYTEST_XDIST_WORKER", None)  # the data directory is the studio's, as it is
    command = [sys.executable, "-m", module]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, env=env, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def addresses(people: Any) -> dict[str, list[str]]:
    from django.urls import reverse

    from tests.access.walk import listed_routes
    from tests.core.test_accessible_pages import NO_PAGES

    found: dict[str, list[str]] = {"pages": [], "anonymous": []}
    seen = set()
    for route in listed_routes():
        who = "anonymous" if route.name in ANONYMOUS else "owner"
        one = (route.name, bool(route.query))  # others of it differ in who may
        if route.method != "GET" or route.expect[who] != 200 or route.headers or "api" in route.name or one in seen:
            continue
        if route.name in NO_PAGES | LEFT_OUT:
            continue
        seen.add(one)
        kwargs = route.make(people)
        query = f"?{route.query(people, kwargs)}" if route.query else ""
        found["pages" if who == "owner" else who].append(reverse(route.name, kwargs=kwargs) + query)
    return found


def hostile_run(people: Any) -> Any:
    """Two failed runs with metrics, log, results and media; the first of them."""
    from django.utils import timezone

    from studio.runs.models import Run, State
    from studio.tracking.logs import append_log
    from studio.tracking.results import keep_results
    from tests import factories
    from tests.reports.series import log_series
    from tests.tracking.test_results import CLASSES

    runs = []
    for i in range(2):
        run = factories.make_run(people.project, state=State.RUNNING, fence=1, name=MARKUP, tags=[MARKUP], note=MARKUP)
        host = {"hostname": MARKUP, "python": MARKUP, "versions": {MARKUP: f"{MARKUP}{i}"}, "device": f"{MARKUP}{i}"}
        factories.make_attempt(run, host=host, detail=MARKUP, reason=MARKUP, ready_at=timezone.now())
        log_series(run, {"val_loss": [0.9, 0.5], f"train/{MARKUP}": [1.0, 0.6], CHARTED: [1.0, 2.0]})
        append_log(run.pk, 1, 0, f"\x1b[31m{MARKUP}\x1b[0m {CHARTED}\n\x1b]8;;javascript:alert(1)\x07x\n".encode())
        worst = [{**one, "true": MARKUP, "predicted": CHARTED} for one in CLASSES["worst"]]
        keep_results(run.pk, 1, {**CLASSES, "classes": [MARKUP, CHARTED], "worst": worst})
        hostile_media(run)
        run.spec["model"] |= {"code": f"{MARKUP}\n{i}\n", "args": {MARKUP: f"{MARKUP}{i}"}}
        run.save(update_fields=["spec"])
        runs.append(run)
    Run.objects.filter(pk__in=[run.pk for run in runs]).update(
        state=State.FAILED, outcome="user_error", reason=MARKUP, ended_at=timezone.now()
    )
    return runs


def hostile_media(run: Any) -> None:
    from tests.factories import make_media

    figure = {
        "data": [{"type": "bar", "x": [CHARTED], "y": [1], "name": CHARTED}],
        "layout": {"title": {"text": CHARTED}},
    }
    bodies = {
        "text": ("text/plain", MARKUP),
        "table": ("application/json", json.dumps({"columns": [MARKUP, "b"], "rows": [[MARKUP, CHARTED]], "total": 1})),
        "matrix": ("application/json", json.dumps({"labels": [CHARTED, MARKUP], "matrix": [[1, 2], [3, 4]]})),
        "figure": ("application/json", json.dumps(figure)),
        "image": ("image/png", ""),
    }
    for kind, (mime, body) in bodies.items():
        make_media(run, body.encode(), kind=kind, key=f"{kind} {MARKUP}", mime=mime, caption=MARKUP, meta={})


def hostile_dataset(people: Any) -> str:
    from django.urls import reverse

    from tests.access.routes_registry import SCHEMA
    from tests.factories import make_dataset_version

    columns = [{**column, "name": f"{MARKUP} {i}", "notices": [MARKUP]} for i, column in enumerate(SCHEMA["columns"])]
    columns[1] |= {"top": [[MARKUP, 20], [CHARTED, 20]]}
    columns[1]["classes"] = {"counts": [[MARKUP, 20], [CHARTED, 20]], "singles": 0, "single": ""}
    made = make_dataset_version(
        project=people.project, ref="CSVTable", schema={**SCHEMA, "columns": columns, "notices": [MARKUP]},
        preview={"rows": [[MARKUP, CHARTED]], "batch": {"state": "waiting"}}, code=f'"""{MARKUP}"""\n', note=MARKUP,
    )  # fmt: skip
    return reverse("dataset-version", args=[made.pk])


def hostile_report(people: Any, runs: list[Any]) -> Any:
    from studio.reports.writing import create

    numbers = ", ".join(str(run.number) for run in runs)
    body = f"# {MARKUP}\n\n{MARKUP} {CHARTED} [x](javascript:alert(1)) ![y](http://evil.example/y.png)\n\n"
    body += f"```chart\nruns: {numbers}\nmetrics: val_loss\ntitle: {MARKUP}\n```\n\n```table\nruns: {numbers}\n```\n\n"
    body += f"```image\nrun: {runs[0].number}\nkey: image {MARKUP}\n```\n\n```python\n{MARKUP}\n```\n"
    return create(project=people.project, by=people.owner, title=MARKUP, body=body)


def fill() -> dict[str, Any]:
    from django.conf import settings
    from django.contrib.auth.hashers import PBKDF2PasswordHasher
    from django.urls import reverse
    from django.utils import timezone

    from studio.accounts.audit import record
    from studio.reports.sharing import share
    from studio.runs.models import Run, State
    from tests.access.people import make_people
    from tests.access.poison import poison
    from tests.factories import PASSWORD

    people = make_people()
    found: dict[str, Any] = addresses(people)
    record(people.owner, "project.edit", people.project, name=MARKUP)
    poison(MARKUP)
    runs = hostile_run(people)
    tabs = ("run", "run-charts", "run-results", "run-system", "run-logs", "run-media", "run-config", "run-discussion")
    found["pages"] += [reverse(name, args=[runs[0].pk]) for name in tabs]
    numbers = [run.number for run in runs]
    found["pages"].append(f"{reverse('run-compare', args=[people.project.pk])}?runs={numbers[0]},{numbers[1]}")
    found["pages"].append(f"{reverse('run-changed', args=[people.project.pk])}?a={numbers[0]}&b={numbers[1]}")
    found["pages"].append(followed := hostile_dataset(people))
    report = hostile_report(people, runs)
    found["pages"].append(reverse("report", args=[report.pk]))
    parts = ["show_config", "show_logs", "show_files", "show_author"]
    for target in (report, runs[0], runs):
        token = share(target=target, by=people.owner, project=people.project, parts=parts)[1]
        found["anonymous"].append(reverse("shared", args=[token]))
    # Nobody takes them for lost while they are looked at.
    Run.objects.filter(state=State.RUNNING).update(lease_until=timezone.now() + timedelta(hours=2))
    people.owner.refresh_from_db()
    hasher = PBKDF2PasswordHasher()
    people.owner.password = hasher.encode(PASSWORD, hasher.salt())  # as the studio reads it, not the tests
    people.owner.save(update_fields=["password"])
    cookie = people.client("owner").cookies[settings.SESSION_COOKIE_NAME].value
    known = {"cookie": [settings.SESSION_COOKIE_NAME, cookie], "name": people.owner.username, "password": PASSWORD}
    form = f"{reverse('run-create', args=[people.project.pk])}?model={runs[0].model_version_id}&dataset={runs[0].dataset_version_id}"
    return {**found, **known, "report": reverse("report-export", args=[report.pk]), "form": form, "followed": followed}


def main() -> None:
    import django

    django.setup()
    from studio.tracking import publish

    publish.metrics = lambda *args: None  # nobody watches
    print(json.dumps(fill()))


if __name__ == "__main__":
    main()
