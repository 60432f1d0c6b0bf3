"""Gets a trainer that waits for its order ready for it."""

from __future__ import annotations

import gc


def warm_up() -> None:
    """Import what is slow and take one throw-away step: the first optimizer alone costs seconds.

    What exists then stays for good, so the garbage collector need never look at it again: a full collection in the
    middle of a run would otherwise stop a step for a tenth of a second.
    """
    import torch

    import trainer_core.callbacks.run_checkpoint
    import trainer_core.launching.build
    import trainer_core.launching.packages
    import trainer_core.loggers.spool
    import trainer_core.media.kinds
    import trainer_core.trainer
    import trainer_core.zoo.characters
    import trainer_core.zoo.images
    import trainer_core.zoo.tables
    import trainer_core.zoo.texts

    with torch.random.fork_rng(devices=[]):
        layer = torch.nn.Linear(2, 2)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=10)
        layer(torch.zeros(1, 2)).sum().backward()
        optimizer.step()
    trainer_core.launching.packages.imported()
    gc.collect()
    gc.freeze()
