"""The map: Lightning's module paths and names → ours. What is not offered stands in `refusals.py`.

A path stands below `lightning.pytorch`, unless it begins with `fabric` (`lightning.fabric`) or `utilities_core`
(`lightning_utilities.core`). Its places are searched in order: `"our.module"` has all names of that module,
`"our.module: A B"` only these, and `"our.module: Theirs=Ours"` renames.
"""

from __future__ import annotations


def _anything(names: str) -> str:
    """Types that are only written in annotations."""
    return "typing: " + " ".join(f"{name}=Any" for name in names.split())


PUBLIC = (
    "trainer_core.callback: Callback",
    "trainer_core.datamodule: LightningDataModule",
    "trainer_core.module: LightningModule",
    "trainer_core.trainer: Trainer",
    "trainer_core.seed: seed_everything",
    "trainer_core.compat.kinds: cli_lightning_logo",
)
MESSAGES = (
    "trainer_core.compat.messages: rank_zero_only rank_zero_info rank_zero_warn rank_zero_debug rank_zero_deprecation "
    "rank_prefixed_message WarningCache LightningDeprecationWarning",
    "trainer_core.rank: log",
)
NESTED = ("trainer_core.compat.nested",)
PACKAGES = ("trainer_core.compat.packages",)
WARNINGS = ("trainer_core.compat.messages: PossibleUserWarning disable_possible_user_warnings",)


UTILITIES = (
    *MESSAGES,
    *WARNINGS,
    "trainer_core.compat.nested: move_data_to_device apply_to_collection",
    "trainer_core.compat.weights: grad_norm find_shared_parameters set_shared_parameters measure_flops",
    "trainer_core.compat.attributes: is_picklable",
    "trainer_core.compat.files: suggested_max_num_workers",
    "trainer_core.hparams: AttributeDict",
    "trainer_core.data.combined: CombinedLoader",
    "trainer_core.compat.kinds: GradClipAlgorithmType LightningEnum",
)
TYPES = (
    "trainer_core.optimizers: LRSchedulerConfig",
    "torch.optim.lr_scheduler: LRScheduler ReduceLROnPlateau",
    "torch.distributed: ReduceOp",
    "torch.nn.parallel: DistributedDataParallel",
    _anything(
        "STEP_OUTPUT EPOCH_OUTPUT TRAIN_DATALOADERS EVAL_DATALOADERS OptimizerLRScheduler OptimizerLRSchedulerConfig "
        "OptimizerConfig LRSchedulerTypeUnion LRSchedulerType LRSchedulerTypeTuple LRSchedulerPLType "
        "LRSchedulerConfigType _EVALUATE_OUTPUT _PREDICT_OUTPUT _METRIC _METRIC_COLLECTION _PATH _DEVICE "
        "_MAP_LOCATION_TYPE _PARAMETERS _ADD_ARGPARSE_RETURN Optimizable Steppable CollectibleGroup _Stateful "
        "_SizedIterable _BATCH_TYPE _LITERAL_WARN _PRECISION_INPUT _PRECISION_INPUT_STR"
    ),
)
SEED = (
    "trainer_core.seed: seed_everything isolate_rng pl_worker_init_function=seed_worker _collect_rng_states=capture_rng "
    "_set_rng_states=restore_rng",
)
STRATEGIES = (
    "trainer_core.strategies.base: Strategy",
    "trainer_core.strategies.single: SingleDeviceStrategy",
    "trainer_core.strategies.ddp: DDPStrategy ParallelStrategy=DDPStrategy",
    _anything("TBroadcast TReduce"),
)
ACCELERATORS = (
    "trainer_core.devices: Accelerator CPUAccelerator CUDAAccelerator MPSAccelerator GPUAccelerator=CUDAAccelerator",
    "trainer_core.compat.kinds: find_usable_cuda_devices",
)
CUDA = (*ACCELERATORS, "torch.cuda: is_cuda_available=is_available num_cuda_devices=device_count")
PRECISION = (
    "trainer_core.precision: Precision MixedPrecision HalfPrecision DoublePrecision PrecisionPlugin=Precision "
    "MixedPrecisionPlugin=MixedPrecision DoublePrecisionPlugin=DoublePrecision HalfPrecisionPlugin=HalfPrecision",
)
CHECKPOINT_IO = (
    "trainer_core.checkpoint.io: CheckpointIO",
    "trainer_core.checkpoint.asynchronous: AsyncCheckpointIO",
    "trainer_core.compat.files: TorchCheckpointIO",
)
ENVIRONMENTS = ("trainer_core.environments",)
LOGGER = (
    "trainer_core.loggers.base: Logger LightningLoggerBase=Logger DummyLogger DummyExperiment rank_zero_experiment",
    "trainer_core.compat.kinds: merge_dicts",
)
SUMMARY = ("trainer_core.summary: ModelSummary summarize LayerSummary=LayerRow get_human_readable_count=human_count",)
RICH = "trainer_core.callbacks: RichProgressBar RichProgressBarTheme"
PROGRESS = ("trainer_core.callbacks.progress",)
TQDM = (*PROGRESS, "trainer_core.compat.bars")
DATA = (
    "trainer_core.results: extract_batch_size=measure_batch",
    "trainer_core.data.combined: sized_len",
    "trainer_core.hparams: AttributeDict",
    "trainer_core.compat.files: suggested_max_num_workers",
    "trainer_core.compat.kinds: has_len has_len_all_ranks=has_len has_iterable_dataset",
)
DEMOS = ("trainer_core.compat.demos", "trainer_core.compat.texts", "trainer_core.compat.digits: MNISTDataModule")
THROUGHPUT = ("trainer_core.callbacks.throughput", "trainer_core.compat.weights: measure_flops")
SPIKES = ("trainer_core.callbacks.spikes",)
IS_OVERRIDDEN = ("trainer_core.compat.kinds: is_overridden get_torchvision_model",)
HPARAMS = ("trainer_core.hparams: HyperparametersMixin",)
MIGRATION = ("trainer_core.compat.kinds: migrate_checkpoint pl_legacy_patch",)
FITTING = ("trainer_core.loops.fit: _FitLoop=FitLoop FitLoop",)
EVALUATING = ("trainer_core.loops.evaluate: _EvaluationLoop=EvaluationLoop EvaluationLoop",)
PREDICTING = ("trainer_core.loops.predict: _PredictionLoop=PredictionLoop PredictionLoop",)

MAP: dict[str, tuple[str, ...]] = {
    "": (*PUBLIC, *WARNINGS),
    "accelerators": ACCELERATORS,
    "accelerators.accelerator": ACCELERATORS,
    "accelerators.cpu": ACCELERATORS,
    "accelerators.cuda": CUDA,
    "accelerators.mps": ACCELERATORS,
    "callbacks": ("trainer_core.callbacks",),
    "callbacks.base": PUBLIC,
    "callbacks.batch_size_finder": ("trainer_core.callbacks: BatchSizeFinder",),
    "callbacks.callback": PUBLIC,
    "callbacks.checkpoint": ("trainer_core.callbacks.checkpoint: Checkpoint",),
    "callbacks.device_stats_monitor": ("trainer_core.callbacks.device_stats",),
    "callbacks.early_stopping": ("trainer_core.callbacks.early_stopping",),
    "callbacks.finetuning": ("trainer_core.callbacks.finetuning",),
    "callbacks.gradient_accumulation_scheduler": ("trainer_core.callbacks.accumulation",),
    "callbacks.lambda_function": ("trainer_core.callbacks.lambda_function",),
    "callbacks.lr_finder": ("trainer_core.callbacks: LearningRateFinder",),
    "callbacks.lr_monitor": ("trainer_core.callbacks.learning_rate",),
    "callbacks.model_checkpoint": ("trainer_core.callbacks.checkpoint",),
    "callbacks.model_summary": ("trainer_core.callbacks.model_summary",),
    "callbacks.on_exception_checkpoint": ("trainer_core.callbacks: OnExceptionCheckpoint",),
    "callbacks.prediction_writer": ("trainer_core.callbacks.prediction_writer",),
    "callbacks.progress": (*PROGRESS, RICH),
    "callbacks.progress.base": PROGRESS,
    "callbacks.progress.progress_bar": PROGRESS,
    "callbacks.progress.rich_progress": (RICH,),
    "callbacks.progress.tqdm_progress": TQDM,
    "callbacks.pruning": ("trainer_core.callbacks.pruning",),
    "callbacks.rich_model_summary": ("trainer_core.callbacks: RichModelSummary",),
    "callbacks.spike": SPIKES,
    "callbacks.stochastic_weight_avg": ("trainer_core.callbacks: StochasticWeightAveraging",),
    "callbacks.throughput_monitor": THROUGHPUT,
    "callbacks.timer": ("trainer_core.callbacks.timer",),
    "callbacks.weight_averaging": ("trainer_core.callbacks.averaging",),
    "cli": ("trainer_core.cli",),
    "core": PUBLIC,
    "core.datamodule": PUBLIC,
    "core.hooks": ("trainer_core.hooks",),
    "core.lightning": PUBLIC,
    "core.memory": SUMMARY,
    "core.mixins": HPARAMS,
    "core.mixins.hparams_mixin": HPARAMS,
    "core.module": PUBLIC,
    "core.optimizer": ("trainer_core.optimizers", "trainer_core.compat.kinds: do_nothing_closure"),
    "core.saving": ("trainer_core.compat.files: load_hparams_from_yaml save_hparams_to_yaml",),
    "demos": DEMOS,
    "demos.boring_classes": DEMOS,
    "demos.lstm": DEMOS,
    "demos.mnist_datamodule": ("trainer_core.compat.digits: MNIST _MNIST=TensorDigits MNISTDataModule",),
    "demos.transformer": DEMOS,
    "fabric": ("trainer_core.seed: seed_everything", *WARNINGS),
    "fabric.accelerators": ACCELERATORS,
    "fabric.accelerators.accelerator": ACCELERATORS,
    "fabric.accelerators.cpu": ACCELERATORS,
    "fabric.accelerators.cuda": CUDA,
    "fabric.accelerators.mps": ACCELERATORS,
    "fabric.loggers": (*LOGGER, "trainer_core.loggers: CSVLogger TensorBoardLogger"),
    "fabric.loggers.csv_logs": ("trainer_core.loggers.csv",),
    "fabric.loggers.logger": LOGGER,
    "fabric.loggers.tensorboard": ("trainer_core.loggers.tensorboard",),
    "fabric.plugins": PRECISION + CHECKPOINT_IO + ENVIRONMENTS,
    "fabric.plugins.environments": ENVIRONMENTS,
    "fabric.plugins.environments.cluster_environment": ENVIRONMENTS,
    "fabric.plugins.environments.lightning": (
        *ENVIRONMENTS,
        "trainer_core.environments.lightning: find_free_network_port=free_port",
    ),
    "fabric.plugins.environments.slurm": ENVIRONMENTS,
    "fabric.plugins.environments.torchelastic": ENVIRONMENTS,
    "fabric.plugins.io": CHECKPOINT_IO,
    "fabric.plugins.io.checkpoint_io": CHECKPOINT_IO,
    "fabric.plugins.io.torch_io": CHECKPOINT_IO,
    "fabric.plugins.precision": PRECISION,
    "fabric.plugins.precision.amp": PRECISION,
    "fabric.plugins.precision.double": PRECISION,
    "fabric.plugins.precision.half": PRECISION,
    "fabric.plugins.precision.precision": PRECISION,
    "fabric.strategies": STRATEGIES,
    "fabric.strategies.ddp": STRATEGIES,
    "fabric.strategies.parallel": STRATEGIES,
    "fabric.strategies.single_device": STRATEGIES,
    "fabric.strategies.strategy": STRATEGIES,
    "fabric.utilities": UTILITIES + THROUGHPUT,
    "fabric.utilities.apply_func": NESTED,
    "fabric.utilities.cloud_io": (
        "trainer_core.compat.files: get_filesystem _load=load _atomic_save=atomic_save load atomic_save",
    ),
    "fabric.utilities.data": DATA,
    "fabric.utilities.distributed": (
        "trainer_core.data.distributed: DistributedSamplerWrapper=SharedSampler",
        "torch.distributed: ReduceOp",
    ),
    "fabric.utilities.enums": ("trainer_core.compat.kinds: LightningEnum",),
    "fabric.utilities.exceptions": ("trainer_core.errors",),
    "fabric.utilities.imports": PACKAGES,
    "fabric.utilities.logger": (
        "trainer_core.loggers.hparams: _convert_params=plain_params _flatten_dict=flatten_params",
        "trainer_core.compat.kinds: _add_prefix _sanitize_callable_params _sanitize_params",
    ),
    "fabric.utilities.optimizer": ("trainer_core.optimizers: _optimizer_to_device=optimizer_to",),
    "fabric.utilities.rank_zero": MESSAGES,
    "fabric.utilities.seed": SEED,
    "fabric.utilities.spike": SPIKES,
    "fabric.utilities.throughput": THROUGHPUT,
    "fabric.utilities.types": TYPES,
    "fabric.utilities.warnings": WARNINGS,
    "loggers": ("trainer_core.loggers",),
    "loggers.base": LOGGER,
    "loggers.comet": ("trainer_core.loggers.comet",),
    "loggers.csv_logs": ("trainer_core.loggers.csv",),
    "loggers.logger": LOGGER,
    "loggers.mlflow": ("trainer_core.loggers.mlflow",),
    "loggers.tensorboard": ("trainer_core.loggers.tensorboard",),
    "loggers.utilities": ("trainer_core.loggers.checkpoints: _scan_checkpoints=checkpoints_of",),
    "loggers.wandb": ("trainer_core.loggers.wandb",),
    "loops": FITTING + EVALUATING + PREDICTING,
    "loops.evaluation_loop": EVALUATING,
    "loops.fit_loop": FITTING,
    "loops.prediction_loop": PREDICTING,
    "overrides.distributed": (
        "trainer_core.data.distributed",
        "trainer_core.data.distributed: UnrepeatedDistributedSamplerWrapper=UnrepeatedDistributedSampler",
    ),
    "plugins": PRECISION + CHECKPOINT_IO + ENVIRONMENTS,
    "plugins.environments": ENVIRONMENTS,
    "plugins.io": CHECKPOINT_IO,
    "plugins.io.async_plugin": CHECKPOINT_IO,
    "plugins.io.checkpoint_plugin": CHECKPOINT_IO,
    "plugins.io.torch_plugin": CHECKPOINT_IO,
    "plugins.precision": PRECISION,
    "plugins.precision.amp": PRECISION,
    "plugins.precision.double": PRECISION,
    "plugins.precision.half": PRECISION,
    "plugins.precision.precision": PRECISION,
    "profiler": ("trainer_core.profilers",),
    "profilers": ("trainer_core.profilers",),
    "profilers.advanced": ("trainer_core.profilers",),
    "profilers.base": ("trainer_core.profilers",),
    "profilers.profiler": ("trainer_core.profilers",),
    "profilers.pytorch": ("trainer_core.profilers",),
    "profilers.simple": ("trainer_core.profilers",),
    "strategies": STRATEGIES,
    "strategies.ddp": STRATEGIES,
    "strategies.parallel": STRATEGIES,
    "strategies.single_device": STRATEGIES,
    "strategies.strategy": STRATEGIES,
    "trainer": PUBLIC,
    "trainer.connectors.accelerator_connector": (
        "trainer_core.compat.kinds: _AcceleratorConnector",
        _anything("_PRECISION_INPUT _PRECISION_INPUT_STR _PLUGIN_INPUT _LITERAL_WARN"),
    ),
    "trainer.states": ("trainer_core.states",),
    "trainer.supporters": ("trainer_core.data.combined",),
    "trainer.trainer": PUBLIC,
    "tuner": ("trainer_core.tuner",),
    "tuner.lr_finder": ("trainer_core.tuner", "trainer_core.tuner: _LRFinder=LearningRateRange"),
    "tuner.tuning": ("trainer_core.tuner",),
    "utilities": UTILITIES,
    "utilities.apply_func": NESTED,
    "utilities.argparse": (),
    "utilities.cli": ("trainer_core.cli",),
    "utilities.cloud_io": (
        "trainer_core.compat.files: get_filesystem load atomic_save _load=load _atomic_save=atomic_save",
    ),
    "utilities.combined_loader": ("trainer_core.data.combined",),
    "utilities.compile": ("trainer_core.compat.weights: from_compiled to_uncompiled=from_compiled",),
    "utilities.data": DATA,
    "utilities.distributed": MESSAGES,
    "utilities.enums": ("trainer_core.compat.kinds: GradClipAlgorithmType LightningEnum",),
    "utilities.exceptions": ("trainer_core.errors",),
    "utilities.grads": ("trainer_core.compat.weights: grad_norm",),
    "utilities.imports": PACKAGES,
    "utilities.memory": (
        "trainer_core.compat.nested: recursive_detach",
        "trainer_core.compat.weights: is_oom_error garbage_collection_cuda is_cuda_out_of_memory=is_oom_error "
        "is_out_of_cpu_memory=is_oom_error",
    ),
    "utilities.migration": MIGRATION,
    "utilities.migration.utils": MIGRATION,
    "utilities.model_helpers": IS_OVERRIDDEN,
    "utilities.model_summary": SUMMARY,
    "utilities.model_summary.model_summary": SUMMARY,
    "utilities.parameter_tying": ("trainer_core.compat.weights: find_shared_parameters set_shared_parameters",),
    "utilities.parsing": ("trainer_core.compat.attributes", "trainer_core.hparams: AttributeDict"),
    "utilities.rank_zero": MESSAGES,
    "utilities.seed": SEED,
    "utilities.signature_utils": ("trainer_core.compat.kinds: is_param_in_hook_signature",),
    "utilities.types": TYPES,
    "utilities.warnings": WARNINGS,
    "utilities_core": (
        *MESSAGES,
        "trainer_core.compat.nested: apply_to_collection",
        "trainer_core.compat.packages: compare_version module_available",
        "trainer_core.compat.kinds: StrEnum=LightningEnum",
        *IS_OVERRIDDEN,
    ),
    "utilities_core.apply_func": NESTED,
    "utilities_core.enums": ("trainer_core.compat.kinds: StrEnum=LightningEnum",),
    "utilities_core.imports": PACKAGES,
    "utilities_core.overrides": IS_OVERRIDDEN,
    "utilities_core.rank_zero": MESSAGES,
}
