"""The built-in callbacks; each is imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "BackboneFinetuning": "trainer_core.callbacks.finetuning",
    "BaseFinetuning": "trainer_core.callbacks.finetuning",
    "BasePredictionWriter": "trainer_core.callbacks.prediction_writer",
    "BatchSizeFinder": "trainer_core.callbacks.batch_size_finder",
    "Callback": "trainer_core.callback",
    "Checkpoint": "trainer_core.callbacks.checkpoint",
    "DeviceStatsMonitor": "trainer_core.callbacks.device_stats",
    "EMAWeightAveraging": "trainer_core.callbacks.averaging",
    "EarlyStopping": "trainer_core.callbacks.early_stopping",
    "EarlyStoppingReason": "trainer_core.callbacks.early_stopping",
    "FitToMemory": "trainer_core.callbacks.memory",
    "GradientAccumulationScheduler": "trainer_core.callbacks.accumulation",
    "LambdaCallback": "trainer_core.callbacks.lambda_function",
    "LearningRateFinder": "trainer_core.callbacks.lr_finder",
    "LearningRateMonitor": "trainer_core.callbacks.learning_rate",
    "ModelCheckpoint": "trainer_core.callbacks.checkpoint",
    "ModelPruning": "trainer_core.callbacks.pruning",
    "ModelSummary": "trainer_core.callbacks.model_summary",
    "NonFiniteGuard": "trainer_core.callbacks.nonfinite",
    "OnExceptionCheckpoint": "trainer_core.callbacks.on_exception",
    "ProgressBar": "trainer_core.callbacks.progress",
    "RichModelSummary": "trainer_core.callbacks.rich_summary",
    "RichProgressBar": "trainer_core.callbacks.rich_progress",
    "RichProgressBarTheme": "trainer_core.callbacks.rich_progress",
    "SpeedUp": "trainer_core.callbacks.speed",
    "SpikeDetection": "trainer_core.callbacks.spikes",
    "StochasticWeightAveraging": "trainer_core.callbacks.stochastic_averaging",
    "TQDMProgressBar": "trainer_core.callbacks.progress",
    "ThroughputMonitor": "trainer_core.callbacks.throughput",
    "Timer": "trainer_core.callbacks.timer",
    "WeightAveraging": "trainer_core.callbacks.averaging",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"trainer_core.callbacks has no name {name!r}; it offers {', '.join(__all__)}.")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
