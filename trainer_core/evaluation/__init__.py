"""What a trained model gets right and wrong on a split, as plain data: see `report`."""

from trainer_core.evaluation.report import report

__all__ = ["report"]
