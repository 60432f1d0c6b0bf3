"""Which installed packages a process has imported, and in which versions: what a run needs to be repeated elsewhere."""

from __future__ import annotations

import functools
import sys
from importlib import metadata
from pathlib import Path

# Packages that are imported by another name than they are installed by.
INSTALLED_AS = {
    "PIL": "pillow", "yaml": "PyYAML", "sklearn": "scikit-learn", "cv2": "opencv-python", "skimage": "scikit-image",
    "dateutil": "python-dateutil", "bs4": "beautifulsoup4", "attr": "attrs", "google": "protobuf", "OpenSSL": "pyOpenSSL",
}  # fmt: skip
MOST = 200
ENGINE = Path(__file__).parents[1]


def imported() -> dict[str, str]:
    """Versions by the names under which the packages are installed; a package is looked up once in a process."""
    names = sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
    names = [name for name in names if not _leads_here(name)]
    found = ((INSTALLED_AS.get(name, name), _version(name)) for name in names if not name.startswith("_"))
    return dict([(name, version) for name, version in found if version][:MOST])


def _leads_here(name: str) -> bool:
    """Whether it is a name of another framework behind which the engine stands: what imports it needs no such package."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and ENGINE in Path(file).parents


@functools.cache
def _version(name: str) -> str:
    try:
        return metadata.version(INSTALLED_AS.get(name, name))
    except (metadata.PackageNotFoundError, ValueError):
        return ""
