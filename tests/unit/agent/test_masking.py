"""Secrets stay out of what is shown, wherever the output is cut and whatever it is dressed in."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.output.masking import Masker

SECRET = "hunter2-Pässwört/+="
SECRETS = st.text(alphabet="abXY-", min_size=4, max_size=12)


def masked(masker: Masker, pieces: list[bytes]) -> bytes:
    stream = masker.stream()
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.close()])


@given(
    secret=SECRETS,
    noise=st.lists(st.text(alphabet="abXY-\n ", max_size=20), min_size=1, max_size=4),
    data=st.data(),
)
def test_a_secret_is_hidden_however_the_output_is_cut(
    secret: str, noise: list[str], data: st.DataObject
) -> None:
    raw = secret.join([*noise, ""]).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert secret.encode() not in masked(Masker([secret]), pieces)


@given(text=st.binary(max_size=200), data=st.data())
def test_what_holds_no_secret_passes_unchanged(text: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    text = text.replace(b"\x01", b"")
    assert masked(Masker(["\x01\x01\x01\x01"]), [text[:cut], text[cut:]]) == text


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}@host".encode()).decode(),
        base64.b64encode(f"us:{SECRET}@host".encode()).decode(),
        base64.urlsafe_b64encode(f"u:{SECRET}".encode()).decode(),
        f"{SECRET[:5]}\n{SECRET[5:9]}\r\n{SECRET[9:]}",
    ],
)
def test_a_secret_in_disguise_is_hidden(shown: str) -> None:
    raw = f"before {shown} after\n".encode()
    # One byte at a time is the worst way to be cut.
    found = masked(Masker([SECRET]), [raw[i : i + 1] for i in range(len(raw))])
    assert b"***" in found
    plain = found.replace(b"\n", b"")
    assert plain.startswith(b"before ")
    assert plain.endswith(b" after")
    assert len(plain) < len(raw) - 8
    assert found.count(b"\n") == raw.count(b"\n"), "line numbers stay"


def test_each_line_of_a_secret_of_several_lines_is_hidden() -> None:
    key = "-----BEGIN KEY-----\nMIIabcdefg\nhijklmnop\n-----END KEY-----\n"
    found = Masker([key]).text("only this: hijklmnop\nand this: MIIabcdefg")
    assert found == "only this: ***\nand this: ***"


def test_a_secret_that_repeats_itself_is_not_held_for_ever() -> None:
    stream = Masker(["abababab"]).stream()
    shown = b"".join(stream.feed(b"ab" * 500) for _ in range(20)) + stream.close()
    assert b"abababab" not in shown
    assert len(shown) < 200


def test_line_breaks_behind_the_beginning_of_a_secret_are_not_held_for_ever() -> None:
    stream = Masker([SECRET]).stream()
    shown = stream.feed(b"h") + b"".join(stream.feed(b"\n" * 1000) for _ in range(100))
    assert len(shown) > 90_000


def test_without_secrets_nothing_is_held() -> None:
    assert not Masker([])
    assert Masker([]).stream().feed(b"x\ny") == b"x\ny"
