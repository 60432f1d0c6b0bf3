"""python -m studio.client sync FOLDER: send what was logged offline or left behind; import: bring runs of other trackers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from studio.client.account import connect
from studio.client.connection import Connection
from studio.client.errors import StudioError
from studio.client.external import FOLDER
from studio.client.importers import KINDS, find
from studio.client.importers.bring import bring
from studio.client.projects import Projects
from studio.client.sync import sync


def main(words: list[str] | None = None) -> int:
    """Exit status: 0 when all is in the studio, 1 when something is not, 2 for a wrong command."""
    given = _parser().parse_args(words)
    try:
        connection = connect(given.url, given.token)
        if connection is None:
            raise ValueError("Which studio? Give --url and --token, or set STUDIO_URL and STUDIO_TOKEN.")
        status: int = given.run(connection, given)
        return status
    except (StudioError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, StudioError) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studio.client", description="The studio from a command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--url", help="address of the studio (STUDIO_URL)")
    every.add_argument("--token", help="a token of the account page (STUDIO_TOKEN)")
    command = commands.add_parser("sync", parents=[every], help="send runs that were logged offline or left behind")
    command.add_argument("folder", type=Path, nargs="?", default=Path(FOLDER), help="of one run, or of many")
    command.set_defaults(run=_sync)
    text = "bring runs of another tracker, with all their points"
    command = commands.add_parser("import", parents=[every], help=text, description=text)
    command.add_argument("kind", choices=KINDS, help="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()))
    command.add_argument("path", type=Path)
    command.add_argument("--project", required=True, help="name or id")
    command.add_argument("--again", action="store_true", help="what has changed since its import becomes another run")
    command.set_defaults(run=_import)
    return parser


def _import(connection: Connection, given: argparse.Namespace) -> int:
    project = Projects(connection).id_of(int(given.project) if given.project.isdigit() else given.project)
    wrong = 0
    for found in find(given.kind, given.path):
        try:
            one = bring(connection, found, kind=given.kind, project=project, again=given.again)
        except StudioError as error:
            if error.code != "changed":
                raise
            wrong += 1
            print(error, file=sys.stderr)
        else:
            print(f"{one.name}: {one.points:,} points {'imported' if one.is_new else 'are there already'} {one.page}")
    return 1 if wrong else 0


def _sync(connection: Connection, given: argparse.Namespace) -> int:
    if not given.folder.is_dir():
        raise ValueError(f"{given.folder} is no folder.")
    wrong = found = 0
    for one in sync(connection, given.folder):
        found += 1
        wrong += not one.is_whole
        print(f"{one.path}: {one.words}")
    if not found:
        print(f"{given.folder} holds no runs.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
