"""What of Lightning's surface is not offered, and what to do instead."""

from __future__ import annotations


def _each(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


SHARING = "strategy='ddp' is what shares work between devices"
DEVICES = "accelerators are cpu, cuda and mps"
PRECISIONS = "precision= takes 64, 32, 16 and bf16, true and mixed"
LOGGERS = "loggers are CSV, TensorBoard, MLflow, W&B and Comet"
STARTED_BY = "start the processes with torchrun or srun, or subclass ClusterEnvironment"
NO_FABRIC = "write a LightningModule and give it to Trainer, or a plain loop in PyTorch"
EXPORT = "export the model with to_onnx or to_torchscript and serve that"
INSIDE = "it is a part of Lightning's inside; hooks, callbacks and Trainer's properties reach what the engine does"
OLD_FILES = "files since Lightning 2.0 are read as they are"
BAR = "RichProgressBar and RichProgressBarTheme draw; override get_metrics to show other values"

#: Name, or path of a module below `lightning.pytorch` (`fabric.` for `lightning.fabric`) → what to do instead.
#: A name is refused wherever it is asked for, a path with everything below it.
REFUSED: dict[str, str] = {
    **_each(
        "FSDPStrategy FSDPPrecision DeepSpeedStrategy DeepSpeedPrecision ModelParallelStrategy XLAFSDPStrategy "
        "DataParallelStrategy strategies.fsdp strategies.deepspeed strategies.model_parallel "
        "plugins.precision.fsdp plugins.precision.deepspeed utilities.deepspeed utilities.consolidate_checkpoint "
        "utilities.model_summary.model_summary_deepspeed fabric.strategies.fsdp fabric.strategies.deepspeed "
        "fabric.strategies.model_parallel fabric.strategies.dp fabric.strategies.xla_fsdp "
        "fabric.plugins.precision.fsdp fabric.plugins.precision.deepspeed fabric.utilities.consolidate_checkpoint "
        "fabric.utilities.load DeepSpeedSummary FSDPPrecisionPlugin FSDPMixedPrecisionPlugin DeepSpeedPrecisionPlugin "
        "StrategyRegistry STRATEGY_REGISTRY",
        SHARING,
    ),
    **_each(
        "XLAStrategy SingleDeviceXLAStrategy XLAAccelerator XLAPrecision XLACheckpointIO XLAEnvironment "
        "accelerators.xla strategies.xla strategies.single_xla plugins.io.xla_plugin plugins.precision.xla "
        "fabric.accelerators.xla fabric.strategies.xla fabric.strategies.single_xla fabric.plugins.precision.xla "
        "fabric.plugins.io.xla fabric.plugins.environments.xla _graveyard fabric.accelerators.registry "
        "call_register_accelerators AcceleratorRegistry ACCELERATOR_REGISTRY HPUAccelerator HPUCheckpointIO "
        "HPUPrecisionPlugin HPUParallelStrategy SingleHPUStrategy TPUAccelerator SingleTPUStrategy "
        "TPUPrecision TPUBf16Precision XLABf16Precision TPUPrecisionPlugin TPUBf16PrecisionPlugin XLAPrecisionPlugin "
        "XLABf16PrecisionPlugin",
        DEVICES,
    ),
    **_each("XLAProfiler profilers.xla", "profilers are simple, advanced and pytorch"),
    **_each(
        "BitsandbytesPrecision TransformerEnginePrecision BitsandbytesPrecisionPlugin "
        "TransformerEnginePrecisionPlugin plugins.precision.bitsandbytes "
        "plugins.precision.transformer_engine fabric.plugins.precision.bitsandbytes "
        "fabric.plugins.precision.transformer_engine fabric.plugins.precision.utils LightningDoublePrecisionModule",
        PRECISIONS,
    ),
    **_each("LitLogger loggers.litlogger", LOGGERS),
    **_each("NeptuneLogger loggers.neptune", f"Lightning itself has removed it; {LOGGERS}"),
    **_each(
        "LSFEnvironment MPIEnvironment KubeflowEnvironment fabric.plugins.environments.lsf "
        "fabric.plugins.environments.mpi fabric.plugins.environments.kubeflow",
        STARTED_BY,
    ),
    **_each("LayerSync TorchSyncBatchNorm plugins.layer_sync", "Trainer(sync_batchnorm=True) does it"),
    **_each(
        "Fabric is_wrapped fabric.fabric fabric.wrappers fabric.connector fabric.cli fabric.plugins.collectives "
        "fabric.strategies.registry fabric.utilities.init fabric.utilities.registry fabric.utilities.testing "
        "fabric.utilities.device_parser fabric.utilities.device_dtype_mixin",
        NO_FABRIC,
    ),
    **_each("ServableModule ServableModuleValidator serve", EXPORT),
    **_each("metrics", "Lightning itself has removed it; use the package torchmetrics"),
    **_each("lite LightningLite", "Lightning itself has removed it; write a LightningModule"),
    **_each(
        "loops.fetchers loops.loop loops.optimization loops.progress loops.training_epoch_loop loops.utilities "
        "strategies.launchers fabric.strategies.launchers trainer.call trainer.configuration_validator trainer.setup trainer.connectors plugins.io.wrapper "
        "tuner.batch_size_scaling utilities._pytree utilities.testing RestartStage RegisterRecordFunction "
        "ScheduleWrapper prepare_for_backward get_standard_metrics parse_class_init_keys collect_init_args "
        "save_hyperparameters convert update_hparams parse_batch_shape get_formatted_model_size multiplicative "
        "WriteInterval Interval get_cpu_stats get_nvidia_gpu_stats get_device_stats ModuleType T",
        INSIDE,
    ),
    **_each("is_shared_filesystem reset_seed", INSIDE),
    **_each("get_available_flops", "ThroughputMonitor logs the share of the device's peak that is used"),
    **_each("is_cudnn_snafu", "is_oom_error knows it"),
    **_each("load_hparams_from_tags_csv save_hparams_to_tags_csv", "hyper-parameters are kept as YAML"),
    **_each("utilities.upgrade_checkpoint utilities.migration.migration", OLD_FILES),
    **_each("utilities.model_registry", "give ckpt_path= a path"),
    **_each(
        "BatchesProcessedColumn CustomBarColumn CustomInfiniteTask CustomProgress CustomTimeColumn MetricsTextColumn "
        "ProcessingSpeedColumn",
        BAR,
    ),
    **_each("BoringDataModuleNoLen IterableBoringDataModule Net", "BoringModel and BoringDataModule are there"),
}
