"""The command line: LightningCLI and what it is made of. Needs jsonargparse (the extra `cli`)."""

from trainer_core.cli.build import instantiate_class, instantiate_module
from trainer_core.cli.parser import (
    ArgsType,
    LightningArgumentParser,
    LRSchedulerCallable,
    LRSchedulerType,
    LRSchedulerTypeTuple,
    LRSchedulerTypeUnion,
    Namespace,
    OptimizerCallable,
    ReduceLROnPlateau,
)
from trainer_core.cli.run import LightningCLI
from trainer_core.cli.save import SaveConfigCallback

__all__ = [
    "ArgsType",
    "LRSchedulerCallable",
    "LRSchedulerType",
    "LRSchedulerTypeTuple",
    "LRSchedulerTypeUnion",
    "LightningArgumentParser",
    "LightningCLI",
    "Namespace",
    "OptimizerCallable",
    "ReduceLROnPlateau",
    "SaveConfigCallback",
    "instantiate_class",
    "instantiate_module",
]
