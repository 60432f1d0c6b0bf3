"""Shared pages in frames: only on the sites that a link names, with no cookie, and as high as their content."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.reports import sharing
from studio.reports.embedding import origins_of, snippet
from studio.reports.errors import ShareError
from studio.reports.models import ShareLink
from tests.access.people import People
from tests.factories import make_run

WIKI = "https://wiki.example"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://wiki.example", WIKI), (" HTTPS://Wiki.Example/ ", WIKI), ("https://wiki.example:443", WIKI),
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090"), ("http://localhost", "http://localhost"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"), ("http://wiki:80", "http://wiki"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_a_site_is_written_as_browsers_write_it(given: str, origin: str) -> None:
    assert origins_of([given, given]) == [origin]


@pytest.mark.parametrize(
    "given",
    [
        "*", "https://*", "https://*.example", "https:", "https://", "wiki.example", "null", "'self'", "data:", "blob:",
        "https://wiki.example/page", "https://me@wiki.example", "https://wiki.example?x", "https://wiki.example#x",
        "https://wiki.example;script-src", "https://wiki.example, https://b", "https://wiki..example", "ftp://wiki.example",
        "https://wiki.example:99999", "https://wiki.example:", "https://bücher.example", "https://-wiki.example", "",
        "https://wiki.example\r\nX-Y: z", "javascript:alert(1)", "https://wiki.example\x00",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_words(given: str) -> None:
    with pytest.raises(ShareError, match="is no site: give scheme, host"):
        origins_of([given])


def test_there_may_be_ten() -> None:
    assert len(origins_of([f"https://{n}.example" for n in range(10)])) == 10
    with pytest.raises(ShareError, match="at most 10 sites; 11 were given"):
        origins_of([f"https://{n}.example" for n in range(11)])


def test_a_title_adds_no_markup_to_the_lines_for_the_other_page() -> None:
    text = snippet("https://studio.example/s/x/embed/", 'a"><script>alert(1)</script>')
    assert text.count("<script>") == 1 and "&quot;&gt;&lt;script&gt;" in text
    assert 'event.origin !== "https://studio.example"' in text


@pytest.fixture
def urls(people: People, redis_server: Any) -> dict[str, str]:
    """Page and frame of a link that names one site."""
    run = make_run(people.project, state="succeeded")
    _, token = sharing.share(target=run, by=people.editor, project=people.project, embed_on=[WIKI, "http://wiki:81"])
    return {name: reverse(f"shared{name}", args=[token]) for name in ("", "-embed", "-live", "-series")}


@pytest.mark.django_db
def test_the_frame_is_for_its_sites_and_everything_else_stays_shut(urls: dict[str, str]) -> None:
    response = Client().get(urls["-embed"])
    policy = response.headers["Content-Security-Policy"]
    assert f"frame-ancestors {WIKI} http://wiki:81;" in policy + ";"
    others = [part for part in policy.split("; ") if not part.startswith("frame-ancestors")]
    page = Client().get(urls[""])
    assert set(others) == {p for p in page.headers["Content-Security-Policy"].split("; ") if "frame-anc" not in p}
    assert "X-Frame-Options" not in response.headers and not response.cookies
    assert response.headers["Referrer-Policy"] == "no-referrer" and response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert b'data-embedded-on="https://wiki.example http://wiki:81"' in response.content
    for name in ("", "-live", "-series"):
        other = Client().get(urls[name])
        assert "frame-ancestors 'none'" in other.headers["Content-Security-Policy"]
        assert other.headers["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_a_link_that_names_no_site_or_is_taken_back_has_no_frame(people: People, redis_server: Any) -> None:
    run = make_run(people.project)
    link, token = sharing.share(target=run, by=people.editor, project=people.project)
    embed = reverse("shared-embed", args=[token])
    assert Client().get(embed).status_code == 404
    ShareLink.objects.filter(pk=link.pk).update(embed_on=[WIKI])
    assert Client().get(embed).status_code == 200
    sharing.revoke(link=link, by=people.owner)
    response = Client().get(embed)
    assert response.status_code == 404 and response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_its_colours_can_be_fixed(urls: dict[str, str]) -> None:
    for given, theme in (("dark", "dark"), ("light", "light"), ("x", "system"), ('"><script>', "system")):
        assert f'data-theme="{theme}"' in Client().get(urls["-embed"], {"theme": given}).content.decode()


@pytest.mark.django_db
def test_the_form_says_what_is_wrong_with_a_site_and_shows_what_to_put_into_the_page(people: People) -> None:
    url = reverse("share-create", args=[people.project.pk]) + f"?run={make_run(people.project).pk}"
    client, given = people.client("editor"), {"days": "14", "freeze": "live", "title": "Curves"}
    refused = client.post(url, {**given, "embed_on": "https://wiki.example/page"})
    assert refused.status_code == 400 and "is no site" in refused.content.decode()
    both = client.post(url, {**given, "embed_on": WIKI, "password": "long enough"})
    assert both.status_code == 400 and "cannot be embedded" in both.content.decode()
    made = client.post(url, {**given, "embed_on": f"{WIKI}\nhttp://127.0.0.1:8090"}).content.decode()
    assert "&lt;iframe src=" in made and "/embed/" in made and "https://wiki.example, http://127.0.0.1:8090" in made
    assert ShareLink.objects.get().embed_on == [WIKI, "http://127.0.0.1:8090"]
    listed = client.get(reverse("share-links", args=[people.project.pk])).content.decode()
    assert "in frames of https://wiki.example, http://127.0.0.1:8090" in listed
