"""The references of the benchmarks give the process-set sizes of the forest, so that their times can be compared."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import strategies
from hypothesis import given

from grpo_prm.core.forest import build_forest, expand

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True, scope="module")
def on_the_path():
    """The benchmarks are scripts that import each other by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield


def expected(groups):
    """Process-set size of every token by the forest."""
    tokens, lengths, numbers, _ = strategies.flatten(groups)
    forest = build_forest(tokens, lengths, numbers)
    return expand(forest, forest.size).tolist()


def sizes(weights):
    """Process-set size of every token by the weights 1 / |λ| of every completion."""
    return [round(1 / float(weight)) for row in weights for weight in row]


@given(strategies.forests())
def test_recursion_on_lists_agrees_with_the_forest(groups):
    from reference_lists import lambda_weights

    assert sizes(row for g in groups for row in lambda_weights([row.tokens for row in g])) == expected(groups)


@given(strategies.forests())
def test_recursion_on_tensors_agrees_with_the_forest(groups):
    torch = pytest.importorskip("torch")
    from reference_tensors import lambda_weights

    ids = [[torch.tensor(row.tokens, dtype=torch.int64) for row in g] for g in groups]
    weights = [row for g in ids for row in lambda_weights(g)]
    assert sizes(weights) == expected(groups)
    assert all(row.dtype == torch.float32 for row in weights)


def steps_of(forest):
    """Group, first position and size of every step; siblings stand in the order of their tokens, which differ."""
    return sorted(zip(forest.group.tolist(), forest.start.tolist(), forest.size.tolist(), strict=True))


def test_the_check_before_timing_passes_for_every_reference_and_fails_for_a_wrong_one():
    from forest_times import MAKERS, Reference, check, references

    for make in MAKERS.values():
        tokens = make(np.random.default_rng(3), 4, 5, 120)
        for reference in references():
            check(tokens, reference)
        wrong = Reference("no sharing", lambda t: t.tolist(), lambda group: [[1.0] * len(row) for row in group])
        with pytest.raises(AssertionError, match="no sharing"):
            check(tokens, wrong)


def test_invented_trees_branch_and_do_not_depend_on_the_length():
    from invented import all_shared, batch, branching

    short, long = (build_forest(*batch(branching(np.random.default_rng(0), 8, 6, n))) for n in (2_000, 4_000))
    assert steps_of(short) == steps_of(long)
    assert short.intermediate.any()
    assert build_forest(*batch(all_shared(np.random.default_rng(0), 3, 4, 9))).size.tolist() == [4, 4, 4]


@pytest.mark.parametrize("rows", ["id_rows", "text_rows"])
def test_an_invented_log_is_the_same_each_time_and_has_whole_steps(tmp_path, rows):
    import invented

    for name in ("a", "b"):
        invented.write_log(tmp_path / name, getattr(invented, rows)(0, 3, 4, 20), 0.03)
    lines = (tmp_path / "a").read_bytes()
    assert lines == (tmp_path / "b").read_bytes()
    steps = [orjson.loads(line)["step"] for line in lines.splitlines()]
    assert steps == [step for step in range(1, max(steps) + 1) for _ in range(12)]
    assert len(lines) >= 30_000


def test_a_process_is_measured_and_its_failure_said():
    import sys

    from processes import measure

    usage = measure(
        [sys.executable, "-c", "import sys; b = b'x' * 100_000_000; print(len(b)); sys.stderr.write('said')"]
    )
    assert 100 < usage.megabytes < 200
    assert usage.seconds > 0
    assert usage.stderr == "said"
    with pytest.raises(RuntimeError, match="ended with 3: no"):
        measure([sys.executable, "-c", "import sys; sys.stderr.write('no'); sys.exit(3)"])


def test_a_step_of_the_trainer_is_timed(monkeypatch):
    """On the smallest model: what is called there changes with the trainer."""
    pytest.importorskip("transformers")
    import train_times

    monkeypatch.setattr(train_times, "NAMED", train_times.Setting(1, 64, 50, 4, groups=8))
    monkeypatch.setattr(train_times, "NEW", 3)
    table = train_times.overhead_table(1)
    assert "1 x 64, vocabulary 50" in table and "<= 0.01" in table


def test_an_unknown_benchmark_is_named(monkeypatch, capsys):
    pytest.importorskip("torch")
    import run

    monkeypatch.setattr("sys.argv", ["run.py", "forrest"])
    with pytest.raises(SystemExit):
        run.main()
    assert "no part is called forrest" in capsys.readouterr().err
