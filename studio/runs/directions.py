"""Whether more of a metric is better, as far as its name tells."""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["up", "down", ""]
FALLING = ("loss", "err", "perplexity", "mae", "mse", "nll")  # also as a part of a word: `mylossfn`, `rmse`
FALLING_WORDS = frozenset(
    "ppl wer cer eer fid kl ece brier mape smape rmsle bpc bpd hamming regret latency cost violations".split()
)
RISING = ("acc", "auc", "f1", "precision", "recall", "iou", "dice", "psnr", "ssim", "bleu", "rouge", "reward", "score")
RISING_WORDS = frozenset("r2 map ap mcc kappa ndcg mrr hits return corr pearson spearman likelihood".split())
NEGATED = frozenset(("neg", "negative"))  # `neg_mse`: as scorers have it, the larger the better


def direction(metric: str) -> Direction:
    """Empty for learning rates, norms, times, counters, and for names that say nothing."""
    name = re.sub(r"[_/](step|epoch)$", "", metric.lower())
    words = set(re.split(r"[^a-z0-9]+", name))
    falls = any(part in name for part in FALLING) or bool(words & FALLING_WORDS)
    if falls:
        return "up" if words & NEGATED else "down"
    return "up" if any(part in name for part in RISING) or words & RISING_WORDS else ""


def rises(metric: str) -> bool:
    """Whether the best value of this metric is the largest one; so too where its name says nothing."""
    return direction(metric) != "down"
