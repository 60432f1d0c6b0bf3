"""What `logger.experiment` is in a run of the studio: the calls of TensorBoard's SummaryWriter, and W&B's `log`.

So modules that were written for either log there as they are, without a change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from trainer_core.loggers.media import MediaCalls
from trainer_core.media import kinds
from trainer_core.media.record import checked_step
from trainer_core.media.tables import table

LEFT_OUT = (
    "add_audio_with_caption", "add_custom_scalars", "add_custom_scalars_marginchart", "add_custom_scalars_multilinechart",
    "add_embedding", "add_graph", "add_hparams", "add_image_with_boxes", "add_mesh", "add_onnx_graph", "add_pr_curve",
    "add_pr_curve_raw", "add_tensor", "add_video", "define_metric", "watch",
)  # fmt: skip
NOTHING_TO_DO = ("close", "flush", "finish")


class Experiment:
    """`logger` takes the media; its `log_values(values, step)` takes numbers, its `notice(text)` words for the page."""

    def __init__(self, logger: Any) -> None:
        self._logger: MediaCalls = logger
        self._values, self._notice = logger.log_values, logger.notice
        self._told: set[str] = set()

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        self._values({tag: scalar_value}, checked_step(global_step))

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: Any = None, *_: Any) -> None:
        values = {f"{main_tag}/{tag}": value for tag, value in tag_scalar_dict.items()}
        self._values(values, checked_step(global_step))

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: Any = None, dataformats: str = "CHW"
    ) -> None:
        self._logger.log_media(kinds.images(tag, _laid_out(img_tensor, dataformats, 3)), checked_step(global_step))

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: Any = None, dataformats: str = "NCHW"
    ) -> None:
        batch = _laid_out(img_tensor, dataformats, 4)
        self._logger.log_media(kinds.images(tag, list(batch)), checked_step(global_step))

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True, walltime: Any = None
    ) -> None:
        for one in figure if isinstance(figure, list | tuple) else [figure]:
            self._logger.log_media(kinds.figure(tag, one), checked_step(global_step))
            if close and hasattr(one, "savefig"):
                import matplotlib.pyplot as plt

                plt.close(one)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow", *args: Any, **kwargs: Any
    ) -> None:
        self._logger.log_media(kinds.histogram(tag, values, bins), checked_step(global_step))

    def add_text(self, tag: str, text_string: Any, global_step: Any = None, walltime: Any = None) -> None:
        self._logger.log_media(kinds.text(tag, text_string), checked_step(global_step))

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44100, walltime: Any = None
    ) -> None:
        self._logger.log_media(kinds.audio(tag, snd_tensor, sample_rate), checked_step(global_step))

    def log(self, data: dict[str, Any], step: Any = None, *args: Any, **kwargs: Any) -> None:
        """As `wandb.log`: numbers, and whatever is an image, figure, histogram or table, W&B's own wrappers too."""
        step = checked_step(step)
        numbers = {key: value for key, value in data.items() if _is_number(value)}
        if numbers:
            self._values(numbers, step)
        for key, value in data.items():
            if key not in numbers:
                self._log_other(key, value, step)

    def _log_other(self, key: str, value: Any, step: int | None) -> None:
        one = value[0] if isinstance(value, list | tuple) and value else value
        listed = list(value) if isinstance(value, list | tuple) else [value]
        name = type(one).__name__ if type(one).__module__.partition(".")[0] == "wandb" else ""
        if isinstance(value, str):
            self._logger.log_media(kinds.text(key, value), step)
        elif name == "Image":
            self._logger.log_media(kinds.images(key, [w.image for w in listed], [w._caption for w in listed]), step)
        elif name == "Histogram":
            self._logger.log_media(kinds.histogram_of_counts(key, one.histogram, one.bins), step)
        elif name == "Table":
            self._logger.log_media(table(key, one.columns, one.data), step)
        elif hasattr(one, "savefig") or hasattr(one, "to_plotly_json"):
            self._logger.log_media(kinds.figure(key, one), step)
        elif hasattr(one, "getbands"):
            self._logger.log_media(kinds.images(key, listed), step)
        elif isinstance(one, torch.Tensor | np.ndarray):
            self._logger.log_media(kinds.histogram(key, one), step)
        else:
            self._tell(f"{type(one).__module__}.{type(one).__name__}", key)

    def _tell(self, what: str, key: str = "") -> None:
        if what not in self._told:
            self._told.add(what)
            self._notice(f"{what} has no place in the studio and is left out{f' ({key[:80]})' if key else ''}.")

    def __getattr__(self, name: str) -> Any:
        if name in LEFT_OUT:
            return lambda *args, **kwargs: self._tell(f"experiment.{name}")
        if name in NOTHING_TO_DO:
            return lambda *args, **kwargs: None
        offered = sorted(n for n in dir(type(self)) if not n.startswith("_"))
        raise AttributeError(f"The studio's logger.experiment has no {name!r}; it offers {', '.join(offered)}.")


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor | np.ndarray):
        return (value.numel() if isinstance(value, torch.Tensor) else value.size) == 1
    return isinstance(value, int | float | np.generic)


def _laid_out(image: Any, formats: str, dimensions: int) -> Any:
    """As tensors and arrays are taken elsewhere: the channels first in a tensor and last in an array.

    ValueError when `formats` (letters of N, C, H, W) does not fit the shape.
    """
    if not isinstance(image, torch.Tensor | np.ndarray):
        return image
    letters = formats.upper()
    if len(letters) != image.ndim or set(letters) - set("NCHW") or len(set(letters)) != len(letters):
        raise ValueError(f"dataformats {formats!r} for an image of the shape {tuple(image.shape)}.")
    wanted = "NCHW"[-dimensions:] if isinstance(image, torch.Tensor) else "NHWC"[-dimensions:]
    order = [letters.index(letter) for letter in wanted if letter in letters]
    if isinstance(image, torch.Tensor):
        return image.permute(order)
    return image.transpose(order)
