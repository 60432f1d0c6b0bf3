"""Settings of a real server process that looks at the rows of the test."""

import os

from tests.settings import *  # noqa: F403

DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]  # noqa: F405
