"""Every kind of bad input, with the message that a user reads."""

import gzip
import json

import polars as pl
import pytest
import zstandard
from logs.log_files import balanced, groups, read_log, reasons, row, write

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import bounds, chunks, collect

GOOD = [row(reward=0.0), row(reward=1.0)]
ANSWER = [{"role": "assistant", "content": "It is 2."}]


def only_reason(tmp_path, bad, **options):
    """Reason for which one bad line among good ones is left out."""
    got = read_log(tmp_path, [GOOD[0], bad, GOOD[1]], **options)
    assert balanced(got) and len(got.table) == 2
    ((line, field, reason),) = reasons(got)
    assert line == 2 and got.rejected["file"][0].endswith("log.jsonl")
    return f"{field}: {reason}"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("not json", ": not JSON (Expecting value"),
        ('{"step": 1, "gro', ": not JSON (Unterminated string starting at character 13)"),
        ("[1, 2]", ": expected an object, got a list"),
        (b'{"group": "\xff"}', ": invalid UTF-8 (byte 12 of the line)"),
        (row(reward=None), "reward: null"),
        (row(reward="0.5"), "reward: expected a finite number, got the text '0.5'"),
        ('{"step":1,"group":"a","tokens":[1],"reward":NaN}', "reward: expected a finite number, got nan"),
        ('{"step":1,"group":"a","tokens":[1],"reward":-Infinity}', "reward: expected a finite number, got -inf"),
        ('{"step":1,"group":"a","tokens":[1],"reward":1e999}', "reward: expected a finite number, got inf"),
        ({"step": 1, "group": "a", "tokens": [1]}, "reward: missing"),
        (row(reward=[1]), "reward: expected a finite number, got a list"),
        (row(tokens=[1, -2]), "tokens: the id -2 is negative"),
        (row(tokens=[2**31]), "tokens: the id 2147483648 is beyond int32"),
        (row(tokens=[2**80]), f"tokens: the id {2**80} is beyond int32"),
        (row(tokens=[1.5]), "tokens: expected whole numbers, got 1.5"),
        (row(tokens=[True]), "tokens: expected whole numbers, got true"),
        (row(tokens=[1, None]), "tokens: expected whole numbers, got null"),
        ({"step": 1, "group": "a", "tokens": None, "reward": 1}, "tokens: expected a list of ids, got null"),
        ({"step": 1, "group": "a", "tokens": "x", "reward": 1}, "tokens: expected a list of ids, got the text 'x'"),
        ({"step": 1, "group": "a", "reward": 1}, "tokens: missing"),
        ({"step": 1, "tokens": [1], "reward": 1}, "group: missing"),
        (row(group=None), "group: null"),
        (row(group=["a"]), "group: expected a name or a number, got a list"),
        (row(group="\ud800"), "group: not Unicode (half of a surrogate pair)"),
        (row(step="soon"), "step: expected a whole number, got the text 'soon'"),
        (row(step=1.5), "step: expected a whole number, got 1.5"),
        (row(step=True), "step: expected a whole number, got true"),
        ({"group": "a", "tokens": [1], "reward": 1}, "step: missing"),
    ],
)
def test_a_bad_line_costs_that_line_and_says_why(tmp_path, bad, reason):
    assert only_reason(tmp_path, bad).startswith(reason)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"group": "a", "text": None, "reward": 1}, "completion: expected text or a chat, got null"),
        ({"group": "a", "reward": 1}, "completion: missing"),
        ({"group": "a", "text": 7, "reward": 1}, "completion: expected text or a chat, got 7"),
        ({"group": "a", "text": "\udc00", "reward": 1}, "completion: not Unicode"),
        ({"group": "a", "text": [{"content": "x"}], "reward": 1}, "completion: a chat that cannot be read"),
        ({"group": "a", "text": {"content": "x"}, "reward": 1}, "completion: expected text or a chat, got an object"),
    ],
)
def test_a_missing_completion_costs_that_line(tmp_path, bad, reason):
    good = [{"group": "a", "text": t, "reward": 1} for t in "xy"]
    got = read_log(tmp_path, [good[0], bad, good[1]])
    assert f"{got.rejected['field'][0]}: {got.rejected['reason'][0]}".startswith(reason) and len(got.table) == 2


def test_a_mask_must_be_as_long_as_the_tokens(tmp_path):
    rows = [row(mask=[0, 1]), row(mask=[1, 1]), row(mask=[1])]
    reason = "1 values for 2 tokens; --columns mask=- reads the log without it"
    assert reasons(read_log(tmp_path, rows)) == [(3, "mask", reason)]
    got = read_log(tmp_path, rows, columns={"mask": "-"})
    assert not len(got.rejected) and got.table["mask"].null_count() == 3


def test_booleans_are_zero_and_one(tmp_path):
    got = read_log(tmp_path, [row(reward=True), row(reward=False), row(reward=1), row(reward=0.25)])
    assert got.table["reward"].to_list() == [1, 0, 1, 0.25] and not len(got.rejected)


def test_ids_beside_text(tmp_path):
    got = read_log(tmp_path, [row(tokens=[], text=""), row(tokens=[1], text="x"), row(tokens=[], text="x")])
    assert got.table["tokens"].to_list() == [[], [1]]
    assert reasons(got) == [(3, "tokens", "no ids beside a completion that is not empty")]


def test_a_truncated_last_line_is_left_out(tmp_path):
    got = read_log(tmp_path, [*GOOD, '{"step": 1, "group": "a", "tok'], end="")
    assert reasons(got)[0][0] == 3 and "not JSON" in reasons(got)[0][2] and got.rejected["raw"][0].startswith('{"step"')


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path):
    got = read_log(tmp_path, [GOOD[0], "", "  ", GOOD[1], "x"])
    assert [r[0] for r in reasons(got)] == [5] and got.counts["rows_read"] == 3


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path):
    lines = [b"\xef\xbb\xbf" + json.dumps(GOOD[0]).encode() + b"\r", json.dumps(GOOD[1]).encode() + b"\r"]
    assert groups(read_log(tmp_path, lines)) == {("log", 1, "a"): [[1, 2], [1, 2]]}


def refused(tmp_path, kind, call):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value).replace(str(tmp_path), "TMP")


def test_files_that_are_no_logs(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "blank.jsonl").write_text("\n \n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").write_text("hello")
    cases = {
        "none.jsonl": "TMP/none.jsonl: no such file. Check the path.",
        "empty.jsonl": "TMP/empty.jsonl: the file is empty. Name a log with at least one row.",
        "blank.jsonl": "TMP/blank.jsonl: no rows. Name a log with at least one row.",
        "folder": "TMP/folder: no logs in this folder, nor below it. Logs end in .jsonl,",
    }
    for name, message in cases.items():
        assert refused(tmp_path, InputError, lambda name=name: collect(tmp_path / name)).startswith(message)


def test_logs_of_several_kinds_in_one_folder(tmp_path):
    write(tmp_path / "a.jsonl", GOOD)
    (tmp_path / "b.csv").write_text("group,completion,reward\n" + "g,x,1\n" * 2)
    message = refused(tmp_path, InputError, lambda: collect(tmp_path))
    assert message == (
        "TMP: logs of 2 kinds: a.jsonl (jsonl, generic: tokens = tokens, reward = reward);"
        " b.csv (csv, generic: completion = completion, reward = reward). Name the files of one kind."
    )


def test_formats_that_only_the_content_tells_apart(tmp_path):
    write(tmp_path / "a.jsonl", GOOD)
    pl.DataFrame(GOOD).write_parquet(tmp_path / "b.jsonl")
    assert "a.jsonl (jsonl, generic: tokens = tokens, reward = reward); b.jsonl (parquet, " in refused(
        tmp_path, InputError, lambda: collect(tmp_path)
    )


def test_an_unknown_format(tmp_path):
    message = refused(tmp_path, UsageError, lambda: read_log(tmp_path, GOOD, format="verll"))
    assert message.startswith("--format verll: no such format; there are") and message.endswith("Did you mean verl?")


def test_a_repeated_sample_is_a_duplicate(tmp_path):
    rows = [row(sample=s, tokens=[n]) for n, s in enumerate([0, 1, 2, 1])]
    got = read_log(tmp_path, rows)
    assert reasons(got) == [(4, "sample", "duplicate")] and groups(got) == {("log", 1, "a"): [[0], [1], [2]]}
    assert balanced(got)


def test_a_step_that_is_written_twice_is_a_duplicate(tmp_path):
    rows = [row(group=g, tokens=[t]) for g in "ab" for t in (1, 2, 3)]
    got = read_log(tmp_path, rows + rows)
    assert len(got.table) == 6 and {r[2] for r in reasons(got)} == {"duplicate"} and balanced(got)


def test_identical_completions_are_no_duplicates(tmp_path):
    got = read_log(tmp_path, [row(group=g) for g in "ab" for _ in range(4)])
    assert len(got.table) == 8 and not len(got.rejected)


def test_every_row_of_a_repeated_file_is_a_duplicate(tmp_path):
    for name in ("run_1.jsonl", "run_2.jsonl"):
        write(tmp_path / name, GOOD)
    got = collect(tmp_path)
    assert got.counts["files_repeated"] == 1 and len(got.table) == 2 and balanced(got)
    assert reasons(got) == [(1, "", "duplicate"), (2, "", "duplicate")]
    assert {name.rpartition("/")[2] for name in got.rejected["file"]} == {"run_2.jsonl"}
    assert got.notes[-1] == (
        "One file holds the rows of an earlier one and is left out (run_2.jsonl those of run_1.jsonl)."
    )
    write(tmp_path / "run_3.jsonl", GOOD)
    assert collect(tmp_path).notes[-1].startswith("2 files hold the rows of earlier ones and are left out (run_2")


def test_a_log_without_a_group_of_two(tmp_path):
    message = refused(tmp_path, InputError, lambda: read_log(tmp_path, [row(group=n) for n in range(3)]))
    assert "no group has two completions or more" in message and "--columns group=NAME" in message


def test_a_log_of_which_nothing_can_be_used(tmp_path):
    message = refused(tmp_path, InputError, lambda: read_log(tmp_path, [row(reward="x"), row(reward="y")]))
    assert message.startswith("TMP/log.jsonl:1: reward: expected a finite number, got the text 'x'; none of the 2 rows")


def test_text_that_is_cut_at_the_front(tmp_path):
    rows = [{"prompt": "p", "completion": f"... and so {n}", "reward": 1} for n in range(4)]
    rows.append({"prompt": "p", "completion": "whole", "reward": 1})
    message = refused(tmp_path, InputError, lambda: read_log(tmp_path, rows))
    assert "completion: text cut at the front" in message
    assert len(read_log(tmp_path, rows[:2] + 3 * rows[4:]).table) == 5  # some may begin like that


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_packed_files_whole_in_members_and_cut_short(tmp_path, packed):
    def pack(data):
        return gzip.compress(data) if packed == "gz" else zstandard.compress(data)

    lines = [json.dumps(row(tokens=[n, 7, n * n])).encode() + b"\n" for n in range(3000)]
    path = tmp_path / f"log.jsonl.{packed}"
    path.write_bytes(pack(b"".join(lines[:1000])) + pack(b"".join(lines[1000:])))
    got = collect(path)
    assert got.table["tokens"].to_list() == [[n, 7, n * n] for n in range(3000)] and got.table["run"][0] == "log"
    path.write_bytes(path.read_bytes()[:-200])
    got = collect(path)
    assert balanced(got) and 1000 <= len(got.table) < 3000
    assert [r[2] for r in reasons(got)] == ["the compressed file is cut short"]
    assert reasons(got)[0][0] == len(got.table) + 1


def test_a_long_line_does_no_harm(tmp_path):
    path = write(tmp_path / "log.jsonl", [GOOD[0], row(tokens=[1] * 3_000_000), "x" * 20_000_000, GOOD[1]])
    got = collect(path)
    assert got.table["tokens"].list.len().to_list() == [2, 3_000_000, 2] and len(got.rejected["raw"][0]) == 200
    assert [r[0] for r in reasons(got)] == [3]


@pytest.mark.slow
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("size", [100, 1 << 10, 5000])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_line_beyond_the_limit_is_left_out_without_being_held(tmp_path, monkeypatch, packed, size, at):
    monkeypatch.setattr(chunks, "CHUNK", size)
    monkeypatch.setattr(bounds, "LINE", 1 << 20)
    rows = [row(tokens=[n]) for n in range(4)]
    rows.insert(at, row(tokens=[7] * 500_000))
    data = "\n".join(map(json.dumps, rows)).encode()
    path = tmp_path / f"log.jsonl{packed}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[packed](data))
    got = collect(path)
    assert got.table["tokens"].to_list() == [[n] for n in range(4)] and balanced(got)
    assert reasons(got) == [(at + 1, "", "the line is longer than 1 MB")]
    assert got.rejected["raw"][0] == data.split(b"\n")[at][:200].decode()
    assert max(len(chunk.data) for chunk in chunks.chunks(lambda: path.open("rb"))) <= max(size, 1 << 10) + 200


def test_a_log_without_one_good_line_names_the_first_bad_one(tmp_path, monkeypatch):
    def refusal(rows, name="log.jsonl", packed=bytes):
        write(tmp_path / name, rows)
        (tmp_path / name).write_bytes(packed((tmp_path / name).read_bytes()))
        return refused(tmp_path, InputError, lambda: collect(tmp_path / name)).removeprefix("TMP/")

    wanted = "log.jsonl:2: not JSON (Expecting value at character 1). A log holds one JSON object per line."
    assert refusal(["", "x", "y"]) == wanted
    assert refusal(["[1]"]) == "log.jsonl: the file holds no objects. A log holds one object per completion."
    assert (
        refusal([b"\xff"]) == "log.jsonl:1: invalid UTF-8 (byte 1 of the line). A log holds one JSON object per line."
    )
    assert refusal(GOOD, "log.jsonl.gz", lambda data: gzip.compress(data)[:11]) == (
        "log.jsonl.gz: the compressed file is cut short. Get the whole file."
    )
    assert refusal(["group,tokens,reward"], "log.csv") == "log.csv: no rows. Name a log with at least one row."
    monkeypatch.setattr(bounds, "LINE", 1 << 20)
    assert refusal(["x" * 3_000_000], "long.jsonl").startswith(
        "long.jsonl:1: the line is longer than 1 MB. A log holds"
    )


def test_a_shard_without_one_good_line_is_left_out(tmp_path):
    write(tmp_path / "log_1.jsonl", ["x", "y"])
    write(tmp_path / "log_2.jsonl", ["", " "])
    write(tmp_path / "log_3.jsonl", GOOD)
    got = collect(tmp_path)
    assert len(got.table) == 2 and balanced(got)
    assert reasons(got) == [(n, "", "not JSON (Expecting value at character 1)") for n in (1, 2)]


def test_a_broken_parquet_and_a_broken_json(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(100))
    (tmp_path / "b.json").write_text('[{"a": 1},')
    (tmp_path / "c.json").write_text('{"a": {"x": [1, 2]}, "b": 3}')
    assert "a.parquet: not a parquet file" in refused(tmp_path, InputError, lambda: collect(tmp_path / "a.parquet"))
    assert "b.json: not JSON" in refused(tmp_path, InputError, lambda: collect(tmp_path / "b.json"))
    message = refused(tmp_path, InputError, lambda: collect(tmp_path / "c.json"))
    assert "one JSON object with the keys a, b: not a known format, and no list of rows" in message


def test_a_group_row_with_lists_of_unequal_length(tmp_path):
    rows = [{"tokens": [[1], [2]], "scores": [0, 1]}, {"tokens": [[1], [2]], "scores": [0]}]
    got = read_log(tmp_path, rows)
    assert reasons(got) == [(2, "reward", "1 values for 2 completions")] and balanced(got)


def test_one_bad_member_costs_that_member(tmp_path):
    got = read_log(
        tmp_path, [{"tokens": [[1], [2], [-3]], "scores": [0, None, 1]}, {"tokens": [[1], [2]], "scores": [0, 1]}]
    )
    assert reasons(got) == [(1, "reward", "null"), (1, "tokens", "the id -3 is negative")] and balanced(got)
    assert got.table["tokens"].to_list() == [[1], [1], [2]]


def test_uneven_groups_are_kept_or_dropped(tmp_path):
    rows = [row(group=g) for g in "aaabbbcc"]
    got = read_log(tmp_path, rows)
    assert got.counts["groups_uneven"] == 1 and len(got.table) == 8
    got = read_log(tmp_path, rows, drop_uneven=True)
    assert got.counts["groups_uneven"] == 0 and balanced(got)
    assert reasons(got) == [(7, "group", "uneven group"), (8, "group", "uneven group")]
    assert got.table["group"].to_list() == [0, 0, 0, 1, 1, 1]
