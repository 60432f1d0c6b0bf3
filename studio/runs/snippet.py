"""The lines that load a registered version, and the name that a checkpoint is registered under unless one says another."""

from __future__ import annotations

import re

from studio.runs.models import Run
from studio.runs.registered_models import RegisteredVersion


def snippet_of(version: RegisteredVersion, address: str) -> str:
    """Three lines of Python that download the version and load it; they read STUDIO_TOKEN."""
    run = version.checkpoint.run
    own_code = run.spec.get("model", {}).get("source", "zoo") != "zoo"
    project = version.model.project_id
    return (
        "from studio.client import Client\n"
        "from trainer_core.saved import load_model\n"
        f'model = load_model(Client("{address}").registered.download("{version.model.name}@{version}", project={project})'
        f"{', run_code=True' if own_code else ''})\n"
    )


def suggested_name(run: Run) -> str:
    """Of the run's model and dataset, in the letters that a name may have."""
    model, data = run.model_version, run.dataset_version
    words = f"{model.model.name} {data.dataset.name}" if model and data else run.name
    return re.sub(r"[^\w .-]+", " ", words).strip(" .-")[:80] or "model"
