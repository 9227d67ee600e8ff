"""A job's TMPDIR has room for sockets, however deep the agent's folder lies."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from agent.storage.short_tmp import MAX_BYTES, forget_short_tmp, short_tmp, sweep_short_tmps


def test_a_deep_folder_gets_a_short_name_which_moves_with_the_jobs(tmp_path: Path):
    work = tmp_path / ("deep" * 20)
    names: list[Path] = []
    for job in ("j_1", "j_2"):
        tmp = work / job / "tmp"
        tmp.mkdir(parents=True)
        name = short_tmp(tmp)
        names.append(name)
        assert len(os.fsencode(name)) <= MAX_BYTES
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f"{name}/org.chromium.Chromium.abcdef.SingletonSocket")
        assert len(list(tmp.iterdir())) == 1
    assert names[0] == names[1]
    forget_short_tmp(work)
    assert not names[0].is_symlink()


def test_a_short_name_stays():
    assert short_tmp(Path("/data/work/s0/j_1/tmp")) == Path("/data/work/s0/j_1/tmp")


def test_links_that_lead_nowhere_are_swept(tmp_path: Path):
    names: list[Path] = []
    for slot in ("gone", "here"):
        tmp = tmp_path / ("deep" * 20) / slot / "j_1" / "tmp"
        tmp.mkdir(parents=True)
        names.append(short_tmp(tmp))
    shutil.rmtree(tmp_path / ("deep" * 20) / "gone")
    sweep_short_tmps()
    assert [name.is_symlink() for name in names] == [False, True]
    forget_short_tmp(tmp_path / ("deep" * 20) / "here")
    assert not names[1].is_symlink()
