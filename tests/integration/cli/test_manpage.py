"""The manual page, read by a linter that knows no mercy."""

from __future__ import annotations

import subprocess
import tomllib

from scripts.manpage import DOC
from tests.conftest import required_program


def test_the_manual_page_renders_without_a_warning():
    mandoc = required_program("mandoc")
    done = subprocess.run([mandoc, "-T", "lint", str(DOC)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
    shown = subprocess.run([mandoc, "-T", "utf8", str(DOC)], capture_output=True, text=True, check=True)
    assert "qgjob submit" in shown.stdout


def test_an_installation_brings_it():
    project = tomllib.loads((DOC.parents[1] / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {f"docs/{DOC.name}": f"share/man/man1/{DOC.name}"}
