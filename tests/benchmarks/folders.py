"""Downloaded folders train the same bits in a really new environment: `python -m tests.benchmarks.folders` (minutes).

Twelve different runs are executed as workers do it, and each is packed as its page packs it and unzipped elsewhere. One new
virtual environment gets the packages of a folder's requirements.txt from the index of pip, and every folder trains in it.
The exit code is 1 when one is not bit-equal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOM = tempfile.mkdtemp(prefix="folders-")
os.environ |= {"STUDIO_DATA_DIR": f"{ROOM}/data", "DJANGO_SETTINGS_MODULE": "studio.settings"}


def main() -> int:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from studio.core.zipping import zipped
    from studio.runs import folder
    from studio.runs.checkpoints import folder_of
    from tests import factories
    from tests.benchmarks.reproduce import specs
    from tests.chaos.pool import Pool
    from trainer_core.checkpoint.io import sha256_of
    from trainer_core.events import EVENT, read_spool

    pool, homes, project = Pool(), [], factories.make_project()
    for number, spec in enumerate(specs()):
        place = Path(ROOM) / "trained" / str(number)
        attempt = place / "a1"
        attempt.mkdir(parents=True)
        (attempt / "spec.json").write_text(spec.to_json())
        (attempt / "attempt.json").write_text(json.dumps({"fence": 1}))
        pid = pool.fork({"run_dir": str(attempt), "output": str(attempt / "output.log")})
        assert pool.wait_for(pid, 300) == 0, (attempt / "output.log").read_text()[-2000:]
        told = [frame.event() for frame in read_spool(attempt / "spool") if frame.type == EVENT]
        (host,) = [event for event in told if event["kind"] == "ready"]
        run = factories.make_run(project, state="succeeded", spec=spec.to_dict(), spec_hash=spec.hash)
        factories.make_attempt(run, host={key: host.get(key) for key in ("versions", "threads", "device")})
        saved = max((place / "checkpoints").iterdir())
        made = factories.make_checkpoint(
            run, step=int(saved.name[5:13]), manifest_sha256=sha256_of(saved / "manifest.json")
        )
        shutil.copytree(saved, folder_of(run.pk) / made.name)
        packed = Path(ROOM) / f"{number}.zip"
        packed.write_bytes(b"".join(zipped(folder.entries(run))))
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(Path(ROOM) / "elsewhere")
        homes.append((Path(ROOM) / "elsewhere" / folder.folder_name(run), spec))
    pool.close()
    return _trained_again(homes)


def _trained_again(homes: list) -> int:
    clean = {
        name: os.environ[name] for name in ("PATH", "HOME", "PIP_INDEX_URL", "PIP_CONFIG_FILE") if name in os.environ
    }
    clean["OMP_NUM_THREADS"] = "2"  # of the process that asks; the folder has its own number
    equal, python = 0, None
    for home, spec in homes:
        began = time.monotonic()
        command = [sys.executable, "-I", str(home / "reproduce.py"), *(["--python", str(python)] if python else [])]
        done = subprocess.run(command, env=clean, cwd=ROOM, capture_output=True, text=True, check=False)
        if python is None:
            python = home / ".venv/bin/python"
            seen = subprocess.run([python, "-c", "import django"], env=clean, capture_output=True, check=False)
            assert seen.returncode != 0, "the new environment has Django"
        equal += done.returncode == 0 and "bit-equal" in done.stdout
        word = "bit-equal" if done.returncode == 0 else f"NOT EQUAL\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
        print(f"{spec.model.ref:16} {spec.data.ref:13} {time.monotonic() - began:5.0f} s  {word}", flush=True)
    print(f"{equal} of {len(homes)} folders trained the same bits in one new environment without the studio")
    return 0 if equal == len(homes) else 1


if __name__ == "__main__":
    try:
        code = main()
    finally:
        shutil.rmtree(ROOM, ignore_errors=True)
    sys.exit(code)
