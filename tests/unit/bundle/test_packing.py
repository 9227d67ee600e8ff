"""What goes into a bundle, and that equal content is equal bytes."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qgjob.bundle import Bundle, build_bundle, collect_tests, pack_folder, packing
from qgjob.bundle.limits import UNPACKED_LIMIT, UNPACKED_RATIO_FLOOR
from qgjob.errors import ExitCode, RefusedError, UsageError
from tests.support.examples import examples
from tests.unit.bundle.conftest import Tree


def pack(root: Path, *tests: str, limit: int | None = None) -> Bundle:
    return build_bundle(collect_tests(tests or ["a.sh"], root), root.parent / "bundle.tar.gz", limit)


def names(bundle: Bundle) -> set[str]:
    with tarfile.open(bundle.path) as archive:
        return set(archive.getnames())


def test_size_digest_and_count_are_those_of_the_file(tree: Tree):
    bundle = pack(tree({"a.sh": "1", "lib/b": "2", "lib/größe": "3"}))
    assert bundle.sha256 == hashlib.sha256(bundle.path.read_bytes()).hexdigest()
    assert bundle.size == bundle.path.stat().st_size
    assert bundle.files == 3
    assert names(bundle) == {"a.sh", "lib/b", "lib/größe"}


def test_equal_content_gives_equal_bytes_whatever_the_times_and_modes(tree: Tree, tmp_path: Path):
    root = tree({"a.sh": "1", "b/c": "2"})
    (root / "a.sh").chmod(0o700)
    first = pack(root).sha256
    os.utime(root / "b/c", (1, 1))
    (root / "a.sh").chmod(0o755)
    (root / "b/c").chmod(0o600)
    assert pack(root).sha256 == first
    (root / "b/c").chmod(0o755)
    assert pack(root).sha256 != first
    with tarfile.open(pack(root).path) as archive:
        members = archive.getmembers()
    assert [(m.name, m.mode, m.mtime, m.uid, m.uname) for m in members] == [
        ("a.sh", 0o755, 0, 0, ""),
        ("b/c", 0o755, 0, 0, ""),
    ]


def test_ignore_files_have_gits_meaning(tree: Tree):
    root = tree(
        {
            "a.sh": "",
            ".gitignore": "*.log\n/dist/\n!keep.log\n[z-a]\n\n# note\n",
            ".qgjobignore": "!dist/\nbig/\n",
            "x.log": "",
            "keep.log": "",
            "dist/app.js": "",
            "big/blob": "",
            "sub/.gitignore": "!important.log\n/local\n",
            "sub/important.log": "",
            "sub/other.log": "",
            "sub/local": "",
            "sub/deep/local": "",
            ".venv/x": "",
            "sub/env/pyvenv.cfg": "",
            "sub/env/bin/x": "",
            "node_modules/x": "",
            "sub/node_modules/x": "",
            "__pycache__/x": "",
            ".git/HEAD": "",
        }
    )
    assert names(pack(root)) == {
        ".gitignore",
        ".qgjobignore",
        "a.sh",
        "keep.log",
        "dist/app.js",
        "sub/.gitignore",
        "sub/important.log",
        "sub/deep/local",
    }


def test_packages_that_an_ignore_file_names_are_in_whole(tree: Tree):
    root = tree(
        {
            "a.sh": "",
            ".gitignore": "node_modules\ndist\n*.log\n",
            ".qgjobignore": "!/node_modules/\n",
            "node_modules/a/dist/a.js": "",
            "node_modules/a/node_modules/b/b.log": "",
            "sub/node_modules/c/c.js": "",
            ".venv/x": "",
        }
    )
    (root / "node_modules/.bin").mkdir()
    (root / "node_modules/.bin/a").symlink_to("../a/dist/a.js")
    assert names(pack(root)) == {
        ".gitignore",
        ".qgjobignore",
        "a.sh",
        "node_modules/.bin/a",
        "node_modules/a/dist/a.js",
        "node_modules/a/node_modules/b/b.log",
    }
    (root / ".qgjobignore").write_text("*\n!*/\n!*.sh\n")
    assert names(pack(root)) == {"a.sh"}, "packages were not meant"


@pytest.mark.parametrize(
    ("lines", "packed"),
    [
        ({".qgjobignore": "!node_modules\n"}, True),
        ({".qgjobignore": "!node_modules\n", "e2e/.qgjobignore": "node_modules\n"}, False),
        ({".qgjobignore": "node_modules\n", "e2e/.qgjobignore": "!node_modules\n"}, True),
        ({".qgjobignore": "!node_modules\n", "e2e/.gitignore": "node_modules\n"}, True),
        ({".gitignore": "!node_modules\n"}, False),
        ({"e2e/.gitignore": "!node_modules\n"}, False),
    ],
)
def test_the_innermost_line_of_ours_decides_on_packages(tree: Tree, lines: dict[str, str], packed: bool):
    root = tree({"a.sh": "", "e2e/node_modules/a.js": ""} | lines)
    assert ("e2e/node_modules/a.js" in names(pack(root))) is packed


def test_git_files_above_the_root_bring_no_packages(tree: Tree):
    root = tree({".git/HEAD": "", ".gitignore": "!node_modules\n", "e2e/package.json": "", "e2e/a.sh": ""})
    tree({"e2e/node_modules/a.js": ""})
    assert names(pack(root, "e2e/a.sh")) == {"package.json", "a.sh"}


def test_lines_through_packages_and_caches_stay_out_of_them(tree: Tree):
    root = tree(
        {
            "a.sh": "",
            ".gitignore": "node_modules/a/lib\n",
            ".qgjobignore": "*\n!a.sh\n!node_modules\n!e2e\nnode_modules/a/.env\n!node_modules/.cache\n",
            "e2e/.qgjobignore": "node_modules/.bin/*\n",
            "node_modules/a/.env": "",
            "node_modules/a/lib/a.js": "",
            "node_modules/a/.git/HEAD": "",
            "node_modules/a/.cache/x": "",
            "node_modules/a/.qgjobignore": "*\n",
            "node_modules/a/node_modules/.cache/x": "",
            "node_modules/.cache/x": "",
            "node_modules/big/blob": "",
            "e2e/node_modules/.bin/x": "",
            "e2e/node_modules/a/.env": "",
        }
    )
    bundle = build_bundle(
        collect_tests(["a.sh"], root), root.parent / "bundle.tar.gz", ignore=["/node_modules/big/"]
    )
    assert names(bundle) == {
        "a.sh",
        "node_modules/a/lib/a.js",
        "node_modules/a/.cache/x",
        "node_modules/a/.qgjobignore",
        "e2e/node_modules/a/.env",
    }


def test_ignore_files_above_the_root_count_up_to_the_repositorys_top(tree: Tree):
    root = tree(
        {
            ".gitignore": "*.o\n/pkg/gen/\n",
            ".git/HEAD": "",
            "pkg/.gitignore": "*.p\n",
            "pkg/app/package.json": "",
            "pkg/app/a.sh": "",
            "pkg/app/x.o": "",
            "pkg/app/x.p": "",
            "pkg/gen/app/package.json": "",
            "pkg/gen/app/a.sh": "",
            "pkg/gen/app/x.p": "",
        }
    )
    (root.parent / ".gitignore").write_text("*\n")
    assert names(pack(root, "pkg/app/a.sh")) == {"package.json", "a.sh"}
    # A root that is itself ignored was meant all the same.
    assert names(pack(root, "pkg/gen/app/a.sh")) == {"package.json", "a.sh", "x.p"}


def test_a_named_test_is_in_even_when_it_is_ignored(tree: Tree):
    root = tree({".gitignore": "gen/\n", "gen/t.sh": "", "gen/other": "", "node_modules/m/t.js": ""})
    (root / "link").symlink_to("gen")
    bundle = pack(root, "gen/t.sh", "link/t.sh", "node_modules/m/t.js")
    assert names(bundle) == {".gitignore", "link", "gen/t.sh", "node_modules/m/t.js"}


def test_links_inside_stay_links_and_become_relative(tree: Tree):
    root = tree({"a.sh": "", "data/x": ""})
    (root / "sub").mkdir()
    (root / "sub/absolute").symlink_to(root / "data/x")
    (root / "sub/relative").symlink_to("../data")
    (root / "dangling").symlink_to("gone")
    with tarfile.open(pack(root).path) as archive:
        links = {member.name: member.linkname for member in archive if member.issym()}
    assert links == {"sub/absolute": "../data/x", "sub/relative": "../data", "dangling": "gone"}


@pytest.mark.parametrize("way", ["data/../../{root}/data/x", "../{root}/data/x", "hop/../{root}/data/x"])
def test_a_link_that_goes_out_and_comes_back_is_stored_without_the_detour(tree: Tree, way: str):
    root = tree({"a.sh": "", "data/x": ""})
    (root / "hop").symlink_to("data/..")
    (root / "round").symlink_to(way.format(root=root.name))
    with tarfile.open(pack(root).path) as archive:
        assert archive.getmember("round").linkname == "data/x"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "data/../../outside", "hop/../outside"])
def test_a_link_that_leaves_the_root_is_named(tree: Tree, target: str):
    root = tree({"a.sh": "", "data/x": ""})
    (root / "hop").symlink_to("data/..")
    (root / "evil").symlink_to(target)
    with pytest.raises(UsageError, match="evil is a link that leaves the bundle") as caught:
        pack(root)
    assert caught.value.exit_code is ExitCode.USAGE
    (root / ".qgjobignore").write_text("evil\n")
    assert "evil" not in names(pack(root))


def test_a_test_reached_through_a_link_out_of_the_root_is_refused(tree: Tree):
    root = tree({"qgjob.toml": "", "a.sh": ""})
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "t.sh").write_text("")
    (root / "shared").symlink_to(outside)
    (root / ".gitignore").write_text("shared\n")
    with pytest.raises(UsageError, match="shared is a link that leaves the bundle"):
        pack(root, "shared/t.sh")


def test_sockets_and_pipes_are_passed_over(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    root = tree({"a.sh": ""})
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert names(pack(root)) == {"a.sh"}


def test_over_the_limit_the_biggest_files_are_named(tree: Tree):
    root = tree({"a.sh": "", "assets/film.bin": ""})
    (root / "assets/film.bin").write_bytes(random.Random(1).randbytes(300_000))
    with pytest.raises(RefusedError) as caught:
        pack(root, limit=200_000)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "assets/film.bin (293.0 KiB)" in caught.value.message
    assert ".qgjobignore" in (caught.value.hint or "")
    assert not (root.parent / "bundle.tar.gz").exists()
    assert pack(root, limit=400_000).size > 300_000


def test_over_the_limit_by_many_small_files_the_folders_are_named(tree: Tree):
    rng = random.Random(1)
    root = tree({"a.sh": ""} | {f"many/{n}": rng.randbytes(500).hex() for n in range(400)})
    with pytest.raises(RefusedError, match=r"many/ \(390\.6 KiB, 400 files\)"):
        pack(root, limit=50_000)


def test_what_agents_would_not_unpack_is_refused_where_it_is_packed(tree: Tree):
    root = tree({"a.sh": "", "zeros": ""})
    os.truncate(root / "zeros", UNPACKED_RATIO_FLOOR)
    with pytest.raises(
        RefusedError, match=r"64\.0 MiB unpack from 63\.\d KiB, .* 200 times; .*: zeros"
    ) as caught:
        pack(root)
    assert ".qgjobignore" in (caught.value.hint or "")
    assert not (root.parent / "bundle.tar.gz").exists()
    with pytest.raises(RefusedError, match=rf"the build {root} is too big") as caught:
        pack_folder(root, root.parent / "build.tar.gz")
    assert ".qgjobignore" not in (caught.value.hint or "")
    os.truncate(root / "zeros", UNPACKED_LIMIT + 1)
    with pytest.raises(RefusedError, match=r"unpacked it is over 8 GiB"):
        pack(root)
    os.truncate(root / "zeros", UNPACKED_RATIO_FLOOR - 100_000)
    assert pack(root).files == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tree: Tree):
    root = tree({"a.sh": "", "secret": ""})
    (root / "secret").chmod(0)
    with pytest.raises(UsageError, match="cannot read secret"):
        pack(root)


def test_pack_folder_takes_everything(tree: Tree, tmp_path: Path):
    root = tree({".gitignore": "*", "x": "", "node_modules/y": "", ".git/HEAD": ""})
    assert names(pack_folder(root, tmp_path / "build.tar.gz")) == {
        ".gitignore",
        "x",
        "node_modules/y",
        ".git/HEAD",
    }


@settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    patterns=st.lists(st.text("ab*/!?. \\#[]^-:", min_size=1, max_size=8), max_size=4),
    nested=st.lists(st.text("ab*/!", min_size=1, max_size=4), max_size=2),
)
def test_agrees_with_git(tmp_path_factory: pytest.TempPathFactory, patterns: list[str], nested: list[str]):
    root = tmp_path_factory.mktemp("repository")
    for name in ("a", "b", "ab/a", "ab/b", "ab/ab/a", "ba/a.b", "ba/b/a", "t.sh"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / ".gitignore").write_text("\n".join(patterns))
    (root / "ab/.gitignore").write_text("\n".join(nested))
    git(root, "init", "-q")
    seen_by_git = set(git(root, "ls-files", "-o", "--exclude-standard").split()) | {"t.sh"}
    assert names(build_bundle(collect_tests(["t.sh"], root), root.parent / "b.tar.gz")) == seen_by_git


def git(root: Path, *argv: str) -> str:
    return subprocess.run(["git", *argv], cwd=root, check=True, capture_output=True, text=True).stdout


def test_packing_ends_when_the_file_is_removed(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    """It runs in a thread: a command that is interrupted would wait until all of a large build is packed."""
    root = tree({"a.sh": "1"})
    (root / "large").write_bytes(os.urandom(2**20))
    target = root.parent / "build.tar.gz"
    add = packing._add  # pyright: ignore[reportPrivateUsage]

    def removed(*args: Any) -> None:
        target.unlink(missing_ok=True)
        add(*args)

    monkeypatch.setattr(packing, "_add", removed)
    with pytest.raises(UsageError, match="was removed while it was written"):
        pack_folder(root, target)
