"""What data says about itself, so that a model can be built to fit: task, shapes, number of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["classification", "regression", "language", "reconstruction"]
Input = Literal["table", "image", "text"]

# What people call constructor arguments that the data knows.
FEATURES = ("in_features", "num_features", "n_features", "input_dim", "input_size", "in_dim", "d_in")
CLASSES = ("num_classes", "n_classes", "num_class", "n_class", "classes", "num_labels")
OUTPUTS = ("out_features", "output_dim", "output_size", "d_out")
CHANNELS = ("in_channels", "channels", "in_chans", "input_channels", "n_channels")
SIDES = ("height", "image_size", "img_size")
VOCABULARY = ("vocab_size", "vocabulary", "num_tokens")
LENGTHS = ("block_size", "max_len", "sequence_length", "max_seq_len", "seq_len")


@dataclass(frozen=True, slots=True)
class Facts:
    """`in_features` of one flat item; `shape` (C, H, W) of an image; `classes` or None; `target_scale` of a regression.

    `target_scale` (mean, standard deviation) turns the standardised target back into its unit.
    """

    task: Task
    input: Input
    in_features: int = 0
    shape: tuple[int, int, int] | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    vocabulary: int | None = None
    block_size: int | None = None
    target_scale: tuple[float, float] = (0.0, 1.0)

    def named(self) -> dict[str, Any]:
        """Values by the names that people give such constructor arguments."""
        found: dict[str, Any] = {}
        found |= dict.fromkeys(FEATURES, self.in_features)
        if self.classes is not None:
            found |= dict.fromkeys((*CLASSES, *OUTPUTS), self.classes)
        elif self.task == "regression":
            found |= dict.fromkeys(OUTPUTS, 1)
        if self.shape is not None:
            found |= dict.fromkeys(CHANNELS, self.shape[0]) | dict.fromkeys(SIDES, self.shape[1])
            found |= {"width": self.shape[2], "input_shape": self.shape}
        if self.vocabulary is not None:
            found |= dict.fromkeys(VOCABULARY, self.vocabulary)
        if self.block_size is not None:
            found |= dict.fromkeys(LENGTHS, self.block_size)
        return {k: v for k, v in found.items() if v not in (None, 0)}


def facts_of(data: Any) -> Facts:
    """The facts of a datamodule after `setup`; TypeError when it offers none."""
    facts = getattr(data, "facts", None)
    if not isinstance(facts, Facts):
        raise TypeError(
            f"{type(data).__name__} does not say what its data looks like. Set `self.facts = Facts(…)` in setup, or use "
            "a model whose arguments you give yourself."
        )
    return facts
