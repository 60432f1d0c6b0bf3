"""What a disk may hold after the power went: the operations of `checkpoint.fs` recorded, and every state enumerated.

The model is the weakest that a file system may be: written bytes are safe only after `sync` of their file, names only
after `sync_folder` of their folder. Until then each may be there or not, and of a file's last bytes any part, cut short
or as zeros. Names in one folder may come in any order.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer_core.checkpoint import fs

NAMES = ("make_folder", "create", "write", "sync", "close", "rename", "sync_folder")


@dataclass(frozen=True)
class Operation:
    """One call: `a` and `b` are paths relative to the root; a handle's calls carry the path that it was opened with."""

    name: str
    a: str
    b: str = ""
    data: bytes = b""


class Recorder:
    """Stands in for `checkpoint.fs` (by monkeypatch): does the real thing and notes it."""

    def __init__(self, root: Path, monkeypatch: Any) -> None:
        self.root, self.operations = root, list[Operation]()
        self._paths: dict[int, str] = {}
        for name in NAMES:
            monkeypatch.setattr(fs, name, self._noting(name, getattr(fs, name)))

    def _noting(self, name: str, real: Any) -> Any:
        def call(*args: Any) -> Any:
            found = real(*args)
            if name == "create":
                self._paths[found] = self._relative(args[0])
            if name in ("write", "sync", "close"):
                data = bytes(args[1]) if name == "write" else b""
                self.operations.append(Operation(name, self._paths[args[0]], data=data))
            else:
                self.operations.append(Operation(name, *(self._relative(p) for p in args)))
            return found

        return call

    def _relative(self, path: Any) -> str:
        return os.path.relpath(path, self.root)


@dataclass
class Node:
    """A file (bytes that are safe, bytes written since) or a folder (names that are safe, changes of names since)."""

    is_folder: bool
    safe: bytes = b""
    fresh: bytes = b""


class Disk:
    """What is safe and what is not after some operations."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {0: Node(True)}
        self.now: dict[str, int] = {".": 0}
        #: Folder → changes of names in it that are not safe yet: (kind, name, other name, node).
        self.pending: dict[int, list[tuple[str, str, int]]] = {}
        self.safe_names: dict[int, dict[str, int]] = {0: {}}

    def run(self, operation: Operation) -> None:
        getattr(self, f"_{operation.name}")(operation)

    def _new(self, path: str, is_folder: bool) -> None:
        number = len(self.nodes)
        self.nodes[number] = Node(is_folder)
        if is_folder:
            self.safe_names[number] = {}
        self.now[path] = number
        self._change(path, "add", number)

    def _change(self, path: str, kind: str, number: int) -> None:
        folder = self.now[os.path.dirname(path) or "."]
        self.pending.setdefault(folder, []).append((kind, os.path.basename(path), number))

    def _make_folder(self, operation: Operation) -> None:
        self._new(operation.a, True)

    def _create(self, operation: Operation) -> None:
        self._new(operation.a, False)

    def _write(self, operation: Operation) -> None:
        self.nodes[self.now[operation.a]].fresh += operation.data

    def _sync(self, operation: Operation) -> None:
        node = self.nodes[self.now[operation.a]]
        node.safe, node.fresh = node.safe + node.fresh, b""

    def _close(self, operation: Operation) -> None:
        """Promises nothing."""

    def _rename(self, operation: Operation) -> None:
        number = self.now[operation.a]
        for path in [p for p in self.now if p == operation.a or p.startswith(operation.a + "/")]:
            self.now[operation.b + path[len(operation.a) :]] = self.now.pop(path)
        self._change(operation.b, f"move {os.path.basename(operation.a)}", number)

    def _sync_folder(self, operation: Operation) -> None:
        folder = self.now[operation.a]
        names = self.safe_names[folder]
        for change in self.pending.pop(folder, []):
            _apply(names, change)

    def states(self) -> Iterator[dict[str, bytes | None]]:
        """Every disk that may be found: path → bytes, None for a folder."""
        choices: list[list[tuple[int, Any]]] = []
        for folder, changes in self.pending.items():
            choices.append([(folder, kept) for kept in _subsets(changes)])
        for number, node in self.nodes.items():
            if node.fresh:
                half = len(node.fresh) // 2
                choices.append(
                    [(number, part) for part in (b"", node.fresh[:half], bytes(len(node.fresh)), node.fresh)]
                )
        for chosen in itertools.product(*choices):
            names = {folder: dict(safe) for folder, safe in self.safe_names.items()}
            contents = {n: node.safe for n, node in self.nodes.items()}
            for number, what in chosen:
                if self.nodes[number].is_folder:
                    for change in what:
                        _apply(names[number], change)
                else:
                    contents[number] += what
            yield dict(self._walk(0, "", names, contents))

    def _walk(self, folder: int, prefix: str, names: Any, contents: Any) -> Iterator[tuple[str, bytes | None]]:
        for name, number in names[folder].items():
            if self.nodes[number].is_folder:
                yield prefix + name, None
                yield from self._walk(number, f"{prefix}{name}/", names, contents)
            else:
                yield prefix + name, contents[number]


def _apply(names: dict[str, int], change: tuple[str, str, int]) -> None:
    kind, name, number = change
    names[name] = number
    if kind.startswith("move "):
        names.pop(kind[5:], None)


def _subsets(changes: list[Any]) -> Iterator[list[Any]]:
    for size in range(len(changes) + 1):
        yield from (list(kept) for kept in itertools.combinations(changes, size))


def write_state(state: dict[str, bytes | None], root: Path) -> None:
    """Lay a state out as real files."""
    for path, data in sorted(state.items()):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(data)


def power_cuts(operations: list[Operation]) -> Iterator[tuple[int, dict[str, bytes | None]]]:
    """(operations done, a disk) for a cut after each operation; equal disks at one cut come once."""
    disk = Disk()
    for done in range(len(operations) + 1):
        if done:
            disk.run(operations[done - 1])
        seen = set()
        for state in disk.states():
            key = tuple(sorted(state.items(), key=lambda item: item[0]))
            if key not in seen:
                seen.add(key)
                yield done, state
