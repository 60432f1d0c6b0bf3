"""What no file may hold: machine paths, and in pages: inline code, inline style, assets from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, files

# Written in parts, so that this file does not find itself.
MACHINE_PATHS = re.compile(
    "|".join(re.escape(a + b) for a, b in [("/wo", "rk/"), ("/opt/", "dev"), ("/ro", "ot/"), ("/ho", "me/")])
)
TEXT = (".py", ".html", ".js", ".mjs", ".css", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", "", ".sh")
INLINE = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.I),
    "an on… attribute": re.compile(r"<[a-z][^>]*\son[a-z]+\s*=", re.I),
    "a style element": re.compile(r"<style[\s>]", re.I),
    "an inline script": re.compile(r"<script(?![^>]*\bsrc\s*=)(?![^>]*type=\"application/json\")[^>]*>", re.I),
    "a javascript: address": re.compile(r"=\s*[\"']\s*javascript:", re.I),
}
ELSEWHERE = {
    ".html": re.compile(
        r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*(?:src|href)\s*=\s*[\"']?(?:https?:)?//",
        re.I,
    ),
    ".css": re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])(?:https?:)?//", re.I),
    ".js": re.compile(
        r"(?:import\s*\(?\s*|from\s+|fetch\(\s*|importScripts\(\s*|new (?:Worker|WebSocket|EventSource)\(\s*)[\"'`](?:https?|wss?):?//",
        re.I,
    ),
}


def pages() -> list[Path]:
    return [path for path in files(".html") if path.relative_to(ROOT).parts[0] == "templates"]


def found(pattern: re.Pattern[str], path: Path) -> list[str]:
    text = re.sub(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", "", path.read_text(encoding="utf-8"), flags=re.S)
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, m.start()) + 1}: {m[0][:80]}" for m in pattern.finditer(text)
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    wrong = [line for path in files() if path.suffix in TEXT for line in found(MACHINE_PATHS, path)]
    assert not wrong


@pytest.mark.parametrize("what", INLINE)
def test_pages_have_nothing_that_the_content_policy_refuses(what: str) -> None:
    assert not [line for path in pages() for line in found(INLINE[what], path)]


@pytest.mark.parametrize("suffix", ELSEWHERE)
def test_nothing_is_loaded_from_elsewhere(suffix: str) -> None:
    ours = [path for path in files(suffix) if path.relative_to(ROOT).parts[0] in ("templates", "static")]
    assert not [line for path in ours for line in found(ELSEWHERE[suffix], path)]


def test_the_readme_has_every_variable() -> None:
    text = (ROOT / "studio/settings.py").read_text()
    variables = {f"STUDIO_{name}" for name in re.findall(r"_(?:env|flag)\(\"(\w+)\"", text)}
    assert variables == set(re.findall(r"\| `(STUDIO_\w+)`", (ROOT / "README.md").read_text()))
