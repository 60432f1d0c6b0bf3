"""`python -m tests.chaos [COMMAND] --kills N`: see `--help`. Without a command: `trainer`.

A command is a module with NAME, HELP, `add_arguments(parser)` and `main(arguments) -> exit code`; add it to COMMANDS. Each
runs with Django set up on a fresh database in a temporary data directory.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.chaos import damage, disk, full, mutation, trainer

COMMANDS = (trainer, mutation, damage, disk, full)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for module in COMMANDS:
        one = commands.add_parser(module.NAME, help=module.HELP)
        module.add_arguments(one)
        one.set_defaults(main=module.main)
    words = sys.argv[1:]
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help"):
        words = [trainer.NAME, *words]
    arguments = parser.parse_args(words)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return int(arguments.main(arguments))


if __name__ == "__main__":
    sys.exit(main())
