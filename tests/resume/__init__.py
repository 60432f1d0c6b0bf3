"""Resumed runs against unbroken ones, bit for bit: `python -m tests.resume --help`."""
