"""How pages of the repository become pages of the site."""

from __future__ import annotations

import pytest

from scripts.site import CONTENTS, OUTSIDE, ROOT, adapted

PAGES = {f"docs/{page.name}": page.name for page in (ROOT / "docs").glob("*.md")} | OUTSIDE


@pytest.mark.parametrize(
    ("origin", "text", "wanted"),
    [
        ("README.md", "[CI](docs/ci.md#anywhere)", "[CI](ci.md#anywhere)"),
        ("docs/ci.md", "[back](../README.md)", "[back](index.md)"),
        ("README.md", "![x](docs/images/simulate.png)", "![x](images/simulate.png)"),
        ("docs/ci.md", "[`action.yml`](../action.yml)", "`action.yml`"),
        ("README.md", "[Apache](LICENSE)", "`LICENSE`"),
        ("docs/ci.md", "[away](https://example.com)", "[away](https://example.com)"),
        ("docs/ci.md", "[gone](nowhere.md)", "[gone](nowhere.md)"),
        ("docs/ci.md", "```\n[code](../action.yml)\n```", "```\n[code](../action.yml)\n```"),
    ],
)
def test_links_lead_to_pages_or_become_names(origin: str, text: str, wanted: str):
    assert adapted(text, origin, PAGES) == wanted


def test_the_state_diagram_becomes_a_picture():
    assert adapted("```mermaid\nx\n```", "docs/lifecycle.md", PAGES).startswith("![")


def test_every_page_stands_in_the_contents():
    listed = {f"{page}.md" for pages in CONTENTS.values() for page in pages} | {"index.md"}
    assert set(PAGES.values()) == listed
