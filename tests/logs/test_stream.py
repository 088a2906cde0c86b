"""Streaming: any cut into chunks, any order of the steps, and the fast way and the careful way give one result."""

import io
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs.log_files import balanced, groups, reasons, row, write

from grpo_prm.errors import InputError
from grpo_prm.logs import Disordered, ReadOptions, chunks, collect, fold, read, stream
from grpo_prm.logs.columns.plan import Plan
from grpo_prm.logs.format import Log
from grpo_prm.logs.formats import reading
from grpo_prm.logs.grouping import steps
from grpo_prm.logs.grouping.steps import in_order
from grpo_prm.logs.rollouts import REJECTED
from grpo_prm.logs.rows.records import RowBatch
from grpo_prm.logs.stream import merge


def cut(monkeypatch, size):
    monkeypatch.setattr(chunks, "CHUNK", size)


def same(one, other):
    assert one.table.equals(other.table, null_equal=True) and one.counts == other.counts
    assert one.rejected.equals(other.rejected) and one.notes == other.notes


BROKEN = st.sampled_from(
    [
        "",
        "  ",
        "not json",
        "[1]",
        b"\xff",
        '{"step": 1, "gro',
        '{"step":1,"group":"a","tokens":[1],"reward":NaN}',
        '{"step":1,"group":"a","tokens":[1],"reward":0,"reward":1}',
        '{"step":1,"group":"a","tokens":[1],"reward":0,"other":"\\ud800"}',
        '{"step":1,"group":"\\ud800","tokens":[1],"reward":0}',
        '{"step":1,"group":"\\ud83d\\ude00","tokens":[1],"reward":0}',
        '{"step":1,"group":"\\"tokens\\"","tokens":[1],"reward":0}',
        '{"step":1,"group":"a","tokens":[1],"reward":0} x',
        '{"step":1,"group":"a","tokens":[1],"reward":0}{"step":1,"group":"a","tokens":[1],"reward":0}',
    ]
)
IDS = st.lists(st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, -1, None, 1.0, True]), max_size=3)
GOOD_IDS = st.lists(st.integers(0, 3), max_size=3)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "step": st.sampled_from([1, 1, 1, 2, 3, "2", 2.0, None, True]),
        "group": st.sampled_from(["a", "a", "b", 7, None, []]),
        "tokens": st.one_of(GOOD_IDS, GOOD_IDS, IDS),
        "reward": st.sampled_from([0, 1, 0.5, 0.25, True, None, "1"]),
        "advantage": st.sampled_from([0.5, None, "x", 1]),
        "logprobs": st.sampled_from([[], [-0.5], [-0.5, -1], [None], None, [1e35]]),
        "mask": st.sampled_from([[], [1], [0, 1], [True, False], [2], None]),
        "finish_reason": st.sampled_from(["stop", "length", None]),
        "sample": st.sampled_from([0, 1, 2, "0", None]),
    },
)
GOOD_ROWS = st.builds(row, st.integers(1, 3), st.sampled_from("ab"), GOOD_IDS, st.sampled_from([0.0, 1.0, 0.5]))
LOGS = st.lists(st.one_of(GOOD_ROWS, GOOD_ROWS, ROWS, BROKEN), min_size=1, max_size=25)
SURE = [row(step=1, group="sure", tokens=[9], reward=0.5)] * 2


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(log=LOGS, end=st.sampled_from(["\n", ""]))
def test_nothing_is_lost_and_both_ways_of_reading_agree(tmp_path_factory, log, end):
    path = write(tmp_path_factory.mktemp("log") / "log.jsonl", [*SURE, *log], end)
    fast = collect(path)
    assert balanced(fast)
    lines = sum(bool(r.strip()) if isinstance(r, str | bytes) else True for r in log) + 2
    assert fast.counts["rows_read"] == lines
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "wire_schema", lambda plan: None)
        same(fast, collect(path))
    for size in (1, 300):
        with pytest.MonkeyPatch.context() as patch:
            cut(patch, size)
            anew = collect(path)
            assert groups(anew) == groups(fast) and anew.counts == fast.counts
            assert sorted(reasons(anew)) == sorted(reasons(fast))


FRAMES = st.lists(
    st.fixed_dictionaries(
        {
            "step": st.sampled_from([1, 1, 2, None]),
            "group": st.sampled_from(["a", "a", "b", None]),
            "tokens": st.one_of(GOOD_IDS, GOOD_IDS, st.lists(st.sampled_from([0, 1, 2**31, -1, None]), max_size=2)),
            "reward": st.sampled_from([0.0, 1.0, 0.5, None, float("nan"), float("inf")]),
            "advantage": st.sampled_from([0.5, None, float("nan"), float("-inf")]),
            "logprobs": st.sampled_from([[], [-0.5], [-0.5, None], None, [float("nan")]]),
        }
    ),
    max_size=20,
)
TYPES = {"step": pl.Int64, "group": pl.String, "tokens": pl.List(pl.Int64), "reward": pl.Float64}
TYPES |= {"advantage": pl.Float64, "logprobs": pl.List(pl.Float64)}


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=FRAMES)
def test_nothing_of_a_parquet_is_lost_and_both_ways_of_reading_agree(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pl.DataFrame([*SURE, *rows], TYPES, orient="row").write_parquet(path)
    fast = collect(path)
    assert balanced(fast) and fast.counts["rows_read"] == len(rows) + 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "wire_schema", lambda plan: None)
        same(fast, collect(path))


SAID = st.sampled_from(["so it is", "what is two? so", "what is two?<|assistant|>so", "pass", "", "[1]", "a\n"])
TOLD = st.lists(
    st.fixed_dictionaries(
        {"completion": SAID, "reward": st.sampled_from([0, 1, 0.5, "pass", "fail", None])},
        optional={
            "prompt": st.sampled_from(["what is two?", "what is two?\n", "name a river"]),
            "question_id": st.integers(0, 1),
            "task": st.sampled_from(["easy", "hard"]),
            "split": st.sampled_from(["train", "test"]),
            "step": st.integers(0, 2),
            "epoch": st.integers(0, 1),
            "iteration": st.integers(0, 1),
            "answer": st.sampled_from(["x", "y"]),
            "episode_id": st.integers(0, 3),
            "turn": st.integers(0, 2),
            "group_size": st.sampled_from([4, 4, 2]),
            "completion_ids": st.lists(st.sampled_from([5, 6, 7, 0, 0]), max_size=4),
            "prompt_length": st.integers(0, 3),
        },
    ),
    max_size=24,
)
FIRST = [{"completion": f"it is {n}", "reward": n, "prompt": "why?", "question_id": 9, "step": 0} for n in (0, 1)]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(rows=TOLD, names=st.sets(st.sampled_from(["prompt", "step", "completion_ids", "episode_id", "split", "task"])))
def test_what_is_inferred_depends_on_no_way_of_reading(tmp_path_factory, rows, names):
    """Columns that are there in all rows or in none, so that more is inferred of them than that they are mixed."""
    kept = names | {"completion", "reward", "question_id", "answer", "epoch", "turn", "iteration"}
    whole = [{**FIRST[0], "task": "easy", "split": "test", "episode_id": 9, "completion_ids": [5]} | r for r in rows]
    rows = [{name: value for name, value in r.items() if name in kept} for r in [*FIRST, *whole]]
    path = write(tmp_path_factory.mktemp("log") / "log.jsonl", rows)
    options = ReadOptions(ordered=False)
    try:
        fast = collect(path, options)
    except InputError:
        return
    assert balanced(fast) or fast.counts["rows_joined"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "wire_schema", lambda plan: None)
        same(fast, collect(path, options))
    for size in (1, 200):
        with pytest.MonkeyPatch.context() as patch:
            cut(patch, size)
            patch.setattr(chunks, "TEXT", size)
            anew = collect(path, options)
            told = anew.table.select("run", "step", "group_key", "completion", "reward").rows()
            assert sorted(told, key=str) == sorted(
                fast.table.select("run", "step", "group_key", "completion", "reward").rows(), key=str
            )
            assert anew.counts == fast.counts and sorted(reasons(anew)) == sorted(reasons(fast))


@pytest.mark.parametrize("name", ["tokens", "completion"])
@pytest.mark.parametrize(
    "twice",
    [
        '"reward":0,"reward":1',
        '"reward":1,"advantage":1,"advantage":2',
        '"reward":1,"advantage":2,"advantage":null',
        '"reward":1,"advantage":null,"advantage":2',
    ],
)
@pytest.mark.parametrize("others", [', "advantage": 1', ', "advantage": null', ""])
def test_of_a_key_that_comes_twice_in_a_line_the_last_counts(tmp_path, name, twice, others):
    unit = {"tokens": "[1]", "completion": '"a [b] \\"c\\""'}[name]
    good = f'{{"step": 1, "group": "a", "{name}": {unit}, "reward": 0.5{others}}}'
    path = write(tmp_path / "log.jsonl", [good, f'{{"step":1,"group":"a","{name}":{unit},{twice}}}', good])
    got = collect(path, ReadOptions(columns={"advantage": "advantage"} if "advantage" in twice + others else {}))
    last = json.loads(f"{{{twice}}}")
    assert got.table.select("reward", "advantage").rows()[1] == (last["reward"], last.get("advantage"))


def test_batches_name_their_format_and_the_files_that_they_came_from(tmp_path, monkeypatch):
    cut(monkeypatch, 200)
    steps = [write(tmp_path / f"log_{step}.jsonl", [*ordered_log([step]), "x" * step]) for step in (1, 2, 3)]
    batches = list(read(tmp_path))
    assert next(b.files for b in batches if b.files) == (str(steps[0]),) and {b.format for b in batches} == {"generic"}
    assert merge(batches).files == tuple(map(str, steps)) and merge(batches).format == "generic"


def test_a_clean_log_is_read_the_fast_way(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("a clean log went line by line")

    monkeypatch.setattr(reading, "parse_lines", never)
    rows = [row(mask=[1, 0], logprobs=[-1.0, -2], advantage=n, finish_reason="length", level=3) for n in range(4)]
    got = collect(write(tmp_path / "log.jsonl", rows), ReadOptions(keep=("level",)))
    assert got.table["mask"].to_list() == [[True, False]] * 4 and got.table["truncated"].all()
    assert got.table["level"].to_list() == [3] * 4 and got.table["logprobs"][0].to_list() == [-1, -2]


def ordered_log(steps):
    return [row(step=s, group=g, tokens=[s, t]) for s in steps for g in "ab" for t in range(3)]


RETURNING = [row(step=3, group=g, tokens=[8, t]) for g in "ab" for t in range(1)]


def test_an_ordered_log_comes_in_batches_of_whole_steps(tmp_path, monkeypatch):
    path = write(tmp_path / "log.jsonl", ordered_log(range(50)))
    whole = collect(path)
    cut(monkeypatch, 500)
    batches = list(read(path))
    assert len(batches) > 10
    steps = [batch.table["step"].unique().to_list() for batch in batches]
    assert sorted(s for some in steps for s in some) == list(range(50))
    assert merge(batches).table.equals(whole.table) and whole.table["group"].n_unique() == 100
    assert max(len(batch.table) for batch in batches) < 40


def test_a_step_that_comes_back_is_not_split(tmp_path, monkeypatch):
    rows = [*ordered_log(range(40)), *RETURNING]
    path = write(tmp_path / "log.jsonl", rows)
    cut(monkeypatch, 500)
    with pytest.raises(Disordered, match=r"log.jsonl:241: step 3 of run log comes after a later one"):
        list(read(path))
    got = collect(path)
    assert balanced(got) and [len(g) for k, g in groups(got).items() if k[1] == 3] == [4, 4]
    batches = list(read(path, ReadOptions(ordered=False)))
    assert merge(batches).table.equals(got.table)
    monkeypatch.setattr(steps, "CHUNK", 1000)
    monkeypatch.setattr(steps, "RANGE", 1)
    batches = [batch for batch in read(path, ReadOptions(ordered=False)) if len(batch.table)]
    assert len(batches) == 40 and merge(batches).table.equals(got.table)  # a step at a time


def test_steps_that_are_mixed_are_not_all_held(tmp_path):
    rows = [row(step=n % 7, group="a", tokens=[n], sample=n) for n in range(700)]
    path = write(tmp_path / "log.jsonl", rows)
    log = stream.open_all(path, ReadOptions()).logs[0]
    with pytest.raises(Disordered, match="rows of 7 steps are mixed"):
        list(in_order(log.row_batches(), log, set(), 1000, 1 << 30))
    assert (
        sum(len(step) for out in in_order(log.row_batches(), log, set(), 1 << 20, 1 << 30) for step in out.rows) == 700
    )


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("steps_named", [True, False])
def test_a_step_that_memory_cannot_hold_is_refused(tmp_path, monkeypatch, ordered, steps_named):
    """Its groups must be there at once: 300 MB for 300 rows of a megabyte, and not for one more."""
    monkeypatch.setattr(steps, "OF_BYTES", 0)
    monkeypatch.setattr(steps, "OF_ROW", 1 << 20)
    options = ReadOptions(memory=300 << 20, ordered=ordered)
    for number in (300, 301):
        rows = [row(step=2, group=f"g{n // 4}", tokens=[n], sample=n % 4) for n in range(number)]
        rows += [row(step=n, group="a", tokens=[n], sample=n) for n in (3, 4)] if steps_named else []
        rows = rows if steps_named else [{k: v for k, v in one.items() if k != "step"} for one in rows]
        path = write(tmp_path / "log.jsonl", rows)
        if number == 300:
            assert sum(len(batch.table) for batch in read(path, options)) == len(rows)
            continue
        words = "step 2: 301 rows" if steps_named else "no step is logged, and 301 rows of one"
        more = r"--memory\.$" if steps_named else "--memory, or name the step with --columns step=NAME"
        with pytest.raises(InputError, match=f"log.jsonl: {words} take about 301 MB, more than the 300 MB.*{more}"):
            list(read(path, options))


def test_fold_starts_anew(tmp_path, monkeypatch):
    path = write(tmp_path / "log.jsonl", [*ordered_log(range(40)), *RETURNING])
    cut(monkeypatch, 500)
    calls = []

    def count(batches):
        calls.append(0)
        for batch in batches:
            calls[-1] += len(batch.table)
        return calls[-1]

    assert fold(path, None, count) == 242 and len(calls) == 2 and 0 < calls[0] < 242


def test_a_log_without_steps_is_one_batch(tmp_path, monkeypatch):
    rows = [{"group": g, "tokens": [t], "reward": t} for t in range(20) for g in "ab"]
    path = write(tmp_path / "log.jsonl", rows)
    cut(monkeypatch, 100)
    (batch,) = read(path)
    assert [len(g) for g in groups(batch).values()] == [20, 20] and batch.table["step"].null_count() == 40


def test_two_logs_of_one_run_and_step_are_refused(tmp_path):
    paths = [write(tmp_path / f"{name}.jsonl", [row(run="r", tokens=[n]) for n in range(2)]) for name in "ab"]
    write(paths[1], [row(run="r", tokens=[n]) for n in range(3)])
    with pytest.raises(InputError, match=r"b.jsonl:1: step 1 of run r stands in another log too"):
        collect(paths)


def test_progress_tells_bytes_and_rows(tmp_path, monkeypatch):
    cut(monkeypatch, 500)
    paths = [write(tmp_path / f"{name}.jsonl", ordered_log(range(n))) for name, n in (("a", 20), ("b", 30))]
    told = []
    collect(paths, ReadOptions(progress=lambda *now: told.append(now)))
    total = sum(p.stat().st_size for p in paths)
    assert {t[1] for t in told} == {total} and told[-1] == (total, total, 300)
    assert [t[0] for t in told] == sorted(t[0] for t in told) and len(told) > 20


def test_progress_goes_on_through_both_passes_over_a_log_out_of_order(tmp_path, monkeypatch):
    cut(monkeypatch, 500)
    paths = [write(tmp_path / f"{name}.jsonl", [*ordered_log(range(20)), *RETURNING]) for name in "ab"]
    told = []
    for _ in read(paths, ReadOptions(progress=lambda *now: told.append(now), ordered=False)):
        pass
    a, b = (p.stat().st_size for p in paths)
    assert {t[1] for t in told} == {2 * (a + b)} and [t[0] for t in told] == sorted(t[0] for t in told)
    assert told[-1] == (2 * (a + b), 2 * (a + b), 2 * (120 + len(RETURNING)))


def test_standard_input(tmp_path, monkeypatch):
    data = "\n".join(json.dumps(r) for r in ordered_log([1])).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    got = collect("-")
    assert len(got.table) == 6 and got.table["run"][0] == "stdin"


def test_memory_follows_the_chunk_and_not_the_parquet(tmp_path, monkeypatch):
    rows = ordered_log(range(400))
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet", row_group_size=100)
    monkeypatch.setattr(chunks, "CHUNK", 500)
    batches = list(read(tmp_path / "log.parquet"))
    assert len(batches) > 3 and sum(len(b.table) for b in batches) == 2400


def test_a_step_may_come_back_within_a_chunk_however_many_batches_it_comes_in(monkeypatch):
    cut(monkeypatch, 100)
    plan = Plan({"step": "step", "tokens": "tokens"}, {})
    log, rejected = Log("generic", (), plan, lambda: iter(())), pl.DataFrame(schema=REJECTED)

    def closed(*batches):
        rows_of = [
            RowBatch(pl.DataFrame({"_file": [0], "_line": [line], "run": ["r"], "step": [step]}), rejected, size, 0)
            for line, (step, size) in enumerate(batches)
        ]
        return [[rows["step"][0] for rows in out.rows] for out in in_order(rows_of, log, set(), 1 << 30, 1 << 30)]

    # Bytes 0 to 99, then 100 to 199 in two batches. In the first case step 1 is missing in one of these two alone.
    assert closed((1, 100), (2, 50), (1, 50), (2, 1)) == [[], [], [], [], [1, 2]]
    assert closed((1, 100), (2, 50), (2, 50), (2, 1)) == [[], [], [1], [], [2]]


def test_equal_pieces_have_equal_ids_in_every_step(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "TEXT", 1)
    rows = [
        {"step": step, "prompt": "p", "completion": f"{word} same", "reward": n}
        for step, word in enumerate(["one", "other", "third"])
        for n in range(2)
    ]
    log = write(tmp_path / "log.jsonl", rows)
    assert len(list(read(log))) == 3
    ids = collect(log).table["tokens"].to_list()
    assert len({tokens[1] for tokens in ids}) == 1 and len({tokens[0] for tokens in ids}) == 3
