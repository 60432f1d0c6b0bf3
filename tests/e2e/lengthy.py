"""A studio of long names, for a real browser: `STUDIO_DATA_DIR=… python -m tests.e2e.lengthy`.

The rows of tests/e2e/hostile.py with words that no line breaks by itself in place of markup, and runs with many tags.
"""

from __future__ import annotations

import json

from tests.e2e import hostile

#: With the key of its row as long as most names may be, and nowhere to break it.
WORD = "resnet50_imagenet21k_pretrained_lr3e4_wd005_bs1024_mixup08_cutmix1_ema01"
OTHER = "validation_accuracy_of_the_exponential_moving_average_top5_per_class_mean"
TAGS = 40


def fill() -> dict[str, object]:
    from studio.runs.models import Run

    hostile.MARKUP, hostile.CHARTED = WORD, OTHER
    found = hostile.fill()
    Run.objects.update(tags=[WORD[:60], *(f"tag-{i}" for i in range(1, TAGS))])
    return found


def main() -> None:
    import django

    django.setup()
    from studio.tracking import publish

    publish.metrics = lambda *args: None  # nobody watches
    print(json.dumps(fill()))


if __name__ == "__main__":
    main()
