"""Faults on purpose, against real processes: `python -m tests.chaos --help`."""
