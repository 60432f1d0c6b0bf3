"""Copies the browser files of static/vendor/package.json into static/vendor, with licences and a hash manifest.

For developers: `python -m tests.vendor` (needs npm). The copies are committed; a test compares them with the manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "static" / "vendor"
FILES = {
    "@tabler/core": ["dist/css/tabler.min.css", "dist/js/tabler.min.js"],  # its package has no licence file
    "htmx.org": ["dist/htmx.min.js", "LICENSE"],
    "plotly.js-cartesian-dist-min": ["plotly-cartesian.min.js", "LICENSE"],
    "@tabler/icons": ["LICENSE"],
    "codemirror": ["LICENSE"],
}
# CodeMirror is many small packages: these, exactly, become one file by esbuild.
CODEMIRROR = {
    "@codemirror/autocomplete": "6.20.4",
    "@codemirror/commands": "6.11.1",
    "@codemirror/lang-python": "6.2.1",
    "@codemirror/lang-yaml": "6.1.2",
    "@codemirror/language": "6.13.1",
    "@codemirror/lint": "6.8.5",
    "@codemirror/search": "6.7.2",
    "@codemirror/state": "6.7.6",
    "@codemirror/streamparser": "6.0.0",
    "@codemirror/view": "6.43.15",
    "@lezer/common": "1.5.5",
    "@lezer/highlight": "1.2.5",
    "@lezer/lr": "1.4.12",
    "@lezer/python": "1.1.19",
    "@lezer/yaml": "1.0.3",
    "@marijn/find-cluster-break": "1.0.4",
    "crelt": "1.0.7",
    "esbuild": "0.25.12",
    "style-mod": "4.1.5",
    "w3c-keyname": "2.2.8",
}
CODEMIRROR_EXPORTS = """
export { EditorState } from "@codemirror/state";
export { EditorView } from "@codemirror/view";
export { python } from "@codemirror/lang-python";
export { yaml } from "@codemirror/lang-yaml";
export { lintGutter, setDiagnostics } from "@codemirror/lint";
export { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
export { tags } from "@lezer/highlight";
export { basicSetup } from "codemirror";
"""
MIT = """The MIT License (MIT)

Copyright (c) 2018-2026 The Tabler Authors, Pawel Kuna

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
ICONS = [
    "activity",
    "adjustments",
    "adjustments-horizontal",
    "alert-circle",
    "alert-triangle",
    "archive",
    "arrow-back-up",
    "arrow-down",
    "arrow-left",
    "arrow-right",
    "arrow-up",
    "arrow-up-right",
    "arrows-maximize",
    "arrows-sort",
    "at",
    "ban",
    "bell",
    "bell-off",
    "bolt",
    "bookmark",
    "box",
    "brain",
    "brand-python",
    "brush",
    "bulb",
    "calendar-event",
    "chart-bar",
    "chart-dots",
    "chart-histogram",
    "chart-line",
    "check",
    "chevron-down",
    "chevron-right",
    "chevron-up",
    "chevrons-down",
    "chevrons-up",
    "circle-check",
    "circle-dashed",
    "circle-x",
    "clipboard",
    "clock",
    "cloud-upload",
    "code",
    "code-dots",
    "columns",
    "copy",
    "cpu",
    "database",
    "device-desktop",
    "dots-vertical",
    "download",
    "edit",
    "external-link",
    "eye",
    "eye-check",
    "eye-off",
    "file",
    "file-export",
    "file-import",
    "file-text",
    "file-zip",
    "filter",
    "flag",
    "flask",
    "folder",
    "folder-plus",
    "gauge",
    "git-branch",
    "git-commit",
    "git-compare",
    "git-fork",
    "grip-vertical",
    "hash",
    "heart-rate-monitor",
    "help-circle",
    "history",
    "home",
    "hourglass",
    "info-circle",
    "key",
    "keyboard",
    "layout-dashboard",
    "layout-grid",
    "layout-sidebar-right",
    "link",
    "list",
    "list-check",
    "list-details",
    "loader-2",
    "lock",
    "lock-open",
    "logout",
    "mail",
    "maximize",
    "menu-2",
    "message",
    "message-circle",
    "minus",
    "moon",
    "package",
    "palette",
    "photo",
    "pin",
    "pinned",
    "player-pause",
    "player-play",
    "player-skip-forward",
    "player-stop",
    "plus",
    "printer",
    "puzzle",
    "refresh",
    "restore",
    "rocket",
    "route",
    "scale",
    "search",
    "send",
    "server",
    "server-2",
    "settings",
    "share",
    "share-2",
    "shield-check",
    "sort-ascending",
    "sort-descending",
    "sparkles",
    "square-check",
    "stack-2",
    "star",
    "stopwatch",
    "sun",
    "table",
    "tag",
    "target",
    "terminal-2",
    "test-pipe",
    "timeline",
    "trash",
    "trophy",
    "typography",
    "upload",
    "user",
    "user-plus",
    "users",
    "volume",
    "wand",
    "webhook",
    "world",
    "x",
    "zoom-in",
]


def fetch(name: str, version: str, folder: Path) -> Path:
    """Download and unpack one package; returns its folder."""
    done = subprocess.run(
        ["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, capture_output=True, text=True
    )
    archive = folder / done.stdout.strip().splitlines()[-1]
    target = folder / archive.stem
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return next(target.iterdir())


def sprite(source: Path) -> str:
    """One SVG with a <symbol> for each outline icon."""
    symbols = []
    for name in sorted(ICONS):
        text = (source / "icons" / "outline" / f"{name}.svg").read_text(encoding="utf-8")
        inner = re.sub(r"<!--.*?-->", "", text, flags=re.S)
        inner = re.sub(r"</?svg[^>]*>", "", inner, flags=re.S)
        inner = re.sub(r'<path stroke="none"[^>]*/>', "", inner)
        inner = "".join(line.strip() for line in inner.splitlines())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "\n".join(symbols) + "</svg>\n"


def bundle(version: str, folder: Path, target: Path) -> None:
    """One ES module of CodeMirror with Python, YAML, lint marks and what they need, all in exact versions."""
    wanted = {"private": True, "dependencies": {"codemirror": version, **CODEMIRROR}}
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps(wanted))
    (folder / "entry.js").write_text(CODEMIRROR_EXPORTS.lstrip())
    subprocess.run(["npm", "install", "--silent", "--ignore-scripts"], cwd=folder, check=True)
    options = ["--bundle", "--minify", "--format=esm", "--legal-comments=none", f"--outfile={target}"]
    subprocess.run(["npx", "esbuild", "entry.js", *options], cwd=folder, check=True, capture_output=True)


def main() -> None:
    wanted = json.loads((VENDOR / "package.json").read_text())["dependencies"]
    for old in VENDOR.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    manifest: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, version in wanted.items():
            source = fetch(name, version, Path(temporary))
            folder = f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}-{version}"
            (VENDOR / folder).mkdir()
            for file in FILES[name]:
                text = (source / file).read_bytes()
                text = re.sub(rb"\n?(//|/\*)# sourceMappingURL=[^\n]*", b"", text)
                (VENDOR / folder / Path(file).name).write_bytes(text)
            if name == "@tabler/core":
                (VENDOR / folder / "LICENSE").write_text(MIT)
            if name == "@tabler/icons":
                (VENDOR / folder / "sprite.svg").write_text(sprite(source), encoding="utf-8")
            if name == "codemirror":
                bundle(version, Path(temporary) / "bundle", VENDOR / folder / "codemirror.js")
            licence = json.loads((source / "package.json").read_text())["license"]
            files = {
                str(p.relative_to(VENDOR)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in sorted((VENDOR / folder).iterdir())
            }
            manifest[name] = {"version": version, "licence": licence, **files}
    (VENDOR / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
