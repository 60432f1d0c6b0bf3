"""Markdown that people write, as HTML that is safe to show: no markup of their own, no images from elsewhere.

CommonMark with tables and strike-through (markdown-it-py, raw HTML off), then cleaned (nh3), so that a mistake in the one
is caught by the other.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

MENTION = re.compile(r"(?<![\w@./-])@([\w.+-]*\w)")
TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
CLASSES = {"span": {"mention"}}
DEEPER = {"h1": "h3", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6", "h6": "h6"}  # below the title of a page


def render(text: str, people: Collection[str] = (), *, is_page: bool = False) -> SafeString:
    """HTML of `text`; `@name` stands out where the name is one of `people`. Links open with no word of where from.

    Headings begin at h3, below those of the page; of a text that is the page (`is_page`) at h2.
    """
    html = _parser().render(text, {"people": {name.lower() for name in people}, "is_page": is_page})
    return mark_safe(  # noqa: S308 - cleaned in this very line
        nh3.clean(
            html,
            tags=TAGS,
            attributes=ATTRIBUTES,
            allowed_classes=CLASSES,
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    )


def parts(text: str) -> list[tuple[str, int, str | None]]:
    """The top parts of `text` in their order: (source, number of its first line, what a fence says it is, else None).

    A fenced part's source is what is inside the fence. Link references work within a part only.
    """
    lines = text.splitlines(keepends=True)
    found: list[tuple[str, int, str | None]] = []
    for token in _parser().parse(text):
        if token.level or token.map is None or token.nesting < 0:
            continue
        first, end = token.map
        if token.type == "fence":
            found.append((token.content, first + 1, token.info.strip()))
        else:
            found.append(("".join(lines[first:end]), first + 1, None))
    return found


def mentions(text: str) -> list[str]:
    """The names after an @ in `text`, in lower case, each once, outside of code."""
    found: dict[str, None] = {}
    for block in _parser().parse(text):
        for token in block.children or ():
            if token.type == "text":
                found.update(dict.fromkeys(name.lower() for name in MENTION.findall(token.content)))
    return list(found)


def plain(text: str) -> str:
    """The words of `text` on one line, without marks."""
    lines = (token for token in _parser().parse(text) if token.type in ("inline", "fence", "code_block"))
    return " ".join(
        "".join(" " if part.type.endswith("break") else part.content for part in token.children or [token])
        for token in lines
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.disable("image")
    parser.add_render_rule("text", _text)
    for name in ("heading_open", "heading_close"):
        parser.add_render_rule(name, _heading)
    return parser


def _text(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    people = env.get("people", ())

    def stand_out(match: re.Match[str]) -> str:
        return f'<span class="mention">{match[0]}</span>' if match[1].lower() in people else match[0]

    return MENTION.sub(stand_out, escape(tokens[index].content))


def _heading(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    deeper = (
        DEEPER if not env.get("is_page") else {"h1": "h2", **{f"h{n}": f"h{n + 1}" for n in range(2, 6)}, "h6": "h6"}
    )
    tokens[index].tag = deeper[tokens[index].tag]
    return renderer.renderToken(tokens, index, options, env)
