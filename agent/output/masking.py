"""Masks the values of secrets in a job's output while it streams: its pieces may be cut anywhere.

Masked are a value as it is, each of its lines, its usual encodings (Base64, URL, JSON), and all of these
also when they are broken over lines. What somebody encrypts, reverses or prints letter by letter is not
found: masking keeps accidents out of logs, not intentions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = b"***"
MIN_SECRET_CHARS: Final = 4
"""Shorter values would be found everywhere."""
_MIN_ENCODED: Final = 8
_BREAKS: Final = b"\r\n"
_MAX_BREAKS: Final = 1024
"""Of line breaks behind what may be the beginning of a secret."""


class Masker:
    """Masks secrets; without any it costs nothing."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        found = {needle for value in values for needle in _needles(value)}
        self._needles = tuple(sorted(found, key=len, reverse=True))

    def __bool__(self) -> bool:
        return bool(self._needles)

    def stream(self) -> StreamMasker:
        """A masker for one stream of output."""
        return StreamMasker(self._needles)

    def text(self, text: str) -> str:
        """A whole text with the secrets hidden."""
        if not self._needles:
            return text
        stream = self.stream()
        raw = text.encode("utf-8", "surrogatepass")
        return (stream.feed(raw) + stream.close()).decode("utf-8", "surrogatepass")


class StreamMasker:
    """Masks one stream; what may be the beginning of a secret is held back until more has come."""

    def __init__(self, needles: tuple[bytes, ...]) -> None:
        self._needles = needles
        self._held: bytes = b""
        self._most = 2 * max(map(len, needles), default=0) + _MAX_BREAKS

    def feed(self, data: bytes) -> bytes:
        """What may be shown now."""
        if not self._needles:
            return data
        data = self._held + data
        plain = data.translate(None, _BREAKS)
        spans = self._spans(plain)
        cut = self._cut(plain, spans)
        if not spans and cut == len(plain):
            self._held = b""
            return data
        places = [place for place, byte in enumerate(data) if byte not in _BREAKS]
        end = places[cut] if cut < len(places) else len(data)
        if len(data) - end > self._most:  # longer than any secret, even one split over lines
            end = len(data)
        self._held = data[end:]
        return _masked(data[:end], [(places[first], places[last - 1] + 1) for first, last in spans])

    def close(self) -> bytes:
        """What was held back: it was no secret."""
        held, self._held = self._held, b""
        return held

    def _spans(self, plain: bytes) -> list[tuple[int, int]]:
        """Where secrets are, merged, in order."""
        found: list[tuple[int, int]] = []
        for needle in self._needles:
            place = plain.find(needle)
            while place >= 0:
                found.append((place, place + len(needle)))
                place = plain.find(needle, place + 1)
        merged: list[tuple[int, int]] = []
        for first, last in sorted(found):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return merged

    def _cut(self, plain: bytes, spans: list[tuple[int, int]]) -> int:
        """From where on the text may be the beginning of a secret."""
        cut = len(plain)
        for needle in self._needles:
            place = plain.find(needle[:1], max(0, len(plain) - len(needle) + 1))
            while 0 <= place < cut:
                if needle.startswith(plain[place:]):
                    cut = place
                    break
                place = plain.find(needle[:1], place + 1)
        # Masked text is not held back: a secret that repeats itself would be held for ever.
        return max(cut, spans[-1][1]) if spans else cut


def _masked(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    pieces: list[bytes] = []
    done = 0
    for first, last in spans:
        hidden = data[first:last]
        # The lines below keep their numbers.
        pieces += [data[done:first], MASK, b"\n" * hidden.count(b"\n")]
        done = last
    pieces.append(data[done:])
    return b"".join(pieces)


def _needles(value: str) -> Iterable[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    forms = {
        value,
        *(line.strip() for line in value.splitlines()),
        quote(value, safe="", errors="replace"),
        quote_plus(value, errors="replace"),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    }
    for form in forms:
        plain = form.encode("utf-8", "surrogatepass").translate(None, _BREAKS)
        if len(plain) >= MIN_SECRET_CHARS:
            yield plain
    for part in {raw, raw.rstrip(b"\r\n")}:
        for before in range(3):
            yield from _encoded(part, before)


def _encoded(raw: bytes, before: int) -> Iterable[bytes]:
    """Base64 of something that has the value behind so many (modulo 3) bytes: what is sure to be in it."""
    code = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
    if (before + len(raw)) % 3:
        code = code[:-1]  # its last character also encodes bits of what follows
    code = code[(0, 2, 3)[before] :]
    if len(code) >= _MIN_ENCODED:
        yield code
        yield code.translate(bytes.maketrans(b"+/", b"-_"))


def masker_of(secrets: Mapping[str, str]) -> Masker:
    """A masker of these secrets, by name."""
    return Masker(secrets.values())
