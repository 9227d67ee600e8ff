from __future__ import annotations

import pytest

from tests.support.blobs import Source


@pytest.fixture
def source() -> Source:
    return Source()
