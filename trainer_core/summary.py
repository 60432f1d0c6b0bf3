"""What a module consists of: layers, parameters, sizes, and what a forward pass costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

Column = tuple[str, list[str]]
UNKNOWN, NONE = "?", "n/a"


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One row: dotted name, class, number of parameters, train or eval mode, FLOPs and shapes (None: not known)."""

    name: str
    kind: str
    parameters: int
    training: bool | None
    flops: int | None = None
    in_size: Any = None
    out_size: Any = None


@dataclass(slots=True)
class _Passed:
    """What one forward pass of the example showed, by the layer's name; the module itself has the name ''."""

    flops: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[Any, Any]] = field(default_factory=dict)


class ModelSummary:
    """Rows of layers down to `max_depth` (0: none, -1: all) and totals; `str()` is the table that is printed.

    When the module has an `example_input_array`, one forward pass of it, in eval mode and without gradients, gives
    shapes and FLOPs; weights, modes and random states stay as they are. ValueError for a wrong `max_depth`.
    """

    def __init__(self, module: nn.Module, max_depth: int = 1) -> None:
        if not isinstance(max_depth, int) or max_depth < -1:
            raise ValueError(f"max_depth: got {max_depth!r}, allowed is a whole number of at least -1.")
        self.module, self.max_depth = module, max_depth
        self.has_example = getattr(module, "example_input_array", None) is not None
        self._passed = _pass_example(module) if self.has_example else _Passed()
        self.rows = self._read()

    def _read(self) -> list[LayerRow]:
        layers = [
            (name, layer)
            for name, layer in self.module.named_modules()
            if name and (self.max_depth == -1 or name.count(".") < self.max_depth)
        ]
        flops, shapes = self._passed.flops, self._passed.shapes
        rows = [
            LayerRow(
                name,
                type(layer).__name__,
                _count(layer),
                layer.training,
                flops.get(name, 0) if self.has_example else None,
                *shapes.get(name, (None, None)),
            )
            for name, layer in layers
        ]
        inside = {id(p) for _, layer in self.module.named_children() for p in layer.parameters()}
        rest = sum(_size(p) for p in self.module.parameters() if id(p) not in inside)
        if rest and self.max_depth:
            rows.append(LayerRow("other params", NONE, rest, None))
        return rows

    @property
    def layer_names(self) -> list[str]:
        return [r.name for r in self.rows if r.training is not None]

    @property
    def layer_types(self) -> list[str]:
        return [r.kind for r in self.rows if r.training is not None]

    @property
    def param_nums(self) -> list[int]:
        return [r.parameters for r in self.rows if r.training is not None]

    @property
    def in_sizes(self) -> list[Any]:
        """Shapes as nested lists; `?` where the example did not pass through."""
        return [r.in_size or UNKNOWN for r in self.rows if r.training is not None]

    @property
    def out_sizes(self) -> list[Any]:
        return [r.out_size or UNKNOWN for r in self.rows if r.training is not None]

    @property
    def total_parameters(self) -> int:
        return _count(self.module)

    @property
    def trainable_parameters(self) -> int:
        return sum(_size(p) for p in self.module.parameters() if p.requires_grad)

    @property
    def model_size(self) -> float:
        """Parameters in MB (10⁶ bytes)."""
        return sum(_size(p) * p.element_size() for p in self.module.parameters() if _size(p)) / 1e6

    @property
    def total_flops(self) -> int:
        """Of one forward pass of the example; 0 without one."""
        return self._passed.flops.get("", 0)

    @property
    def total_training_modes(self) -> dict[str, int]:
        modes = [m.training for m in self.module.modules() if m is not self.module]
        return {"train": sum(modes), "eval": len(modes) - sum(modes)}

    def columns(self) -> list[Column]:
        """(title, cells) of the table; FLOPs and sizes only with an example."""
        rows = self.rows
        layers = [r.training is not None for r in rows]
        found: list[Column] = [
            (" ", [str(i) if layer else " " for i, layer in enumerate(layers)]),
            ("Name", [r.name for r in rows]),
            ("Type", [r.kind for r in rows]),
            ("Params", [human_count(r.parameters) for r in rows]),
            ("Mode", [NONE if r.training is None else "train" if r.training else "eval" for r in rows]),
        ]
        if self.has_example:
            found += [
                ("FLOPs", [NONE if r.flops is None or r.training is None else human_count(r.flops) for r in rows]),
                ("In sizes", [NONE if r.training is None else str(r.in_size or UNKNOWN) for r in rows]),
                ("Out sizes", [NONE if r.training is None else str(r.out_size or UNKNOWN) for r in rows]),
            ]
        return found

    def __str__(self) -> str:
        return format_table(
            self.columns(),
            self.total_parameters,
            self.trainable_parameters,
            self.model_size,
            self.total_training_modes,
            self.total_flops,
        )

    __repr__ = __str__


def summarize(module: Any, max_depth: int = 1) -> ModelSummary:
    """The summary of `module`."""
    return ModelSummary(module, max_depth)


def totals(parameters: int, trainable: int, size_mb: float, modes: dict[str, int], flops: int) -> list[tuple[str, str]]:
    """(value, words) of the lines below the table; FLOPs only where they are known."""
    lines = [
        (human_count(trainable), "Trainable params"),
        (human_count(parameters - trainable), "Non-trainable params"),
        (human_count(parameters), "Total params"),
        (f"{size_mb:,.3f}", "Total estimated model params size (MB)"),
        (str(modes["train"]), "Modules in train mode"),
        (str(modes["eval"]), "Modules in eval mode"),
    ]
    return [*lines, (human_count(flops), "Total FLOPs")] if flops else lines


def format_table(
    columns: list[Column], parameters: int, trainable: int, size_mb: float, modes: dict[str, int], flops: int
) -> str:
    """The table as text."""
    widths = [max(len(cell) for cell in [title, *cells]) for title, cells in columns]
    line = "-" * (sum(widths) + 3 * len(widths))
    head = " | ".join(title.ljust(w) for (title, _), w in zip(columns, widths, strict=True))
    rows = zip(*(cells for _, cells in columns), strict=True)
    body = [" | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    below = [f"{value:<10}{words}" for value, words in totals(parameters, trainable, size_mb, modes, flops)]
    return "\n".join([head, line, *body, line, *below])


def human_count(number: int) -> str:
    """`123`, `1.2 K`, `3.4 M`, `5.6 B`."""
    for unit, size in ((" T", 10**12), (" B", 10**9), (" M", 10**6), (" K", 10**3)):
        if number >= size:
            value = number / size
            return f"{value:.1f}{unit}" if value < 100 else f"{value:,.0f}{unit}"
    return f"{number}"


def _pass_example(module: Any) -> _Passed:
    from torch.utils.flop_counter import FlopCounterMode

    from trainer_core.seed import isolate_rng

    found, handles = _Passed(), []
    for name, layer in module.named_modules():
        if name and not isinstance(layer, torch.jit.ScriptModule):
            handles.append(layer.register_forward_hook(_shape_hook(found, name), with_kwargs=True))
    modes = {layer: layer.training for layer in module.modules()}
    counter = FlopCounterMode(display=False)
    try:
        module.eval()
        with isolate_rng(), torch.no_grad(), _precision(module), counter:
            _call(module, _placed(module, module.example_input_array))
    finally:
        for handle in handles:
            handle.remove()
        for layer, training in modes.items():
            layer.training = training
    prefix = f"{type(module).__name__}."
    for name, counts in counter.get_flop_counts().items():
        if name == "Global":
            found.flops[""] = sum(counts.values())
        elif name.startswith(prefix):
            found.flops[name.removeprefix(prefix)] = sum(counts.values())
    return found


def _shape_hook(found: _Passed, name: str) -> Any:
    """A layer that is called several times counts with its first call."""

    def hook(_layer: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        given = (*args, *kwargs.values())
        found.shapes.setdefault(name, (_shape(given[0] if len(given) == 1 else given), _shape(output)))

    return hook


def _shape(value: Any) -> Any:
    if hasattr(value, "shape"):
        return list(value.shape)
    if isinstance(value, list | tuple):
        return [_shape(one) for one in value]
    return UNKNOWN


def _placed(module: Any, example: Any) -> Any:
    """The example as a batch: through the transfer hooks, on the module's device."""
    from trainer_core.data.nested import move_to
    from trainer_core.data.prefetch import make_place

    trainer = getattr(module, "_trainer", None)
    if trainer is None:
        return move_to(example, getattr(module, "device", torch.device("cpu")))
    place = make_place(trainer)
    return example if place is None else place(example, 0)


def _precision(module: Any) -> Any:
    from contextlib import nullcontext

    trainer = getattr(module, "_trainer", None)
    return nullcontext() if trainer is None else trainer.precision_plugin.forward_context()


def _call(module: Any, example: Any) -> None:
    if isinstance(example, list | tuple):
        module(*example)
    elif isinstance(example, dict):
        module(**example)
    else:
        module(example)


def _size(parameter: nn.Parameter) -> int:
    return 0 if isinstance(parameter, UninitializedParameter) else parameter.numel()


def _count(layer: nn.Module) -> int:
    return sum(_size(p) for p in layer.parameters())
