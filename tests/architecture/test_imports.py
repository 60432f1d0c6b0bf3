"""Who may import whom: one direction, and a web process that never meets torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, imports, module_name, python_files, tree, where

LAYERS = [
    {"ops"},
    {"api", "home", "live", "worker"},
    {"storage"},
    {"notifications", "reports", "sweeps"},
    {"tracking"},
    {"runs"},
    {"registry"},
    {"accounts"},
    {"core"},
]
RANK = {app: len(LAYERS) - level for level, apps in enumerate(LAYERS) for app in apps}
CONTRACT = {"errors", "events", "options", "spec"}
TORCH_FREE = CONTRACT | {"durations", "values"}
FOREIGN_TO_ENGINE = {"channels", "daphne", "django", "django_rq", "plotly", "redis", "rq", "studio"}
ENGINE_ONLY = {"torch", "torchvision", "lightning", "pytorch_lightning", "trainer_core"}
OF_LOGGERS = {
    "studio/client/logger.py": {"loggers", "media", "rank"},
    "studio/client/media.py": {"loggers", "media"},
}
# Files that read the environment, and why the settings cannot do it for them.
ENVIRONMENT = {
    "studio/settings.py": "the place for it",
    "studio/asgi.py": "names the settings module",
    "studio/ops/children.py": "passes it to child processes",
    "studio/worker/trainer.py": "passes a few harmless variables on to trainers",
    "trainer_core/launch.py": "the place for it",
    "trainer_core/launching/ranks.py": "tells the further processes of a run where the engine is",
    "trainer_core/trainer.py": "cuBLAS takes its deterministic workspace from it",
    "trainer_core/seed.py": "the seed travels to subprocesses by PL_GLOBAL_SEED, as users expect",
    "trainer_core/environments/": "torchrun and cluster schedulers say by variables which rank this is",
    "trainer_core/strategies/": "tells the processes it starts which rank they are, and where they meet",
    "studio/client/account.py": "STUDIO_URL and STUDIO_TOKEN of a program that runs elsewhere",
    "trainer_core/loggers/": "each service's own variables: keys, addresses, offline mode",
}


def layer(name: str) -> str | None:
    """The app of a dotted name; None for the modules that tie the apps together (settings, urls, asgi)."""
    parts = name.split(".")
    return parts[1] if parts[0] == "studio" and len(parts) > 1 and parts[1] in RANK else None


def test_apps_import_downwards_only() -> None:
    wrong = []
    for path in python_files("studio"):
        own = layer(module_name(path))
        for name, line in imports(path):
            other = layer(name)
            if own and other and own != other and RANK[other] >= RANK[own]:
                wrong.append(f"{where(path, line)}: {own} imports {name}")
    assert not wrong


def test_every_app_has_a_layer() -> None:
    apps = {path.relative_to(ROOT).parts[1] for path in python_files("studio") if path.name == "apps.py"}
    assert apps <= set(RANK)


def test_the_client_needs_nothing_of_the_studio() -> None:
    allowed = set(sys.stdlib_module_names) | {"studio"}
    wrong = [
        f"{where(path, line)}: {name}"
        for path in python_files("studio")
        if module_name(path).startswith("studio.client")
        for name, line in imports(path)
        if (name.split(".")[0] not in allowed and not is_of_engine(path, name) and not is_of_tracker(path, name))
        or (name.startswith("studio.") and not name.startswith("studio.client"))
    ]
    assert not wrong
    assert (ROOT / "studio/__init__.py").read_text().strip() == ""


def is_of_engine(path: Path, name: str) -> bool:
    """Whether a file of the studio may import this of the engine: the contract, and the client what loggers are made of."""
    parts = name.split(".")
    more = OF_LOGGERS.get(str(path.relative_to(ROOT)), set())
    return parts[0] == "trainer_core" and len(parts) > 1 and parts[1] in CONTRACT | more


def is_of_tracker(path: Path, name: str) -> bool:
    """An importer may use the package whose files it reads."""
    return path.parent.name == "importers" and path.stem == f"of_{name.split('.')[0]}"


def test_the_studio_imports_the_contract_of_the_engine_only() -> None:
    wrong = [
        f"{where(path, line)}: {name}"
        for path in python_files("studio")
        for name, line in imports(path)
        if name.split(".")[0] in ENGINE_ONLY and not is_of_engine(path, name)
    ]
    assert not wrong


def test_the_engine_knows_nothing_of_the_studio() -> None:
    wrong = [
        f"{where(path, line)}: {name}"
        for path in python_files("trainer_core")
        for name, line in imports(path)
        if name.split(".")[0] in FOREIGN_TO_ENGINE
    ]
    assert not wrong


def test_the_contract_imports_the_standard_library_only() -> None:
    allowed = set(sys.stdlib_module_names) | {f"trainer_core.{name}" for name in TORCH_FREE}
    wrong = [
        f"{where(path, line)}: {name}"
        for path in python_files("trainer_core")
        if path.stem in TORCH_FREE and len(path.relative_to(ROOT).parts) == 2
        for name, line in imports(path)
        if not {name.split(".")[0], ".".join(name.split(".")[:2])} & allowed
    ]
    assert not wrong


def test_the_environment_is_read_in_few_places() -> None:
    wrong = []
    for path in [*python_files("studio"), *python_files("trainer_core")]:
        if str(path.relative_to(ROOT)).startswith(tuple(ENVIRONMENT)):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.putenv"):
                wrong.append(where(path, node.lineno))
        wrong += [where(path, line) for name, line in imports(path) if name in ("os.environ", "os.getenv")]
    assert not wrong


def test_one_module_speaks_to_the_queue_and_few_to_its_server() -> None:
    wrong = []
    for path in python_files("studio"):
        place = str(path.relative_to(ROOT)).removeprefix("studio/")
        for name, line in imports(path):
            top = name.split(".")[0]
            if top == "django_rq" and place != "runs/queue.py" and not place.startswith(("ops/", "worker/")):
                wrong.append(f"{where(path, line)}: {name}")
            if top == "rq" and place != "runs/queue.py" and not place.startswith(("ops/", "worker/")):
                wrong.append(f"{where(path, line)}: {name}")
    assert not wrong


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import trainer_core, trainer_core.options, trainer_core.spec, trainer_core.events", ["torch", "numpy"]),
        ("import studio.client; studio.client.StudioLogger", ["django", "torch", "numpy"]),
        ("import studio.asgi; from django.urls import get_resolver; get_resolver().url_patterns", ["torch"]),
        (
            "import django, importlib, pkgutil; django.setup(); import studio; "
            "[importlib.import_module(m.name) for m in pkgutil.walk_packages(studio.__path__, 'studio.')]",
            ["torch", "lightning"],
        ),
    ],
    ids=["contract", "client", "web", "every module of the studio"],
)
def test_a_process_without_torch(code: str, absent: list[str]) -> None:
    script = f"import sys; {code}; print([name for name in {absent!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (answer.stdout, answer.returncode) == ("[]\n", 0), answer.stderr
