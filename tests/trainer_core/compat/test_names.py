"""Every public name of the real package is offered, or refused with what to do instead."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer_core.compat import published
from trainer_core.compat.names import MAP
from trainer_core.compat.refusals import REFUSED

ASK = """
import importlib, json, sys
from trainer_core.compat.lightning import install
install()
answers = {}
for module, names in json.load(open(sys.argv[1])).items():
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        answers[module] = str(error)
        continue
    for name in names:
        try:
            getattr(found, name)
        except AttributeError as error:
            answers[f"{module}.{name}"] = str(error)
json.dump(answers, open(sys.argv[2], "w"))
"""


def mapped() -> list[str]:
    """Full names of the modules that the map offers."""
    paths = [path for path in MAP if path and not path.startswith("utilities_core")]
    return [f"lightning.{path}" if path.startswith("fabric") else f"lightning.pytorch.{path}" for path in paths]


pytestmark = pytest.mark.timeout(300)  # the whole package is read, on a busy machine


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Module or name → the words with which it is refused, of the whole published surface."""
    folder = tmp_path_factory.mktemp("names")
    asked, answered = folder / "asked.json", folder / "answered.json"
    names = {name: sorted(m.exported) for name, m in published.modules().items()}
    asked.write_text(json.dumps({**dict.fromkeys(mapped(), []), **names}))
    subprocess.run([sys.executable, "-c", ASK, str(asked), str(answered)], check=True, timeout=280)
    return dict(json.loads(answered.read_text()))


needs_the_package = pytest.mark.skipif(
    not published.is_installed(), reason="the lightning package is not installed (extra: test)"
)


@needs_the_package
def test_what_is_not_offered_is_refused_with_what_to_do_instead(refusals: dict[str, str]) -> None:
    assert [words for words in refusals.values() if "; " not in words] == []


@needs_the_package
def test_every_path_of_the_map_can_be_imported(refusals: dict[str, str]) -> None:
    assert [refusals[module] for module in mapped() if module in refusals] == []


@needs_the_package
def test_names_that_projects_live_on_are_offered(refusals: dict[str, str]) -> None:
    for package in ("callbacks", "cli", "profilers", "tuner", "utilities", "core", "trainer", "demos"):
        for name in published.modules()[f"lightning.pytorch.{package}"].exported:
            path = f"lightning.pytorch.{package}.{name}"
            assert path not in refusals or name in {"XLAProfiler", "is_shared_filesystem"}, refusals[path]
    assert {p for p in refusals if p.startswith("lightning.pytorch.loggers.")} == {
        "lightning.pytorch.loggers.LitLogger",
        "lightning.pytorch.loggers.litlogger",
        "lightning.pytorch.loggers.neptune",
    } | {p for p in refusals if p.endswith("NeptuneLogger")}


@pytest.mark.parametrize("path", sorted(MAP))
def test_every_entry_of_the_map_resolves(path: str) -> None:
    for place in MAP[path]:
        module, _, names = place.partition(":")
        found = importlib.import_module(module)
        for pair in names.split():
            assert hasattr(found, pair.split("=")[-1]), f"{module} has no {pair}"


def test_no_offered_path_is_refused() -> None:
    assert set(MAP) & set(REFUSED) == set()


def test_refusals_say_what_to_do() -> None:
    assert all(len(reason) > 15 and not reason.endswith(".") for reason in REFUSED.values())


def test_the_map_is_sorted_into_no_second_implementation() -> None:
    """The folder holds names and small stand-ins, not an engine."""
    folder = Path(importlib.import_module("trainer_core.compat").__file__ or "").parent
    assert sum(len(p.read_text().splitlines()) for p in folder.glob("*.py")) < 2000
