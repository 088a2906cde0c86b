"""A log streamed into one file: whole or not at all, whatever its order, its rewards and its text."""

import json

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from oracle_sets import Row

import grpo_prm
from grpo_prm.errors import InputError, RejectedError, UsageError
from grpo_prm.export import FORMATS, ExportOptions, export
from grpo_prm.export import run as streaming
from grpo_prm.export.sentences import sentences
from grpo_prm.logs import ReadOptions
from grpo_prm.logs.rollouts import save

PATHS = [[1, 1], [1, 2, 3], [1, 2, 4], [5]]


def line(step=0, group="a", tokens=(1,), reward=1.0, **more):
    text = "".join(map(chr, (96 + t for t in tokens)))
    return {"step": step, "group": group, "tokens": list(tokens), "reward": reward, "completion": text} | more


def group(step, name, rewards, **more):
    return [line(step, name, tokens, reward, **more) for tokens, reward in zip(PATHS, rewards, strict=True)]


def write(folder, rows, name="log.jsonl"):
    path = folder / name
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def lines(path):
    return [json.loads(x) for x in path.read_bytes().decode().removesuffix("\n").split("\n")]


def exported(folder, rows, to="spans", strict=False, **options):
    out = folder / f"out{FORMATS[to].suffix}"
    done = export(write(folder, rows), out, to, ExportOptions(**options), strict=strict)
    made = pl.read_parquet(out).to_dicts() if to == "tokens" else lines(out)
    return made, done["counts"]


def test_advantages_are_divided_as_the_logged_ones(tmp_path):
    """By nothing, here; what the user names wins."""
    rewards = [1.0, 0.0, 0.25, 0.0]
    rows = [row for n in range(4) for row in group(0, f"p{n}", rewards)]
    rows = [row | {"advantage": row["reward"] - 0.3125} for row in rows]
    made, named, sample = (exported(tmp_path, rows, "tokens", std=std)[0] for std in (None, "none", "sample"))
    assert made == named != sample


def test_spans_say_what_process_steps_say(tmp_path):
    """The same numbers as the tables of `analyze`, intervals too, for two rewards and for many."""
    for log, options in (("binary", [1.0, 0.0, 1.0, 0.0]), ("real", [0.25, 1.0, 0.5, -2.0])):
        rows = [row for n in range(6) for row in group(n // 2, f"{log}{n}", options[n % 2 :] + options[: n % 2])]
        rows += group(3, "all", [options[0]] * 4)
        made, _ = exported(tmp_path, rows, min_members=1)
        steps = grpo_prm.analyze(tmp_path / "log.jsonl").process_steps.collect()
        keys = {(s["group_key"], s["start"], s["end"], s["size"], round(s["reward"], 9)): s for s in steps.to_dicts()}
        assert made
        for row in made:
            step = keys[row["group_key"], row["start"], row["end"], row["size"], round(row["step_reward"], 9)]
            for name, theirs in (("step_advantage", "advantage"), ("low", "low"), ("high", "high"), ("k", "k")):
                assert row[name] == pytest.approx(step[theirs], abs=1e-12)


@pytest.mark.parametrize("to", ["spans", "tokens"])
def test_intervals_rest_on_the_rewards_of_the_whole_log(tmp_path, to, monkeypatch):
    """One reward at first, then two, then three: what was written before is written again."""
    rows = [*group(0, "a", [1.0] * 4), *group(1, "b", [0.0, 1.0, 1.0, 0.0])]
    monkeypatch.setattr("grpo_prm.logs.formats.generic.CHUNK", 1, raising=False)
    for last in ([0.0, 1.0, 1.0, 1.0], [0.0, 0.5, 1.0, 1.0]):
        both = rows + group(2, "c", last)
        made, counts = exported(tmp_path, both, to)
        alone = list(streaming_tables(tmp_path, both, to))
        assert made == alone and counts["rows_read"] == len(both) and counts["groups"] == 3
        assert len({row["group_key"] for row in made}) == 3


def streaming_tables(folder, rows, to):
    """The export of a canonical table in one batch, which sees every reward at once."""
    from grpo_prm.logs import collect
    from grpo_prm.logs.rollouts import Rollouts

    table = collect(write(folder, rows, "one.jsonl")).table.with_columns(run=pl.lit("log"))
    form = FORMATS[to]
    job = streaming._Job(
        form, ExportOptions(labels="mean"), streaming.Cutter(None), folder / f"one{form.suffix}", False
    )
    streaming._write(iter([Rollouts(table)]), job, frozenset())
    out = folder / f"one{form.suffix}"
    return pl.read_parquet(out).to_dicts() if to == "tokens" else lines(out)


def batches(tables):
    from grpo_prm.logs.rollouts import Rollouts

    return iter([Rollouts(table) for table in tables])


def test_a_reward_that_comes_late_starts_anew(tmp_path):
    log = [("a", n, f"p{n}", [Row(t, reward=r) for t, r in zip(PATHS, rewards, strict=True)])
           for n, rewards in enumerate(([1.0] * 4, [0.0, 1.0, 1.0, 0.0], [0.0, 0.5, 1.0, 1.0]))]  # fmt: skip
    table = table_of(log)
    parts = [table.filter(pl.col("group") == n) for n in range(3)]
    job = streaming._Job(
        FORMATS["spans"], ExportOptions(labels="mean"), streaming.Cutter(None), tmp_path / "o.jsonl", False
    )
    for known, more in ((frozenset(), {0.0, 1.0}), (frozenset({0.0, 1.0}), {0.0, 0.5, 1.0})):
        with pytest.raises(streaming._MoreRewards) as found:
            streaming._write(batches(parts), job, known)
        assert found.value.rewards == more and list(tmp_path.iterdir()) == []
    streaming._write(batches(parts), job, frozenset({0.0, 0.5, 1.0}))
    late = (tmp_path / "o.jsonl").read_text()
    streaming._write(batches([table]), job, frozenset())
    assert late == (tmp_path / "o.jsonl").read_text()


def test_batches_change_nothing(tmp_path, monkeypatch):
    rows = [row for n in range(12) for row in group(n // 3, f"p{n}", [1.0, 0.0, float(n % 2), 0.0])]
    for to in FORMATS:
        chosen = {"labels": "sign"}
        whole, counts = exported(tmp_path, rows, to, **chosen)
        monkeypatch.setattr(streaming, "SLICE", 5)
        monkeypatch.setattr("grpo_prm.export.sinks.GROUP", 2)
        cut, again = exported(tmp_path, rows, to, **chosen)
        monkeypatch.undo()
        assert whole == cut and counts == again


def test_a_step_that_comes_back(tmp_path):
    rows = [*group(0, "a", [1.0, 0.0, 0.0, 0.0])[:2], *group(1, "b", [1.0, 0.0, 1.0, 0.0])]
    rows += group(0, "a", [1.0, 0.0, 0.0, 0.0])[2:]
    made, counts = exported(tmp_path, rows)
    assert counts["groups"] == 2 and {row["k"] for row in made} == {4} and counts["rows_read"] == 8


def test_zero_variance_groups_have_no_sign(tmp_path):
    rows = group(0, "a", [1.0] * 4) + group(0, "b", [1.0, 0.0, 0.0, 0.0])
    made, counts = exported(tmp_path, rows, labels="sign")
    assert {row["group_key"] for row in made} == {"b"} and counts["groups_zero_variance"] == 1
    made, counts = exported(tmp_path, rows)
    assert {row["group_key"]: row["label"] for row in made if row["size"] == 3} == {"a": 1.0, "b": pytest.approx(1 / 3)}
    made, counts = exported(tmp_path, rows, exclude_zero_variance=True)
    assert {row["group_key"] for row in made} == {"b"}
    assert (counts["completions_excluded"], counts["completions"], counts["groups"]) == (4, 4, 1)
    rows = group(0, "a", [1.0] * 4) + [
        line(0, "b", (1, *t), r) for t, r in zip(PATHS, (1.0, 0.0, 0.0, 0.0), strict=True)
    ]
    made, counts = exported(
        tmp_path, rows, "prm800k"
    )  # the root of a mixed group is neutral, equal rewards say nothing
    assert [[s["completions"][0]["rating"] for s in row["label"]["steps"]] for row in made] == [[0, 1], [0, 1, -1], [0]]
    assert counts["labels_neutral"] == 4 and counts["groups_zero_variance"] == 1


def test_groups_of_mixed_prompts_are_written_and_said_or_left_out(tmp_path):
    """Of three groups one mixes prompts, and one has equal rewards and mixes them too."""
    mixed = [row | {"prompt": f"p{n}"} for n, row in enumerate(group(0, "b", [1.0, 0.0, 0.0, 0.0]))]
    equal = [row | {"prompt": f"p{n}"} for n, row in enumerate(group(0, "c", [1.0] * 4))]
    rows = [row | {"prompt": "p"} for row in group(0, "a", [1.0, 0.0, 1.0, 0.0])] + mixed + equal
    made, counts = exported(tmp_path, rows)
    assert {row["group_key"] for row in made} == {"a", "b", "c"}
    assert (counts["groups_prompts_differ"], counts["completions_of_mixed_prompts"]) == (2, 0)
    said = list(sentences({"counts": counts, "notes": []}, "out"))
    assert said[0].startswith("2 groups mix prompts: step labels there compare completions of different prompts")
    assert said[1].endswith(" from 12 completions in 3 groups, 2 of mixed prompts.")
    made, counts = exported(tmp_path, rows, exclude_mixed_prompts=True)
    assert {row["group_key"] for row in made} == {"a"}
    assert (counts["groups_prompts_differ"], counts["completions_of_mixed_prompts"]) == (0, 8)
    assert "8 completions were left out: the group mixes prompts." in sentences({"counts": counts, "notes": []}, "out")
    _, counts = exported(tmp_path, rows, exclude_mixed_prompts=True, exclude_zero_variance=True)
    assert (counts["completions_excluded"], counts["completions_of_mixed_prompts"], counts["groups"]) == (4, 4, 1)
    with pytest.raises(InputError, match="8 completions, all that are in groups, are left out by"):
        exported(tmp_path, mixed + equal, exclude_mixed_prompts=True)


def test_logged_advantages_of_equal_rewards_are_none(tmp_path):
    rows = group(0, "a", [1.0] * 4) + group(0, "b", [1.0, 0.0, 0.0, 0.0])
    for row, advantage in zip(rows, (0.5, -0.5, 0.25, -0.25, 1.5, -0.5, -0.5, -0.5), strict=True):
        row["advantage"] = advantage
    made, _ = exported(tmp_path, rows, min_members=1, advantage="logged")
    found = {(row["group_key"], row["size"], row["text"]): row["step_advantage"] for row in made}
    assert {value for (key, *_), value in found.items() if key == "a"} == {0.0}
    assert found["b", 3, "a"] == pytest.approx(0.5 / 3) and found["b", 1, "a"] == 1.5


def test_a_batch_is_normalised_whole_though_equal_groups_are_left_out(tmp_path):
    rows = group(0, "a", [1.0] * 4) + group(0, "b", [1.0, 0.0, 0.0, 0.0])
    with_all, _ = exported(tmp_path, rows, std="batch")
    without, _ = exported(tmp_path, rows, std="batch", exclude_zero_variance=True)
    assert [r["step_advantage"] for r in with_all if r["group_key"] == "b"] == [r["step_advantage"] for r in without]


def test_threshold_is_at_least(tmp_path):
    assert (0.7 + 0.7 + 0.7) / 3 < 0.7  # in floating point
    rows = group(0, "a", [0.7, 0.7, 0.7, 0.1])
    made, _ = exported(tmp_path, rows, threshold=0.7)
    assert {row["label"] for row in made} == {1.0}
    made, _ = exported(tmp_path, rows, threshold=0.7 + 1e-9)
    assert {row["label"] for row in made} == {0.0}


def test_labels_a_format_cannot_hold(tmp_path):
    for to in ("stepwise", "math-shepherd", "prm800k"):
        with pytest.raises(UsageError, match="yes or no for each step"):
            exported(tmp_path, group(0, "a", [1.0, 0.0, 0.0, 0.0]), to, labels="mean")
    for options, match in (
        ({"labels": "threshold"}, "Give --threshold T"),
        ({"labels": "sign", "threshold": 0.5}, "no meaning with --labels sign"),
        ({"min_members": 0}, "1 or more"),
        ({"min_certainty": 95.0}, "from 0 to 1"),
    ):
        with pytest.raises(UsageError, match=match):
            exported(tmp_path, [], **options)
    with pytest.raises(UsageError, match="no export format csv"):
        export(tmp_path / "log.jsonl", tmp_path / "out.jsonl", "csv")


def test_advantages_without_rewards(tmp_path):
    log = [
        ("a", 0, "p", [Row(t, reward=None, advantage=a) for t, a in zip(PATHS, (1.5, -0.5, -0.5, -0.5), strict=True)])
    ]
    save(table_of(log), tmp_path / "log.parquet")
    out = tmp_path / "out.jsonl"
    export(tmp_path / "log.parquet", out, "spans", ExportOptions(labels="sign", min_members=1))
    rows = lines(out)
    assert [r["label"] for r in rows if r["size"] == 1 and r["end"] == 2] == [1.0]
    assert {r[name] for r in rows for name in ("step_reward", "low", "high", "certainty", "outcome")} == {None}
    assert rows[0]["step_advantage"] == pytest.approx(1 / 6)
    out.unlink()
    for options in ({}, {"labels": "threshold", "threshold": 1}, {"labels": "sign", "min_certainty": 0.5}):
        with pytest.raises(UsageError, match="needs rewards"):
            export(tmp_path / "log.parquet", out, "spans", ExportOptions(**options))
    assert not out.exists()


def test_text_that_is_not_there(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "completion"} for row in group(0, "a", [1.0, 0.0, 0.0, 0.0])]
    made, counts = exported(tmp_path, rows)
    assert {row["text"] for row in made} == {None} and counts["text_none"] == 3 and counts["prompts_missing"] == 3
    with pytest.raises(UsageError, match="is made of text"):
        exported(tmp_path, rows, "stepwise")


def test_nothing_to_write(tmp_path):
    with pytest.raises(
        InputError, match=r"No step gets a label\. Of 9 steps 0 have no token in the loss, 9 have fewer than 5"
    ):
        exported(tmp_path, group(0, "a", [1.0, 0.0, 0.0, 0.0]), min_members=5)
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(RejectedError, match="1 row was"):
        exported(tmp_path, [*group(0, "a", [1.0, 0.0, 0.0, 0.0]), "{broken"], strict=True)
    assert (tmp_path / "out.jsonl").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2
    made, counts = exported(tmp_path, [*group(0, "a", [1.0, 0.0, 0.0, 0.0]), "{broken"])
    assert counts["rows_rejected"] == 1 and made


def test_text_that_would_forge_a_mark(tmp_path):
    rows = (
        group(0, "a", [1.0, 0.0, 0.0, 0.0]) + group(0, "b", [1.0, 0.0, 0.0, 0.0]) + group(0, "c", [1.0, 0.0, 0.0, 0.0])
    )
    for row in rows:
        row["prompt"] = "руки?" if row["group"] == "b" else "hands?"
        row["completion"] = row["completion"].replace("a", "a ки\nx") if row["group"] == "c" else row["completion"]
    made, counts = exported(tmp_path, rows, "math-shepherd")
    assert [row["input"] for row in made] == ["hands?\na ки", "hands?\na ки\nb ки"]
    assert [row["label"] for row in made] == ["hands?\na +", "hands?\na +\nb -"]
    assert counts["rows_with_mark"] == 4 and counts["rows"] == 2 and counts["steps_written"] == 3
    made, counts = exported(tmp_path, rows, "stepwise")
    assert len(made) == 6 and made[5]["completions"] == ["a ки\nx", "b"] and counts["rows_with_mark"] == 0


HOSTILE = '\x00\x1b[2J\u202e\u2028</script>"\\\ud83d\n\r\t{"a":1}'


def test_hostile_text_comes_back_as_it_was(tmp_path):
    rows = group(0, "a", [1.0, 0.0, 0.0, 0.0], prompt=HOSTILE.replace("\ud83d", "😀"))
    for row in rows:
        row["completion"] = row["completion"].replace("a", HOSTILE.replace("\ud83d", "é"))
    for to in ("stepwise", "prm800k", "math-shepherd"):
        made, _ = exported(tmp_path, rows, to)
        text = json.dumps(made, ensure_ascii=False)
        assert json.dumps(HOSTILE.replace("\ud83d", "é"), ensure_ascii=False)[1:-1] in text
        assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == len(made)


def test_half_a_surrogate_pair_costs_the_text_and_not_the_completion(tmp_path):
    rows = group(0, "a", [1.0, 0.0, 0.0, 0.0]) + group(0, "b", [1.0, 0.0, 0.0, 0.0])
    rows[0]["completion"] = HOSTILE
    made, counts = exported(tmp_path, rows)
    assert counts["rows_rejected"] == 0 and counts["text_none"] == 1 and {row["k"] for row in made} == {4}
    assert next(row["text"] for row in made if (row["group_key"], row["sample"]) == ("a", 0)) is None


def test_masks_and_members(tmp_path):
    """A masked step has no label, its text goes before the next; it still counts as a member."""
    rows = group(0, "a", [1.0, 0.0, 0.0, 0.0])
    for row in rows:
        row["mask"] = [token != 2 for token in row["tokens"]]
    made, counts = exported(tmp_path, rows, "stepwise", threshold=0.2, min_members=1)
    assert made == [
        {"prompt": "", "completions": ["a", "a"], "labels": [True, True]},
        {"prompt": "", "completions": ["a", "bc"], "labels": [True, False]},
        {"prompt": "", "completions": ["a", "bd"], "labels": [True, False]},
        {"prompt": "", "completions": ["e"], "labels": [False]},
    ]
    assert counts["steps_out_of_loss"] == 2 and counts["steps_joined"] == 0


def test_certainty_of_a_step_that_leaves_no_doubt(tmp_path):
    """k = 16, eight good below one token, eight bad below another: z = .5 / sqrt(.25 / 8) = 2.83, level .9953."""
    rows = [line(tokens=(1 + (n >= 8), 9), reward=float(n < 8)) for n in range(16)]
    made, counts = exported(tmp_path, rows, min_certainty=0.995)
    assert {row["size"] for row in made} == {8}
    assert [row["certainty"] for row in made] == pytest.approx([0.99532227] * 16, abs=1e-7)
    with pytest.raises(InputError, match="16 are too uncertain"):
        exported(tmp_path, rows, min_certainty=0.996)
    assert counts["steps_uncertain"] == 0


def test_rewards_that_are_equal_but_for_rounding_are_never_certain(tmp_path):
    rows = [line(tokens=(1 + (n >= 8), 9), reward=0.7 + (n < 8) * 1e-8) for n in range(16)]
    other = [line(group="b", tokens=(n + 1, 9), reward=float(n % 2)) for n in range(16)]
    for more in ([], other):  # two rewards, or four
        made, counts = exported(tmp_path, rows + more, min_members=1)
        assert {row["certainty"] for row in made if row["group_key"] == "a"} == {0.0}
        assert counts["groups_zero_variance"] == 1


def test_tokens_of_a_log_in_memory_bounded_parts(tmp_path):
    rows = [row for n in range(40) for row in group(n, f"p{n}", [1.0, 0.0, 0.5, 0.0])]
    made, _ = exported(tmp_path, rows, "tokens")
    assert [row["step"] for row in made] == sorted(row["step"] for row in made)
    schema = pl.read_parquet_schema(tmp_path / "out.parquet")
    assert schema["label"] == schema["low"] == pl.List(pl.Float32) and schema["mask"] == pl.List(pl.Boolean)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["log.jsonl", "out.parquet"]
    assert all(np.isclose(row["step_reward"][0], 0.5) for row in made if row["tokens"][0] == 1)
    assert ReadOptions().tokenizer is None


@pytest.mark.parametrize("to", ["spans", "tokens"])
def test_further_columns_go_along(tmp_path, to):
    log = write(tmp_path, [row | {"answer": "7", "size": 1} for row in group(0, "a", [1.0, 0.0, 0.0, 0.0])])
    out = tmp_path / f"out{FORMATS[to].suffix}"
    export(log, out, to, reading=ReadOptions(keep=("answer",)))
    rows = pl.read_parquet(out).to_dicts() if to == "tokens" else lines(out)
    assert {row["answer"] for row in rows} == {"7"}
    with pytest.raises(UsageError, match="--keep size: the format has a field of this name"):
        export(log, out, to, reading=ReadOptions(keep=("answer", "size")))
