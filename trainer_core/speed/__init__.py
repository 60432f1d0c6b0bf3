"""Which ways of computing the same training step are faster here: tried on the run's own model, kept when they are."""
