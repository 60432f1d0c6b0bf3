"""Markdown of people, on pages: what stands out, what is taken away."""

from __future__ import annotations

import re

import pytest

from studio.core.markdown import mentions, plain, render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](https://elsewhere.example/pixel.png)",
    '[x](https://a.example "\\" onmouseover=alert(1) \\"")',
    "<https://a.example/<script>>",
    "`</code><script>alert(1)</script>`",
    "```\n</pre><script>alert(1)</script>\n```",
    "| <b onclick=x> |\n|-|\n| <svg/onload=x> |",
    "@anna<script>",
    "<style>*{display:none}</style><iframe src=//a.example></iframe>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_runs_or_loads_comes_through(text: str) -> None:
    html = render(text, ["anna"])
    tags = re.findall(r"<([a-z0-9]+)([^>]*)>", html)
    assert {name for name, _ in tags} <= {"p", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "span"}
    for name, attributes in tags:
        allowed = {"a": r'( (href="https?://[^"]*"|title="[^"]*"|rel="noopener noreferrer nofollow"))*'}
        assert re.fullmatch(allowed.get(name, r'( class="mention")?'), attributes), html


def test_what_people_write_is_shown_as_they_mean_it() -> None:
    html = render("# Title\n\n**b** and ~~no~~\n\n- one\n- two\n\n| a |\n|---|\n| 1 |")
    for part in ("<h3>Title</h3>", "<strong>b</strong>", "<s>no</s>", "<li>one</li>", "<td>1</td>"):
        assert part in html


def test_the_headings_of_a_text_that_is_the_page_follow_its_title() -> None:
    html = render("# One\n\n## Two\n\n###### Six", is_page=True)
    assert [f"<h{n}>" in html for n in (1, 2, 3, 6)] == [False, True, True, True]


def test_only_people_of_the_team_stand_out() -> None:
    assert render("@Anna and @nobody", ["anna"]).count("mention") == 1


def test_names_are_found_where_somebody_is_spoken_to() -> None:
    text = "@Anna, see `@code` of bert@mail.example and @carl.x.\n\n    @indented\n\n> @dora @anna"
    assert mentions(text) == ["anna", "carl.x", "dora"]


def test_words_without_marks_are_on_one_line() -> None:
    assert plain("# A **b**\n\n- `c` [d](https://e.example)\n\n```\nf\n```\ng\nh") == "A b c d f\n g h"
