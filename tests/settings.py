"""Settings of the tests: the product's own, in a data directory of their own."""

import atexit
import os
import shutil
import tempfile

if "STUDIO_DATA_DIR" not in os.environ:
    os.environ["STUDIO_DATA_DIR"] = tempfile.mkdtemp(prefix="studio-tests-")
    atexit.register(shutil.rmtree, os.environ["STUDIO_DATA_DIR"], True)
# Test processes side by side inherit the directory of the one that started them: each takes a part of its own.
own = os.environ.get("PYTEST_XDIST_WORKER", "")
if own and os.path.basename(os.environ["STUDIO_DATA_DIR"]) != own:
    os.environ["STUDIO_DATA_DIR"] = os.path.join(os.environ["STUDIO_DATA_DIR"], own)
    os.makedirs(os.environ["STUDIO_DATA_DIR"], mode=0o700, exist_ok=True)

from studio.settings import *  # noqa: E402, F403

API_REQUESTS_PER_MINUTE = API_MISSES_PER_MINUTE = 10**9  # tests ask more often than people
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if "sqlite" in DATABASES["default"]["ENGINE"]:  # noqa: F405
    # A file, as in the product: threads and processes of a test share it, and wait for each other's locks.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}  # noqa: F405
