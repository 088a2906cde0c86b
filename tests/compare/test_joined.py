"""Metrics beside the analysis: found where the layout tells, else named; the same steps, or it is said."""

from __future__ import annotations

import json
import shutil
from statistics import fmean

import pytest
from compare.invented import folder, log

from grpo_prm.compare.comparison import as_json, compare, steps_table
from grpo_prm.compare.write import write_comparison
from grpo_prm.errors import InputError, UsageError


def rewards(made):
    """Mean reward of every step."""
    return {s: fmean(r.reward for _, step, _, g in made if step == s for r in g) for s in sorted({m[1] for m in made})}


def run_folder(path, made, *, shift=0, add=0.0, held_out=(), more=None):
    """A folder of rollouts with metrics beside, and what `analyze` wrote of it: its summary names the files."""
    (path / "rollouts").mkdir(parents=True)
    (path / "rollouts" / "step_000000.parquet").write_bytes(b"")
    lines = [{"step": s + shift, "reward": r + add, "loss": s / 8, **(more or {})} for s, r in rewards(made).items()]
    lines += [{"step": n - 1, "held_out": {"mean": m, "low": m - 0.1, "high": m + 0.1, "n": 9}} for n, m in held_out]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    analysis = folder(path.with_suffix(".prm"), made)
    name_files(analysis, [f"{path.name}/rollouts/step_000000.parquet"])
    return analysis


def name_files(analysis, files):
    summary = json.loads((analysis / "summary.json").read_text())
    summary["source"]["files"] = files
    (analysis / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def two(tmp_path):
    a, b = log(run="a"), log(run="b", seed=3, steps=range(20))
    held = ((0, 0.25), (10, 0.5), (20, 0.75))
    return run_folder(tmp_path / "a.run", a, held_out=held), run_folder(tmp_path / "b.run", b, held_out=held[:2]), a, b


def test_metrics_beside_the_rollouts_are_found_and_held_against_the_log(two, tmp_path):
    found = compare(two[:2])
    assert [note for note in found.joined.notes if "metrics from" in note] == [
        f"a: metrics from {tmp_path}/a.run/metrics.jsonl: 24 of 24 steps of the log have a value, and its "
        "reward is the log's at 24 of 24.",
        f"b: metrics from {tmp_path}/b.run/metrics.jsonl: 20 of 20 steps of the log have a value, and its "
        "reward is the log's at 20 of 20.",
    ]
    assert found.metrics.names == ("held_out/accuracy", "reward", "loss") and found.metrics.others == ()


def test_the_last_value_and_the_mean_of_the_last_tenth_that_both_have(two):
    _, _, a, b = two
    found = compare(two[:2])
    assert found.metrics.cut == {"held_out/accuracy": 10, "reward": 19, "loss": 19}
    for name, made in (("a", a), ("b", b)):
        (row,) = found.metrics.table.filter(metric="reward", run=name).rows(named=True)
        mean = rewards(made)
        # steps 0 to 19: the last tenth begins at 19 - 1.9
        assert (row["step"], row["from_step"], row["to_step"], row["values"]) == (19, 18, 19, 2)
        assert (row["last"], row["mean"]) == (mean[19], pytest.approx((mean[18] + mean[19]) / 2))
        (held,) = found.metrics.table.filter(metric="held_out/accuracy", run=name).rows(named=True)
        assert (held["step"], held["last"], held["low"], held["high"]) == (
            10,
            0.5,
            pytest.approx(0.4),
            pytest.approx(0.6),
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shift": 1}, "its reward is the log's where steps are one higher"),
        ({"shift": -1}, "its reward is the log's where steps are one lower"),
        ({"add": 0.5}, "its reward differs from the log's at 24 of 24"),
    ],
)
def test_metrics_of_other_steps_or_rollouts_are_told(tmp_path, changes, said):
    a = run_folder(tmp_path / "a.run", log(run="a"), **changes)
    found = compare([a, folder(tmp_path / "b.prm", log(run="b"))])
    assert said in found.joined.notes[0] and found.joined.files["b"] == ()


def test_metrics_that_are_named_come_first_and_must_be_there(two, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"step": 3, "reward": 9.0, "score": 1.0}\n')
    found = compare(two[:2], metrics={"a": other})
    assert found.joined.files["a"] == (other,) and "1 of 24 steps" in found.joined.notes[0]
    with pytest.raises(UsageError, match=r"--metrics c=...: no run has that name. They are a, b"):
        compare(two[:2], metrics={"c": other})
    with pytest.raises(InputError, match="cannot be read"):
        compare(two[:2], metrics={"a": tmp_path / "none.jsonl"})


def test_a_metric_by_name_and_what_there_is_where_it_is_wrong(two):
    assert compare(two[:2], wanted=("loss", "train/reward")).metrics.names == ("loss", "reward")
    with pytest.raises(UsageError, match=r"--metric rewad: no run has it. At hand are held_out/accuracy, loss, reward"):
        compare(two[:2], wanted=("rewad",))


def test_what_is_not_certain_is_not_taken(two, tmp_path, monkeypatch):
    """A folder of that name where we are, too; a log in no such subfolder; a log that is not there."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "a.run", elsewhere / "a.run")
    monkeypatch.chdir(elsewhere)
    found = compare(two[:2])
    assert found.joined.files["a"] == () and "its log may lie in" in found.joined.notes[0]
    for files in (
        ["a.run/step.parquet"],
        ["gone/rollouts/step.parquet"],
        ["s3://x/a.run/rollouts/step.parquet"],
        ["a.run/rollouts/step.parquet", "more.parquet"],
    ):
        name_files(two[0], files)
        assert compare(two[:2]).joined.files["a"] == ()


def test_what_cannot_be_read_beside_a_log_stops_nothing(two, tmp_path):
    (tmp_path / "a.run" / "metrics.jsonl").write_text("{}\n")
    found = compare(two[:2])
    assert found.joined.files["a"] == () and found.joined.notes[0].startswith("a: metrics lie beside its log, but")


def test_runs_of_one_folder_have_their_own(tmp_path):
    a, b = log(run="a.run"), log(run="b", seed=3)
    both = folder(tmp_path / "both.prm", a + b)
    for name, made in (("a.run", a), ("b", b)):
        run_folder(tmp_path / name, made)
    name_files(both, [f"{name}/rollouts/step_000000.parquet" for name in ("a.run", "b")])
    found = compare([both])
    assert [path.parent.name for (path,) in found.joined.files.values()] == ["a.run", "b"]
    assert all("reward is the log's at 24 of 24" in note for note in found.joined.notes)


def test_a_run_without_metrics_is_compared_as_before(tmp_path):
    found = compare([folder(tmp_path / f"{n}.prm", log(run=n, seed=ord(n))) for n in "ab"])
    assert found.metrics.names == () and found.joined.notes == () and as_json(found)["metrics"]["shown"] == {}
    with pytest.raises(UsageError, match=r"--metric reward: no metrics were found. Name them: --metrics RUN=PATH"):
        compare([tmp_path / "a.prm", tmp_path / "b.prm"], wanted=("reward",))


def test_analysis_and_metrics_stand_in_one_row_of_steps(two):
    found = compare(two[:2])
    table = steps_table(found)
    assert table.columns[:3] == ["run", "step", "reward"] and "metric/held_out/accuracy" in table.columns
    assert table.select("run", "step").rows() == [("a", s) for s in range(24)] + [("b", s) for s in range(20)]
    assert table["metric/reward"].to_list() == pytest.approx(table["reward"].to_list())
    known = table.filter(table["metric/held_out/accuracy"].is_not_null())
    assert known.select("run", "step").rows() == [("a", 0), ("a", 10), ("a", 20), ("b", 0), ("b", 10)]


@pytest.mark.slow
def test_files_and_figure(two, tmp_path):
    out = tmp_path / "out"
    write_comparison(compare(two[:2]), out, formats=("png",))
    assert {path.name for path in (out / "figures").iterdir() if path.stem == "training_metrics"} == {
        "training_metrics.png", "training_metrics.csv", "training_metrics.txt"
    }  # fmt: skip
    assert (out / "metrics.csv").read_text().startswith("run,metric,step,value,low,high\na,held_out/accuracy,0,0.25")
    kept = json.loads((out / "comparison.json").read_text())["metrics"]
    assert kept["shown"]["held_out/accuracy"]["a"]["last"] == 0.5 and kept["files"]["a"][0].endswith(
        "a.run/metrics.jsonl"
    )
    # without metrics the older files go
    write_comparison(compare([folder(tmp_path / f"{n}.prm", log(run=n)) for n in "xy"]), out, formats=("png",))
    assert not (out / "metrics.csv").exists() and not (out / "figures" / "training_metrics.png").exists()
