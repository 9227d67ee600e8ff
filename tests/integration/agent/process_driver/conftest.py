from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.drivers.base import Build
from agent.drivers.process import ProcessDevice
from agent.supervision.sweep import sweep_leftovers
from tests.support.processbuilds import MANIFEST, SERVER, MakeBuild, new_device


@pytest.fixture
def make_build(tmp_path: Path) -> MakeBuild:
    """Packs a build; without files it is the server above."""

    def make(
        version: str,
        files: dict[str, str] | None = None,
        *,
        org: str = "acme",
        app: str = "app",
        kind: str = "tar.gz",
    ) -> Build:
        if files is None:
            files = {"server.py": SERVER, "qgjob-app.json": json.dumps(MANIFEST)}
        folder = tmp_path / f"build-{org}-{version}"
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        if kind == "folder":
            return Build(org_id=org, app_version_id=version, app_id=app, path=folder)
        path = folder.with_suffix(f".{kind}")
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name in files:
                    archive.write(folder / name, name)
        else:
            with tarfile.open(path, "w:gz") as archive:
                archive.add(folder, ".")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Build(org_id=org, app_version_id=version, app_id=app, path=path, sha256=digest)

    return make


@pytest.fixture
async def device(tmp_path: Path, mark: str) -> AsyncIterator[ProcessDevice]:
    made = await new_device(tmp_path, mark)
    yield made
    await made.close()
    assert sweep_leftovers(mark) == 0, "a test left processes behind"
