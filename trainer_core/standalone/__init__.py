"""What leaves the studio and runs without it: folders that train a run again, packs that predict with a checkpoint."""
