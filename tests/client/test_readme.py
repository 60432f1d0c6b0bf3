"""The lines of the README that log from anywhere do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from studio.client.importers import KINDS
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
