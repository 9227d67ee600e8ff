"""Which tests a submit means, and where their bundle's root is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qgjob.bundle import collect_tests
from qgjob.errors import ExitCode, NoTestsError, UsageError
from tests.unit.bundle.conftest import Tree


@pytest.mark.parametrize("marker", ["qgjob.toml", "package.json", "pyproject.toml", ".git/HEAD"])
def test_the_root_is_the_nearest_parent_with_a_marker(tree: Tree, marker: str):
    root = tree({"tests/deep/a.sh": "", marker: "", "other/b.sh": ""})
    for cwd, name in (
        (root, "tests/deep/a.sh"),
        (root / "tests", "deep/a.sh"),
        (root / "other", "../tests/deep/a.sh"),
    ):
        selection = collect_tests([name], cwd)
        assert (selection.root, selection.tests) == (root, ("tests/deep/a.sh",))


def test_without_a_marker_the_root_is_the_current_folder(tree: Tree):
    root = tree({"tests/a.sh": ""})
    assert collect_tests(["tests/a.sh"], root).root == root
    assert collect_tests(["a.sh"], root / "tests").root == root / "tests"


def test_tests_outside_of_a_current_folder_without_marker_have_their_own_root(tree: Tree):
    root = tree({"tests/a.sh": "", "tests/sub/b.sh": "", "elsewhere/x": ""})
    selection = collect_tests(["../tests/a.sh", "../tests/sub/b.sh"], root / "elsewhere")
    assert (selection.root, selection.tests) == (root / "tests", ("a.sh", "sub/b.sh"))


def test_tests_of_two_packages_share_the_root_above(tree: Tree):
    root = tree({"package.json": "", "a/package.json": "", "a/t.sh": "", "b/package.json": "", "b/t.sh": ""})
    assert collect_tests(["a/t.sh"], root).root == root / "a"
    selection = collect_tests(["b/t.sh", "a/t.sh"], root)
    assert (selection.root, selection.tests) == (root, ("b/t.sh", "a/t.sh"))


def test_globs_are_sorted_and_each_test_comes_once(tree: Tree):
    root = tree(
        {"qgjob.toml": "", "t/b.sh": "", "t/a.sh": "", "t/c.sh": "", "t/sub/d.sh": "", "t/[1].sh": ""}
    )
    assert collect_tests(["t/c.sh", "t/?.sh", "t/a.sh"], root).tests == ("t/c.sh", "t/a.sh", "t/b.sh")
    assert collect_tests(["t/**/d.sh"], root).tests == ("t/sub/d.sh",)
    assert collect_tests(["t/[1].sh"], root).tests == ("t/[1].sh",)
    assert collect_tests([f"{root}/t/[ab].sh"], root).tests == ("t/a.sh", "t/b.sh")


def test_globs_pass_over_what_is_installed_unless_it_is_named(tree: Tree):
    root = tree({"a.js": "", "node_modules/b/b.js": "", "build/c.js": "", ".gitignore": "build/"})
    assert collect_tests(["**/*.js"], root).tests == ("a.js", "build/c.js")
    assert collect_tests(["node_modules/**/*.js"], root).tests == ("node_modules/b/b.js",)
    root = tree({"e/a_test.py": "", "e/env/pyvenv.cfg": "", "e/env/lib/b_test.py": ""})
    assert collect_tests(["e/**/*_test.py"], root).tests == ("e/a_test.py",)
    assert collect_tests(["e/env/**/*_test.py"], root).tests == ("e/env/lib/b_test.py",)


def test_a_folder_gives_what_is_a_test_by_its_name(tree: Tree):
    names = [
        "test_a.py",
        "b_test.py",
        "sub/c.spec.ts",
        "sub/d.test.mjs",
        "helper.py",
        "x.ts",
        "spec.ts",
        "test.py",
    ]
    ignored = ["out/test_o.py", "node_modules/m/m.test.js", "__pycache__/test_p.py"]
    root = tree({f"tests/{name}": "" for name in names + ignored} | {".gitignore": "out/", ".git/HEAD": ""})
    expected = ("tests/b_test.py", "tests/sub/c.spec.ts", "tests/sub/d.test.mjs", "tests/test_a.py")
    assert collect_tests(["tests"], root).tests == expected
    assert collect_tests(["."], root / "tests").tests == expected


def test_a_folder_is_not_searched_for_tests_of_packages_that_are_packed(tree: Tree):
    packages = {"node_modules/m/m.test.js": "", "e2e/node_modules/m/m.test.js": ""}
    lines = {".qgjobignore": "!node_modules\n", "e2e/.qgjobignore": "!node_modules\n"}
    root = tree({"qgjob.toml": "", "a.test.js": ""} | packages | lines)
    (root / "e2e/node_modules/shared").symlink_to("../../node_modules/m")
    assert collect_tests(["."], root).tests == ("a.test.js",)
    (root / "e2e/b.test.js").touch()
    assert collect_tests(["e2e"], root).tests == ("e2e/b.test.js",), "links are packing's to judge"
    assert collect_tests(["node_modules/m"], root).tests == ("node_modules/m/m.test.js",)
    assert collect_tests(["node_modules/m/m.test.js"], root).tests == ("node_modules/m/m.test.js",)


@pytest.mark.parametrize(
    ("name", "file"), [("t/test_a.py::test_x[1]", "t/test_a.py"), ("t/a.spec.ts:12:3", "t/a.spec.ts")]
)
def test_a_case_of_a_file_is_the_runners_to_find(tree: Tree, name: str, file: str):
    root = tree({"t/test_a.py": "", "t/a.spec.ts": ""})
    with pytest.raises(NoTestsError) as caught:
        collect_tests([name], root)
    assert f"--test {file} -- -k NAME" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("no.sh", "there is no test file no.sh"),
        ("no*.sh", "no file matches no*.sh"),
        ("empty", "no test was found under the folder empty"),
        ("", "a test's name is empty"),
        ("a\0b", "there is no test file"),
        ("a.sh/b", "there is no test file"),
    ],
)
def test_a_pattern_without_a_match_is_named(tree: Tree, pattern: str, sentence: str):
    root = tree({"a.sh": "", "empty/readme": ""})
    with pytest.raises(NoTestsError) as caught:
        collect_tests(["a.sh", pattern], root)
    assert caught.value.message.startswith(sentence)
    assert caught.value.exit_code is ExitCode.NO_TESTS


def test_no_pattern_at_all_is_no_test(tmp_path: Path):
    with pytest.raises(NoTestsError, match="no test was named"):
        collect_tests([], tmp_path)


def test_a_name_that_is_not_utf8_is_refused_in_a_sentence(tree: Tree):
    root = tree({"a.sh": ""})
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.sh")).write_text("")
    with pytest.raises(UsageError, match="not UTF-8"):
        collect_tests(["*.sh"], root)


def test_where_the_root_lies_in_its_repository(tree: Tree):
    root = tree({".git/HEAD": "", "web/shop/package.json": "", "web/shop/t/a.js": "", "b.js": ""})
    assert collect_tests(["web/shop/t/a.js"], root).folder == "web/shop"
    assert collect_tests(["b.js"], root).folder is None


def test_a_root_without_a_repository_lies_nowhere(tree: Tree):
    root = tree({"c/package.json": "", "c/t/a.js": ""})
    assert collect_tests(["c/t/a.js"], root).folder is None
