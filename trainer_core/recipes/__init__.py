"""Training recipes that any module can use: mixed images, class weights, warm-up, fine-tuning. Off unless asked for."""

from trainer_core.recipes.finetune import FineTune
from trainer_core.recipes.mixing import cutmix, mixup
from trainer_core.recipes.schedules import warm_up_factor
from trainer_core.recipes.weighting import balanced_weights, class_counts

__all__ = ["FineTune", "balanced_weights", "class_counts", "cutmix", "mixup", "warm_up_factor"]
