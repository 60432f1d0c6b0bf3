"""The lines of the README that log from anywhere do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.client import Client
from studio.client.importers import KINDS
from studio.registry.builtin import sync_builtins
from studio.reports.models import ShareLink
from studio.runs.models import Run
from tests import factories

ROOT = Path(__file__).parents[2]


def section(title: str) -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_program_of_the_readme_logs_its_run(server: str, people: Any, tmp_path: Path) -> None:
    text = section("Log from anywhere")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    factories.make_project("My project", team=people.team)
    environment = {
        "STUDIO_URL": server, "STUDIO_TOKEN": factories.make_token(people.editor)[1], "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, "-c", f"{program}\nimport sys; assert not {{'torch', 'django'}} & set(sys.modules)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    run = Run.objects.get()
    assert (run.name, run.state, run.spec["config"]) == ("baseline", "succeeded", {"lr": 0.1})
    assert run.summary["loss"]["count"] == 100
    assert list((tmp_path / "studio-runs").iterdir())
    for kind in KINDS:
        assert kind in text


def test_the_program_of_the_readme_writes_a_report_and_shares_it(
    server: str, people: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", section("Reports and links"), re.DOTALL)
    factories.make_project("My project", team=people.team)
    token = factories.make_token(people.editor)[1]
    exec(program.replace("http://127.0.0.1:8000", server).replace("studio_…", token), {})  # noqa: S102
    link = ShareLink.objects.get()
    assert link.embed_on == ["https://wiki.example"] and link.revoked_at is not None
    assert link.report is not None and not link.report.is_draft
    assert "/s/" in capsys.readouterr().out


def test_the_program_of_the_readme_queues_a_run_and_a_test_after_it(server: str, people: Any) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", section("Before and beside a run"), re.DOTALL)
    factories.make_project("My project", team=people.team)
    sync_builtins()
    exec(program, {"client": Client(server, token=factories.make_token(people.editor)[1])})  # noqa: S102
    train, test = Run.objects.order_by("pk")
    assert train.spec["trainer"]["max_epochs"] == 20
    assert (test.after, test.after_checkpoint, test.spec["extras"]["stage"]) == (train, "best", "test")
