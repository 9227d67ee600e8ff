"""What people write and what messages carry are checked by one rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bus_schemas.base import Label, is_label


def carried(text: str) -> bool:
    try:
        TypeAdapter[str](Label).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("label", ["emulator", "android-14", "serial:R58M", "udid:00008110-0A", "a" * 64])
def test_labels(label: str):
    assert is_label(label)
    assert carried(label)


@pytest.mark.parametrize(
    "text", ["", "any", "Emulator", "Serial:r58m", ":R58M", "a:\n", "a+b", "serial:Ä", "a" * 65]
)
def test_what_is_no_label(text: str):
    assert not is_label(text)
    assert not carried(text)


@given(st.text(alphabet="aZ0.:/-_+ \n", max_size=70))
def test_messages_carry_what_people_may_write(text: str):
    assert is_label(text) == carried(text)
