"""Tables of text: separators, byte order marks, UTF-16, decimal commas, and headers that are none."""

import csv
import gzip
import io
import json

import pytest
from logs.log_files import balanced, message, reasons

from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.containers.csv_dialect import SAMPLE, dialect_of

NAMES = ["step", "prompt", "completion", "reward", "advantage"]
# Texts hold every separator, quotes and line ends.
ROWS = [
    (step, f"what is {p}; 5, 6 | 7\tor \"8\"?", f"it is; {k}, \"I | think\"\nso\t{p}", k / 2, k - 0.75)
    for step in (1, 2) for p in range(2) for k in range(3)
]  # fmt: skip
KINDS = {",": "csv", ";": "csv", "\t": "tsv", "|": "csv"}


def table(separator=",", comma=False, names=NAMES, rows=ROWS, end="\r\n"):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator=end)
    writer.writerow(names)
    for row in rows:
        writer.writerow([str(v).replace(".", ",") if comma and isinstance(v, float) else v for v in row])
    return file.getvalue()


def read(tmp_path, text, name="log.csv", encoding="utf-8"):
    (tmp_path / name).write_bytes(text.encode(encoding))
    return collect(tmp_path / name)


def same(got, rows=ROWS):
    table = got.table.select("step", "prompt", "completion", "reward", "advantage")
    return table.rows() == rows and balanced(got) and not len(got.rejected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", KINDS)
def test_separators_and_encodings(tmp_path, separator, end, encoding):
    got = read(tmp_path, table(separator, end=end), "log.csv", encoding)
    assert same(got)
    assert any("Cells are separated by" in note for note in got.notes) == (separator in ";|")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_of_either_order(tmp_path, encoding):
    assert same(read(tmp_path, "\ufeff" + table(), "log.csv", encoding))
    lines = "".join(json.dumps(dict(zip(NAMES, row, strict=True)), ensure_ascii=False) + "\n" for row in ROWS)
    assert same(read(tmp_path, "\ufeff" + lines, "log.jsonl", encoding))
    whole = json.dumps([{**dict(zip(NAMES, row, strict=True)), "note": "Grüße 🙂"} for row in ROWS], ensure_ascii=False)
    assert same(read(tmp_path, "\ufeff" + whole, "log.json", encoding))


def test_utf_16_in_several_blocks_and_cut_in_a_pair(tmp_path, monkeypatch):
    monkeypatch.setattr("grpo_prm.logs.utf16._BLOCK", 7)
    rows = [(1, "p", f"{k} 🙂🙂 ü", k / 2, k - 0.5) for k in range(2)]
    assert same(read(tmp_path, table(rows=rows), "log.csv", "utf-16"), rows)
    (tmp_path / "cut.csv").write_bytes(table(rows=rows).encode("utf-16")[:-1])
    cut = collect(tmp_path / "cut.csv")
    assert cut.table["completion"].to_list() == [row[2] for row in rows] and balanced(cut)


def test_what_separates_is_told_by_the_header_and_not_by_the_texts(tmp_path):
    rows = [(1, "p", f"a,b,c,d;{k},{k}", k, k - 0.5) for k in range(2)]
    plain = "\n".join([";".join(NAMES), *(f'1;p;"{c}";{r};{a}' for _, _, c, r, a in rows)]) + "\n"
    assert same(read(tmp_path, plain), rows)
    names = [*NAMES, "a|b;c"]  # a header may hold another separator: the rows decide
    got = read(tmp_path, table(names=names, rows=[(*row, "x") for row in ROWS]))
    assert got.table["reward"].to_list() == [row[3] for row in ROWS]


def test_the_first_line_of_excel(tmp_path):
    got = read(tmp_path, "sep=;\r\n" + table(";"))
    assert same(got)
    broken = read(
        tmp_path, "sep=;\r\n" + table(";", rows=[(1, "p", "x", 1, 0), (1, "p", "y", "odd", 0), (1, "p", "z", 0, 0)])
    )
    assert [(line, field) for line, field, _ in reasons(broken)] == [(4, "reward")]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_decimal_commas_are_read_and_said(tmp_path, separator):
    rows = [(1, "p", f"{k},5", k / 8, -k / 8 + 0.0625) for k in range(3)]
    text = table(separator, comma=True, rows=rows)
    assert "0,125" in text
    got = read(tmp_path, text)
    assert same(got, rows)  # the text `1,5` of a completion stays
    assert "Numbers with a comma are decimals, 0,5 is 0.5: in advantage, reward." in got.notes


def test_what_may_be_thousands_is_not_a_decimal(tmp_path):
    text = table(";", rows=[(1, "p", "x", "1,250", 0), (1, "p", "y", "2,500", 0)])
    assert "reward: expected a finite number, got the text '1,250'" in message(lambda: read(tmp_path, text))
    mixed = table(";", rows=[(1, "p", "x", "1.5", 0), (1, "p", "y", "2,5", 0)])
    assert dialect_of(mixed, "x").decimal_comma == frozenset()


def test_a_header_that_is_missing_is_called_so(tmp_path):
    text = table(rows=[(1, "p", "x", 0.5, 1)]).partition("\r\n")[2]
    assert message(lambda: read(tmp_path, text)) == (
        f"{tmp_path}/log.csv:1: no header: the first line holds values (1, 0.5, 1), not names of columns. Put the names"
        " before it, like step,prompt,completion,reward."
    )


def test_two_columns_of_one_name_are_refused(tmp_path):
    text = table(names=["step", "prompt", "completion", "reward", "reward"])
    assert "log.csv:1: two columns are called reward. Rename one of them." in message(lambda: read(tmp_path, text))


def test_an_index_without_a_name_is_no_fault(tmp_path):
    assert same(read(tmp_path, table(names=["", *NAMES], rows=[(n, *row) for n, row in enumerate(ROWS)])))


@pytest.mark.parametrize("name", ["log.txt", "log", "log.csv.gz"])
def test_a_table_is_known_whatever_it_is_called(tmp_path, name):
    data = table(";").encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert same(collect(tmp_path / name))


def test_rows_are_numbered_by_the_line_on_which_they_end(tmp_path):
    rows = [(1, "p", "a\nb", 1, 0), (1, "p", "c\nd", "odd", 0), (1, "p", "e", 0, 0)]
    got = read(tmp_path, table(rows=rows, end="\n"))
    assert [line for line, _, _ in reasons(got)] == [5]


def test_a_sample_that_cuts_a_row_tells_the_same(tmp_path):
    rows = [(1, "p", f"{k}," + "x;y," * (SAMPLE // 12), k / 2, k - 0.5) for k in range(6)]
    assert same(read(tmp_path, table(";", rows=rows)), rows)
    one = [(1, "p", f"{k}," + "x;y," * SAMPLE, k / 2, k - 0.5) for k in range(2)]
    assert same(read(tmp_path, table(";", rows=one)), one)


def test_columns_of_a_table_are_named_like_those_of_any_log(tmp_path):
    (tmp_path / "log.csv").write_text(table(";", names=["schritt", "frage", "antwort", "punkte", "adv"]))
    names = {"step": "schritt", "prompt": "frage", "completion": "antwort", "reward": "punkte", "advantage": "adv"}
    assert same(collect(tmp_path / "log.csv", ReadOptions(columns=names)))
