"""Checkpoints: what they hold, how they are written so that they survive, how they are read."""
