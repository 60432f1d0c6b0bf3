#!/usr/bin/env python3
"""Trains this run again and says whether its weights are the same, bit for bit: python3 reproduce.py

Makes an environment of its own (.venv in this folder) with the packages of requirements.txt, once, and with the very builds
that the run had (requirements-build.txt) where they can be had. With --python PATH a Python that has the packages already is
used instead. The exit code is 0 for equal, 1 for different, 2 for not known.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--python", help="a Python that has the packages already")
    parser.add_argument(
        "--data", action="append", default=[], metavar="NAME=FILE", help="a data file that is not in here"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        sys.path.insert(0, str(HERE))
        from trainer_core.standalone.again import train_again

        return train_again(HERE, dict(text.split("=", 1) for text in given.data))
    if any("=" not in text for text in given.data):
        parser.error("--data takes NAME=FILE, such as --data path=table.csv")
    python = given.python or str(_environment())
    more = [word for text in given.data for word in ("--data", text)]
    return subprocess.call([python, str(HERE / "reproduce.py"), "--inside", *more], cwd=HERE)


def _environment() -> Path:
    """The Python of .venv, which is made and filled when it is not there yet."""
    folder, builds = HERE / ".venv", HERE / "requirements-build.txt"
    files = [path for path in (builds, HERE / "requirements.txt") if path.is_file()]
    wanted = "".join(path.read_text(encoding="utf-8") for path in files)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if not ready.is_file() or ready.read_text(encoding="utf-8") != wanted:
        print(f"Installing the packages of requirements.txt into {folder} …", flush=True)
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
        if builds in files:
            _install_builds([*install, "--retries", "1", "-r", builds.name], builds)
        subprocess.run([*install, "-r", "requirements.txt"], check=True, cwd=HERE)
        ready.write_text(wanted, encoding="utf-8")
    return python


def _install_builds(command: list[str], builds: Path) -> None:
    """Said where they cannot be had; then any build of the version is taken."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        names = ", ".join(line for line in builds.read_text(encoding="utf-8").split("\n") if "==" in line)
        why = (done.stderr.strip().splitlines() or ["pip gives no reason"])[-1]
        print(
            f"Note: the builds that the run had ({names}) cannot be had here: {why}\n"
            "The public builds of these versions are taken instead; the last bits of numbers may differ.",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
