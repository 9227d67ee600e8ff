"""Build the documentation site into build/site: `python -m scripts.site`.

The pages are those of docs/ and the repository's README, CONTRIBUTING and CHANGELOG, which stay readable
where they are; a copy of them is made fit for Sphinx: links to files that are no pages become plain names,
and the Mermaid text of the state diagram its picture. Every link and anchor is checked, and a warning is an
error. Nothing is fetched.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"

OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
CONTENTS = {
    "Start": ("quickstart", "architecture", "lifecycle", "placement"),
    "Use": ("ci", "runners", "cli", "python", "dashboard", "simulate"),
    "Run a lab": ("deploy", "operating", "agents", "drivers", "troubleshooting", "performance"),
    "Work on it": ("extending", "contributing", "decisions", "changelog"),
}

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)]*)?\)")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_MERMAID = re.compile(r"```mermaid\n.*?```", re.DOTALL)
_PICTURE = "![The states of a job](images/lifecycle.svg)"


def main() -> int:
    """Make the copy and build it; 1 when a link leads nowhere or a page is left out."""
    from sphinx.cmd.build import main as sphinx

    prepare()
    # The cache of an earlier build does not repeat its warnings.
    shutil.rmtree(SITE, ignore_errors=True)
    return sphinx(
        [
            "-q",
            "-W",
            "--keep-going",
            "-E",
            "-b",
            "html",
            "-d",
            str(SOURCE / ".doctrees"),
            str(SOURCE),
            str(SITE),
        ]
    )


def prepare() -> None:
    """Write the pages as Sphinx shall read them."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE)
    shutil.copy(SOURCE / "site" / "conf.py", SOURCE / "conf.py")
    pages = {f"docs/{page.name}": page.name for page in SOURCE.glob("*.md")} | OUTSIDE
    for origin, page in pages.items():
        text = adapted((ROOT / origin).read_text(encoding="utf-8"), origin, pages)
        (SOURCE / page).write_text(text + (contents() if page == "index.md" else ""), encoding="utf-8")


def adapted(text: str, origin: str, pages: dict[str, str]) -> str:
    """A page with its links pointing to pages of the site; what is no page is only named."""

    def linked(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if "://" in target or target.startswith("mailto:"):
            return match.group()
        place = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if place in pages:
            return f"{match['image']}[{match['text']}]({pages[place]}{anchor})"
        if match["image"] and (ROOT / place).is_file():
            return f"![{match['text']}]({place.removeprefix('docs/')})"
        if (ROOT / place).exists():
            return match["text"] if match["text"].startswith("`") else f"`{place}`"
        return match.group()  # Sphinx says that it leads nowhere

    text = _MERMAID.sub(_PICTURE, text)
    parts: list[str] = []
    end = 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(linked, text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, _LINK.sub(linked, text[end:])])


def contents() -> str:
    """What stands in the margin."""
    blocks = [
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])
        for title, pages in CONTENTS.items()
    ]
    return "\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
