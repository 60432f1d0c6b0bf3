"""The typed calls for media that every logger has, and what a logger without a place for them says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer_core.media.record import Media, checked_step
from trainer_core.rank import rank_zero_warn

#: What users of W&B's logger may give beside; shown by none but that one.
ELSEWHERE = {"boxes", "classes", "file_type", "grouping", "masks", "mode", "normalize"}


class MediaCalls:
    """`log_image`, `log_histogram`, `log_table`, `log_text`, `log_audio`, `log_confusion_matrix`, `log_figure`.

    Each checks its arguments at once (TypeError, ValueError) and hands a copy to `log_media`, which a logger overrides.
    `step` is what the x-axis is to say; the trainer's number of optimizer steps when it is left out.
    """

    #: Whether people look at media beside training, so that models may log some unasked.
    shows_media = False

    def log_media(self, media: Media, step: int | None = None) -> None:
        """Keep it. A logger that cannot says so once and training goes on."""
        said: set[str] = self.__dict__.setdefault("_refused_media", set())
        if media.kind not in said:
            said.add(media.kind)
            rank_zero_warn(f"{type(self).__name__} has no place for the kind of media {media.kind!r}; it is left out.")

    def log_image(
        self, key: str, images: Any, step: int | None = None, caption: str | Sequence[str] | None = None, **options: Any
    ) -> None:
        """One or several images: tensors (C, H, W), arrays (H, W, C), PIL images, paths; `caption` one for each.

        Floats of 0 to 1 and whole numbers of 0 to 255 are shown as they are; other ranges are stretched, and it is said.
        """
        from trainer_core.media import kinds

        unknown = set(options) - ELSEWHERE
        if unknown:
            raise TypeError(f"log_image: unknown {', '.join(sorted(unknown))}; it takes key, images, step and caption.")
        self.log_media(kinds.images(key, images, caption), checked_step(step))

    def log_histogram(self, key: str, values: Any, step: int | None = None, bins: int | str = 64) -> None:
        """How the numbers of a tensor, an array or a list are spread."""
        from trainer_core.media import kinds

        self.log_media(kinds.histogram(key, values, bins), checked_step(step))

    def log_table(
        self, key: str, columns: Sequence[Any] | None = None, data: Any = None, dataframe: Any = None,
        step: int | None = None,
    ) -> None:  # fmt: skip
        """Rows of cells, or a data frame; at most 10,000 rows are kept."""
        from trainer_core.media.tables import table

        self.log_media(table(key, columns, data, dataframe), checked_step(step))

    def log_text(
        self, key: str, text: Any = None, data: Any = None, dataframe: Any = None, step: int | None = None,
        columns: Sequence[Any] | None = None,
    ) -> None:  # fmt: skip
        """A text; or, as W&B takes texts, a table of them (columns, data)."""
        from trainer_core.media import kinds
        from trainer_core.media.tables import table

        if isinstance(text, str):
            self.log_media(kinds.text(key, text), checked_step(step))
        else:
            self.log_media(table(key, columns if text is None else text, data, dataframe), checked_step(step))

    def log_audio(
        self, key: str, audios: Any, sample_rate: Any = None, step: int | None = None,
        caption: str | Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """One sound or a list of them: samples (T,), (C, T) or (T, C) of -1 to 1 with their rate in Hz, or paths."""
        from trainer_core.media import kinds

        self.log_media(kinds.audio(key, audios, sample_rate, caption), checked_step(step))

    def log_confusion_matrix(
        self, key: str, matrix: Any, labels: Sequence[Any] | None = None, step: int | None = None
    ) -> None:
        """Counts (K, K): rows are the true classes, columns the predicted ones."""
        from trainer_core.media import kinds

        self.log_media(kinds.matrix(key, matrix, labels), checked_step(step))

    def log_figure(self, key: str, figure: Any, step: int | None = None, caption: str | None = None) -> None:
        """A figure of matplotlib, kept as a picture, or of plotly, kept so that it can be zoomed."""
        from trainer_core.media import kinds

        self.log_media(kinds.figure(key, figure, caption), checked_step(step))
