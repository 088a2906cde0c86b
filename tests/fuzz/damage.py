"""Edits of a log: of one value of its JSON or table, or of its bytes. Few and small numbers: fewer may do as well."""

from __future__ import annotations

import copy
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from hypothesis import strategies as st

from grpo_prm.logs.containers.panics import without_panics

# What stands in place of a value: what real logs hold by mistake, and what no log should.
VALUES = (
    None, True, 0, -1, 2**31, 2**63, 10**400, 0.5, -1e308, float("nan"), float("inf"), "", "0.5", "pass", "x" * 300,
    "\ud800", "\x00", "[1, 2]", '{"role": "user"}', [], [None], [0.5], ["a"], [[1]], [{}], {}, {"role": "assistant"},
    {"role": "assistant", "content": [{"type": "image_url", "image_url": 3}]}, {"a": {"a": {"a": {}}}},
    json.loads("[" * 600 + "]" * 600), json.loads('{"a":' * 400 + "0" + "}" * 400),
    '[{"role"' + "[" * 3000, "[" * 3000, 1e300, -1e300, 5e-324, 1e16, 2**53 + 1,
)  # fmt: skip
BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\n",
    b"{",
    b"]",
    b'"',
    b",",
    b"\\ud800",
    b"NaN",
    b"9" * 400,
    b"[" * 2000,
    b"PK\x03\x04",
    b"\xff\xff\xff\x7f",
    b"h\x00",
    b"R",
    b"\x85",
)
# What becomes of a column of a table, by the number of the edit.
COLUMNS: tuple[Callable[[pl.Expr], pl.Expr], ...] = (
    lambda c: c.cast(pl.String),
    lambda c: c.cast(pl.Float32),
    lambda c: c.cast(pl.Int8, strict=False),
    lambda c: pl.lit(None).alias("x"),
    lambda c: c.implode().repeat_by(1).explode(),
    lambda c: pl.struct(c.alias("value")),
    lambda c: pl.concat_list(c, c),
    lambda c: c.cast(pl.Categorical),
    lambda c: c.cast(pl.Binary),
    lambda c: pl.datetime(2026, 1, 1),
    lambda c: c.cast(pl.Decimal(38, 2), strict=False),
    lambda c: c.cast(pl.Duration),
    lambda c: c.cast(pl.Boolean),
    lambda c: pl.lit(float("nan")),
    lambda c: pl.lit(-1e308),
    lambda c: pl.lit([], pl.List(pl.Int64)),
    lambda c: pl.lit([None], pl.List(pl.String)),
    lambda c: pl.lit(b"\xff\x00", pl.Binary),
    lambda c: c.cast(pl.UInt64, strict=False),
    lambda c: c.reverse(),
    lambda c: c.first(),
)
# What becomes of a parquet, by the number of the edit: how it is written, and what of its rows.
WRITTEN: tuple[Callable[[pl.DataFrame, str], tuple[pl.DataFrame, dict[str, Any]]], ...] = (
    lambda t, _c: (t, {"row_group_size": 1}),
    lambda t, _c: (t, {"row_group_size": 3, "data_page_size": 1}),
    lambda t, _c: (t, {"statistics": False, "compression": "uncompressed"}),
    lambda t, _c: (t, {"compression": "gzip"}),
    lambda t, _c: (t, {"compression": "snappy", "data_page_size": 64}),
    lambda t, _c: (t.clear(), {}),
    lambda t, _c: (t.head(1), {}),
    lambda t, c: (t.select(c), {}),
    lambda t, c: (pl.concat([t, t.with_columns(pl.lit(None, t.schema[c]).alias(c))]), {"row_group_size": len(t)}),
    lambda t, c: (t.select(pl.all().exclude(c), pl.col(c).alias(c.upper())), {}),
    lambda t, c: (t.with_columns(pl.col(c).alias(f"{c}.{c}"), pl.struct(c, pl.lit(1).alias("x")).alias(f"{c} ")), {}),
    lambda t, c: (t.with_columns(pl.col(c).repeat_by(pl.int_range(pl.len()) % 3)), {}),
    lambda t, c: (t.with_columns(pl.concat_list(pl.struct(c), pl.struct(c)).alias(c)), {}),
    lambda t, c: (t.with_columns(pl.concat_arr(c, c).alias(c)), {}),
    lambda t, c: (t.with_columns(pl.col(c).cast(pl.String).cast(pl.Categorical)), {"row_group_size": 2}),
    lambda t, c: (t.with_columns(pl.lit(None, pl.List(pl.Struct({"a": pl.List(pl.Null)}))).alias(c)), {}),
    lambda t, c: (pl.concat([t.with_columns(pl.lit(None).alias(c)).cast({c: t.schema[c]}), t]), {"row_group_size": 4}),
    lambda t, c: (t.select(c, pl.all().exclude(c)), {"data_page_size": 1, "use_pyarrow": True}),
    lambda t, _c: (t, {"use_pyarrow": True, "pyarrow_options": {"data_page_version": "2.0", "row_group_size": 2}}),
    lambda t, _c: (t, {"use_pyarrow": True, "pyarrow_options": {"use_dictionary": True, "compression": "zstd"}}),
    lambda t, _c: (t, {"use_pyarrow": True, "pyarrow_options": {"version": "1.0", "flavor": "spark"}}),
)
PLACE = st.floats(0, 1, exclude_max=True)
EDITS = st.one_of(
    st.tuples(st.just("value"), PLACE, PLACE, st.integers(0, len(VALUES) - 1)),
    st.tuples(st.sampled_from(("delete", "twice", "wrap", "text")), PLACE, PLACE, st.just(0)),
    st.tuples(st.just("bytes"), PLACE, PLACE, st.integers(0, len(BYTES) - 1)),
    st.tuples(st.sampled_from(("cut", "flip", "drop")), PLACE, PLACE, st.integers(0, 20)),
    st.tuples(st.just("column"), PLACE, PLACE, st.integers(0, len(COLUMNS) - 1)),
    st.tuples(st.just("parquet"), PLACE, PLACE, st.integers(0, len(WRITTEN) - 1)),
    st.tuples(st.sampled_from(("footer", "page", "double")), PLACE, PLACE, st.integers(0, 20)),
    st.tuples(st.sampled_from(("null", "name", "rows", "pack", "order")), PLACE, PLACE, st.integers(0, 3)),
)


def damaged(files: dict[str, bytes], edits: list[tuple]) -> dict[str, bytes]:
    """The files of a log after some edits, each (kind, which file, where in it, with what)."""
    files = dict(files)
    for kind, which, where, number in edits:
        name = sorted(files)[int(which * len(files))]
        try:
            if kind == "pack":  # whole, or cut short; under a name that says so, or under its own
                packed = gzip.compress(files.pop(name), mtime=0)
                files[name + ".gz" * (number < 2)] = packed[: int(where * len(packed))] if number % 2 else packed
            else:
                with without_panics():  # of a file that is damaged already
                    files[name] = _edited(name, files[name], kind, where, number)
        except (
            ValueError,
            TypeError,
            OSError,
            OverflowError,
            RecursionError,
            LookupError,
            ZeroDivisionError,
            zlib.error,
            zipfile.BadZipFile,
            pl.exceptions.PolarsError,
        ):
            continue  # the file is no JSON or table any more, or the edit does not fit it
        except pl.exceptions.PanicException:
            continue
    return files


def _edited(name: str, data: bytes, kind: str, where: float, number: int) -> bytes:
    if data[:4] == b"PK\x03\x04":
        return _member_edited(data, kind, where, number)
    if kind in ("footer", "page", "double"):
        return _parquet_bytes(data, kind, where, number) if data[:4] == b"PAR1" else data
    if name.endswith((".parquet", ".arrow")) and kind not in ("bytes", "cut", "flip", "drop"):
        return _table_edited(name, data, kind, where, number)
    at = int(where * (len(data) + 1))
    if kind == "bytes":
        return data[:at] + BYTES[number] + data[at + len(BYTES[number]) // 2 :]
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        return data[:at] + bytes(b ^ (1 << number % 8) for b in data[at : at + 1]) + data[at + 1 :]
    if kind == "drop":
        return data[:at] + data[at + number :]
    if name.endswith((".jsonl", ".json")):
        lines = data.split(b"\n") if name.endswith(".jsonl") else [data]
        if kind in ("rows", "order"):
            return b"\n".join(lines * number if kind == "rows" else lines[::-1])
        line = int(where * len(lines)) if name.endswith(".jsonl") else 0
        inside = where * len(lines) % 1 if name.endswith(".jsonl") else where
        value = _changed(json.loads(lines[line]), kind, inside, number)
        lines[line] = json.dumps(value).encode()
        return b"\n".join(lines)
    return data


def _member_edited(data: bytes, kind: str, where: float, number: int) -> bytes:
    """A zip of which one member is edited, with the checksum of what it then holds; one edit in ten is of the zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: (info.compress_type, archive.read(info)) for info in archive.infolist()}
    names = sorted(members, key=lambda name: -len(members[name][1]))
    place = where * 10 * len(names)
    if kind in ("bytes", "cut", "flip", "drop") and place < len(names):
        return _edited("", b" " + data, kind, place / len(names), number)[1:]
    # Most edits are of the largest member: of a file of torch.save it is the pickle.
    name = names[0] if place % 1 < 0.7 else names[int(place) % len(names)]
    packing, content = members[name]
    members[name] = packing, _edited(name, content, kind, where * 1000 % 1, number)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, (packing, content) in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, packing)
    return out.getvalue()


def _parquet_bytes(data: bytes, kind: str, where: float, number: int) -> bytes:
    """A parquet of which the footer, or a page and no footer, is edited, or two columns are called the same."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if kind == "page":
        at = 4 + int(where * (start - 4))
        return data[:at] + bytes([data[at] ^ (1 << number % 8)]) + data[at + 1 :]
    footer = data[start:-8]
    if kind == "footer":
        at = int(where * len(footer))
        flipped = bytes([footer[at] ^ (1 << number % 8)])
        put = flipped if number < 16 else (b"", b"\x00", b"\xff" * 9, b"\x19\x00")[number % 4]
        footer = footer[:at] + put + footer[at + 1 :]
    else:  # names of one length are as long as the other, so that nothing else moves
        names = [name.encode() for name in pl.read_parquet_schema(io.BytesIO(data))]
        pairs = [(a, b) for a in names for b in names if a != b and len(a) == len(b)]
        one, other = pairs[int(where * len(pairs))]
        footer = footer.replace(one, other)
    return data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:]


def _table_edited(name: str, data: bytes, kind: str, where: float, number: int) -> bytes:
    """A table of which a column or a cell is edited."""
    if kind == "value" and repr(VALUES[number]).count("[") + repr(VALUES[number]).count("{") > 99:
        return data  # as it makes so deep a table polars itself dies of its stack, or never ends
    parquet, how = name.endswith(".parquet"), {}
    table = pl.read_parquet(io.BytesIO(data)) if parquet else _arrow(data)
    column = table.columns[int(where * table.width)]
    if kind == "column":
        table = table.with_columns(COLUMNS[number](pl.col(column)).alias(column))
    elif kind == "parquet":
        table, how = WRITTEN[number](table, column)
    elif kind == "delete":
        table = table.drop(column)
    elif kind == "name":
        table = table.rename({column: ("", "x", "réward", table.columns[0] + ".a")[number]})
    elif kind in ("rows", "order"):
        table = pl.concat([table] * number) if kind == "rows" else table.reverse()
    elif kind == "null":
        at = int(where * 1000) % table.height
        table = table.with_columns(pl.when(pl.int_range(pl.len()) != at).then(pl.col(column)).alias(column))
    elif kind in ("value", "twice", "wrap", "text"):
        rows = table.to_dicts()
        at = int(where * 1000) % len(rows)
        rows[at] = _changed(rows[at], kind, where * 100 % 1, number)
        table = pl.DataFrame(rows, strict=False, infer_schema_length=None)
    out = io.BytesIO()
    table.write_parquet(out, **how) if parquet else table.write_ipc_stream(out)
    return out.getvalue()


def _arrow(data: bytes) -> pl.DataFrame:
    return (pl.read_ipc if data[:6] == b"ARROW1" else pl.read_ipc_stream)(io.BytesIO(data))


def _changed(value: Any, kind: str, where: float, number: int) -> Any:
    """A JSON value, one of the values in it changed."""
    root = [copy.deepcopy(value)]
    places = list(_places(root))
    holder, key = places[int(where * len(places))]
    one = holder[key]
    if kind == "value":
        holder[key] = VALUES[number]
    elif kind == "null":
        holder[key] = None
    elif kind == "delete" and holder is not root:
        del holder[key]
    elif kind == "twice":
        holder[key] = [one, copy.deepcopy(one)]
    elif kind == "wrap":
        holder[key] = [one]
    elif kind == "text":
        holder[key] = json.dumps(one)
    elif kind == "name" and isinstance(holder, dict):
        holder[("", "x", "réward", "a.b")[number]] = holder.pop(key)
    return root[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value: what holds it, and the key or index."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
