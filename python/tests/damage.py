"""Damage to files, the same for the same seed: what disks, editors and transfers do to them, and numbers that are too large."""

import random
import re

_WORDS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\1\0")
_NUMBERS = ("0", "1", "2", "65536", "4294967296", "9223372036854775807", "99999999999999999999", "-1", "1.5", "1e400", "?", "null")
_TYPES = ("f64", "f16", "bf16", "i32", "i8", "index", "i1", "i128", "complex<f32>", "f80")
_TOKEN = re.compile(rb"[A-Za-z_][\w.]*|\d+|[^\w\s]")


def damaged(data: bytes, seed: int) -> bytes:
    """`data` cut off, or with bits flipped, words overwritten and pieces of it in other places."""
    choose = random.Random(seed)
    bytes_ = bytearray(data)
    if choose.randrange(8) == 0:
        return data[: choose.randrange(len(data))]
    for _ in range(choose.choice((1, 1, 2, 4, 16))):
        at, kind = choose.randrange(len(bytes_)), choose.randrange(4)
        if kind == 0:
            bytes_[at] ^= 1 << choose.randrange(8)
        elif kind == 1:
            bytes_[at : at + 4] = choose.choice(_WORDS)
        elif kind == 2:
            bytes_[at : at + 8] = choose.getrandbits(choose.choice((8, 16, 31, 40, 63))).to_bytes(8, "little")
        else:
            source = choose.randrange(len(data))
            bytes_[at : at + 8] = data[source : source + 8]
    return bytes(bytes_)


def damaged_text(text: str, seed: int) -> str:
    """`text` with tokens lost, doubled, exchanged and replaced: one of them, or a size or a type wherever it occurs."""
    choose = random.Random(seed)
    if choose.randrange(12) == 0:
        return text[: choose.randrange(len(text))]
    for _ in range(choose.choice((1, 1, 2, 3))):
        kind = choose.randrange(6)
        if kind == 0:
            size = choose.choice(sorted(set(re.findall(r"(?<=<)\d+(?=x)|(?<=x)\d+(?=x)", text))) or ["1"])
            text = re.sub(rf"(?<=[<x]){size}(?=x)", choose.choice(_NUMBERS), text)
            continue
        if kind == 1:
            text = re.sub(r"\bf32\b", choose.choice(_TYPES), text)
            continue
        raw = bytearray(text.encode("latin1", "replace"))
        tokens = [match.span() for match in _TOKEN.finditer(raw)]
        begin, end = choose.choice(tokens)
        if kind == 2:
            raw[begin:end] = b""
        elif kind == 3:
            other = choose.choice(tokens)
            raw[begin:end] = raw[other[0] : other[1]]
        elif kind == 4:
            raw[begin:begin] = raw[begin:end]
        else:
            numbers = [span for span in tokens if raw[span[0] : span[0] + 1].isdigit()]
            begin, end = choose.choice(numbers or tokens)
            raw[begin:end] = choose.choice(_NUMBERS).encode()
        text = raw.decode("latin1")
    return text
