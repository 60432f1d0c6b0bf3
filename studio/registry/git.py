"""Fetches one commit of a git repository: https only, from public addresses, without hooks, submodules or filters."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from studio.core.outbound import OutboundError, checked_url, public_addresses
from studio.registry.errors import RegistryError
from studio.registry.projects import MAX_TEXT_BYTES, is_kept

TIMEOUT_S = 60.0
MAX_FETCHED_BYTES = 200 << 20
MAX_FILES = 20_000
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The commit that a revision named, and its files that are kept: Python and small text."""

    commit: str
    files: dict[str, bytes]
    left_out: int


def checked_revision(revision: str) -> str:
    """A branch, a tag or a commit; HEAD if empty."""
    revision = revision.strip() or "HEAD"
    if not _REVISION.fullmatch(revision) or ".." in revision or revision.endswith((".lock", "/")):
        raise RegistryError("Give a commit, a tag or a branch, such as main or 3f2a91c…", field="revision")
    return revision


def checked_repository(url: str) -> str:
    """The address, if it may be fetched from; RegistryError says why not. Looks the host up."""
    url = url.strip()
    if settings.ALLOW_FILE_REPOSITORIES and url.startswith("file://"):
        return url
    _checked_address(url)
    return url


def fetch_commit(url: str, revision: str) -> Fetched:
    """Everything of one commit; RegistryError for what cannot be fetched, or is too large."""
    url, revision = checked_repository(url), checked_revision(revision)
    with tempfile.TemporaryDirectory(prefix="studio-git-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _git(folder, "init", "-q", "--bare", ".")
        _git(folder, *_connection(url), "fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, revision)  # fmt: skip
        commit = _git(folder, "rev-parse", "FETCH_HEAD^{commit}").decode().strip()
        if not _COMMIT.fullmatch(commit):
            raise RegistryError("The repository does not name its commit by a sha1.", field="revision")
        return Fetched(commit, *_read(folder, commit))


def _read(folder: Path, commit: str) -> tuple[dict[str, bytes], int]:
    """Plain files by `ls-tree` and `cat-file`: nothing is checked out, so no filter, link or attribute acts."""
    kept: dict[str, str] = {}
    total = left_out = 0
    entries = _git(folder, "ls-tree", "-r", "-z", "--long", commit).split(b"\0")
    if len(entries) > MAX_FILES:
        raise RegistryError(f"The repository has {len(entries):,} files; at most {MAX_FILES:,} are read.", field="url")
    for entry in filter(None, entries):
        about, _, raw = entry.partition(b"\t")
        mode, kind, digest, size = about.split()
        path = raw.decode("utf-8", "replace")
        if kind == b"blob" and mode in (b"100644", b"100755") and is_kept(path) and ".." not in path.split("/"):
            kept[path], total = digest.decode(), total + int(size)
        else:
            left_out += 1
    if total > 4 * MAX_TEXT_BYTES:
        raise RegistryError(f"Its text has {total:,} bytes; at most {4 * MAX_TEXT_BYTES:,} are read.", field="url")
    return _blobs(folder, kept), left_out


def _blobs(folder: Path, kept: dict[str, str]) -> dict[str, bytes]:
    if not kept:
        return {}
    answer = _git(folder, "cat-file", "--batch", stdin="".join(f"{d}\n" for d in kept.values()).encode())
    files, at = {}, 0
    for path in kept:
        end = answer.index(b"\n", at)
        size = int(answer[at:end].split()[2])
        files[path] = answer[end + 1 : end + 1 + size]
        at = end + 2 + size
    return files


def _connection(url: str) -> list[str]:
    """Nothing but https to the address that was checked; with the test flag, a local repository."""
    if url.startswith("file://"):
        return ["-c", "protocol.allow=never", "-c", "protocol.file.allow=always"]
    host, port, address = _checked_address(url)
    pinned = f"[{address}]" if ":" in address else address
    return [
        *("-c", "protocol.allow=never", "-c", "protocol.https.allow=always"),
        *("-c", "http.followRedirects=false", "-c", f"http.curloptResolve={host}:{port}:{pinned}"),
        *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=20"),
        *(("-c", f"http.sslCAInfo={settings.CA_FILE}") if settings.CA_FILE else ()),
    ]


def _checked_address(url: str) -> tuple[str, int, str]:
    """(host, port, one address of it that was looked at)."""
    try:
        _, host, port, _ = checked_url(url, ("https",))
        return host, port, public_addresses(host, port)[0]
    except OutboundError as error:
        raise RegistryError(str(error), field="url") from error


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    safe = ["-c", f"core.hooksPath={os.devnull}", "-c", "transfer.fsckObjects=true", "-c", "credential.helper="]
    limited = ["prlimit", f"--fsize={MAX_FETCHED_BYTES}", "--core=0", "--"] if _has_prlimit() else []
    try:
        done = subprocess.run(
            [*limited, "git", *safe, *arguments],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RegistryError(f"Fetching did not end within {TIMEOUT_S:.0f} s.", field="url") from error
    except FileNotFoundError as error:
        raise RegistryError("git is not installed where the workers run.", field="url") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
        raise RegistryError(f"The repository cannot be fetched: {lines[-1][:300]}", field="url")
    return done.stdout


def _has_prlimit() -> bool:
    return any(Path(folder, "prlimit").exists() for folder in os.defpath.split(":"))
