#!/usr/bin/env python
"""The studio's command line: `up`, `demo`, `doctor` and Django's own commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
    arguments = take_data_dir(sys.argv)
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(f"{error}. Install the studio first: pip install -e .") from error
    execute_from_command_line(arguments)


def take_data_dir(argv: list[str]) -> list[str]:
    """Apply `--data-dir DIR`, which every command takes, before the settings are read; returns the other arguments."""
    left, given = [], iter(argv)
    for argument in given:
        name, equals, value = argument.partition("=")
        if name != "--data-dir":
            left.append(argument)
            continue
        value = value if equals else next(given, "")
        if not value:
            raise SystemExit("--data-dir needs a directory.")
        os.environ["STUDIO_DATA_DIR"] = os.path.abspath(value)
    return left


if __name__ == "__main__":
    main()
