"""A look over the opcodes of a pickle before it is read: none may ask for a memo larger than the pickle.

Values that come up again are kept in a memo under numbers that the pickle chooses, and the unpickler makes room for the
largest of them at once: a pickle of ten bytes can ask for 30 GB.
"""

from __future__ import annotations

import pickletools
import re

_LINES = {"c": 2, "i": 2}  # opcodes with that many lines as argument; others whose argument is text have one
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_STOP, _PUT, _LONG_PUT = ".", "p", "r"


def _tables() -> tuple[re.Pattern[bytes], dict[int, int], dict[int, int]]:
    """A pattern of opcodes of a fixed size, one after another; bytes of the length of others; lines of others."""
    fixed: dict[int, bytes] = {}
    widths, lines = {}, {}
    for op in pickletools.opcodes:
        code, n = op.code.encode("latin1"), op.arg.n if op.arg else 0
        if op.code in (_STOP, _LONG_PUT):
            continue
        if n >= 0:
            fixed[n] = fixed.get(n, b"") + re.escape(code)
        elif n in _WIDTHS:
            widths[code[0]] = _WIDTHS[n]
        else:
            lines[code[0]] = _LINES.get(op.code, 1)
    choices = b"|".join(b"[%b].{%d}" % (codes, n) for n, codes in fixed.items())
    return re.compile(b"(?:%b)++" % choices, re.DOTALL), widths, lines


_FIXED, _WIDTH, _LINE = _tables()


def memo_fits(data: bytes) -> bool:
    """Are all numbers of the memo smaller than the pickle is long? False too for what is no pickle."""
    at = 0
    while at < len(data):
        if run := _FIXED.match(data, at):
            at = run.end()
            continue
        code, at = data[at], at + 1
        if code == ord(_STOP):
            return True
        if code == ord(_LONG_PUT):
            if int.from_bytes(data[at : at + 4], "little") > len(data):
                return False
            at += 4
        elif width := _WIDTH.get(code):
            at += width + int.from_bytes(data[at : at + width], "little")
        elif lines := _LINE.get(code):
            start = at
            for _ in range(lines):
                at = data.find(b"\n", at) + 1
                if not at:
                    return False
            if code == ord(_PUT) and not (data[start : at - 1].isdigit() and int(data[start : at - 1]) <= len(data)):
                return False
        else:
            return False
    return False
