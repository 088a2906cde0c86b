"""TRL's folders: invented ones whose rewards are known, and the real writer's."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import ReadOptions
from grpo_prm.logs.stream import collect

REAL = Path(__file__).parents[3] / "shared" / "real" / "trl_1.16_generated"


def advantages(total, k):
    groups = np.asarray(total, float).reshape(-1, k)
    return ((groups - groups.mean(1, keepdims=True)) / (groups.std(1, ddof=1, keepdims=True) + 1e-4)).ravel()


def write(folder, step, prompts, k=4, weights=(1.0, 0.5), seed=None, **columns):
    """One file as TRL writes it: k rows a prompt, two reward functions, an extra."""
    rng = np.random.default_rng(step if seed is None else seed)
    n = len(prompts) * k
    rewards = np.stack([rng.integers(0, 2, n), rng.random(n).round(2)], axis=1)
    table = {
        "step": [step] * n,
        "prompt": np.repeat(prompts, k).tolist(),
        "completion": [f"so {i} is {rng.integers(9)}" for i in range(n)],
        "right": rewards[:, 0],
        "short": [None if x < 0.1 else x for x in rewards[:, 1]],
        "chars": list(range(n)),
        **columns,
        "advantage": advantages(
            np.where(rewards[:, 1] < 0.1, 0, rewards[:, 1]) * weights[1] + rewards[:, 0] * weights[0], k
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(table).write_parquet(folder / f"completions_{step:05d}.parquet")
    return table


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "completions"


def total(table):
    return (table["reward/right"].fill_null(0) + 0.5 * table["reward/short"].fill_null(0)).to_list()


@pytest.mark.parametrize("extra", [{}, {"entropy": list(np.linspace(0, 1, 8))}])
def test_where_the_sum_is_wrong_the_weights_that_give_the_advantages_are_taken_and_said(folder, extra):
    for step in (1, 2, 3):
        write(folder, step, ["p", "q"], **extra)
    done = collect(folder)
    assert done.table["reward"].to_list() == pytest.approx(total(done.table))
    assert done.table["reward/right"].null_count() == 0 and "chars" not in done.table.columns
    assert set(extra) <= {name.removeprefix("reward/") for name in done.table.columns}  # a part, of no weight
    assert done.notes[0] == (
        "The reward is right+0.5*short, known up to a factor: of all weights these give the logged advantages"
        " (scaling: group); choose another with --reward."
    )

    again = collect(folder, ReadOptions(reward="right+0.5*short"))
    assert again.table["reward"].to_list() == pytest.approx(total(again.table))
    np.testing.assert_allclose(advantages(again.table["reward"], 4), again.table["advantage"], atol=1e-3)
    assert "right+0.5*short gives the logged advantages" in " ".join(again.notes)


def test_where_the_sum_is_right_it_is_the_reward(folder):
    for step in (1, 2):
        write(folder, step, ["p", "q"], weights=(1, 1))
    done = collect(folder.parent)
    assert done.table["reward"].null_count() == 0
    np.testing.assert_allclose(advantages(done.table["reward"], 4), done.table["advantage"], atol=1e-3)
    assert "the sum of right, short, which gives the logged advantages" in " ".join(done.notes)
    assert done.table["run"].unique().to_list() == ["run"]


def test_one_column_that_gives_the_advantages_is_the_reward(folder):
    write(folder, 1, ["p", "q"], weights=(1, 0))
    done = collect(folder)
    assert "The reward is right, which alone gives the logged advantages (scaling: group)" in done.notes[0]
    assert done.table["reward"].to_list() == collect(folder, ReadOptions(reward="right")).table["reward"].to_list()
    assert done.table["reward"].to_list() == pl.read_parquet(folder / "completions_00001.parquet")["right"].to_list()


def test_a_reward_that_is_not_the_runs_is_taken_and_said(folder):
    write(folder, 1, ["p", "q"])
    done = collect(folder, ReadOptions(reward="right+short"))
    assert done.table["reward"].null_count() == 0
    assert "right+short does not give the logged advantages" in " ".join(done.notes)


def test_advantages_that_no_weights_make_leave_the_names_to_the_user(folder):
    write(folder, 1, ["p", "q"], advantage=[0])
    table = pl.read_parquet(folder / "completions_00001.parquet")
    noise = advantages(np.random.default_rng(7).normal(size=8), 4)
    table.with_columns(advantage=noise).write_parquet(folder / "completions_00001.parquet")
    done = collect(folder)
    assert done.table["reward"].null_count() == 8
    assert (
        '--reward "right+short", with the weights of the run if it has some, --reward "right+0.5*short"'
        in done.notes[0]
    )


def test_a_function_that_is_constant_in_every_group_is_left_out_of_a_fit_and_said(folder):
    for step in (1, 2):
        write(folder, step, ["p", "q"], style=[0.5] * 4 + [1.0] * 4)
    done = collect(folder)
    assert done.table["reward"].to_list() == pytest.approx(total(done.table))
    assert "The advantages do not tell the weight of style, taken as 0." in done.notes[0]


def test_a_prompt_drawn_twice_in_a_step_gives_two_groups(folder):
    write(folder, 1, ["p", "p", "q"])
    write(folder, 2, ["r", "s", "t"])
    done = collect(folder)
    assert done.table.group_by("group").len()["len"].to_list() == [4] * 6
    assert done.counts["groups_split"] == 1


def test_a_batch_that_was_used_again_counts_once(folder):
    write(folder, 1, ["p", "q"])
    table = pl.read_parquet(folder / "completions_00001.parquet")
    table.with_columns(step=pl.lit(2, pl.Int64)).write_parquet(folder / "completions_00002.parquet")
    write(folder, 3, ["p", "q"])
    done = collect(folder)
    assert done.table["step"].unique(maintain_order=True).to_list() == [1, 3]
    assert done.counts["files_repeated"] == 1
    assert done.rejected["reason"].to_list() == ["duplicate"] * 8
    assert "completions_00002.parquet those of completions_00001.parquet but for the step" in " ".join(done.notes)
    assert done.counts["rows_read"] == len(done.table) + len(done.rejected)


def test_an_evaluation_that_overwrote_a_step_is_said(folder):
    for step in (1, 2, 4):
        write(folder, step, ["p", "q"])
    write(folder, 3, ["e", "f", "g"], k=2)
    notes = " ".join(collect(folder).notes)
    assert "completions_00003.parquet is unlike the rest (6 rows in groups of 2, not 8 in groups of 4)" in notes
    assert "evaluation" in notes


def test_token_ids_that_a_run_logged_are_the_units(folder):
    ids = [[7, i] for i in range(8)]
    write(folder, 1, ["p", "q"], completion_ids=ids)
    table = collect(folder).table
    assert table["tokens"].to_list() == ids and table["tokens_from"].unique().to_list() == ["log"]


def test_functions_with_the_names_of_other_columns_are_rewards(folder):
    write(folder, 1, ["p", "q"], weights=(1, 1), task_id=[3, 3, 4, 4] * 2)
    table = pl.read_parquet(folder / "completions_00001.parquet").rename(
        {"right": "reward", "short": "group", "chars": "index"}
    )
    table.write_parquet(folder / "completions_00001.parquet")
    table = collect(folder).table
    assert table["group"].n_unique() == 2 and table["reward"].null_count() == 0
    assert table["group_key"].n_unique() == 2 and not table["group_key"].str.contains("#").any()  # no draws of one key
    np.testing.assert_allclose(advantages(table["reward"], 4), table["advantage"], atol=1e-3)


def test_a_file_that_is_cut_is_named(folder):
    write(folder, 1, ["p", "q"])
    whole = (folder / "completions_00001.parquet").read_bytes()
    (folder / "completions_00002.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"completions_00002\.parquet"):
        collect(folder)


def write_table(folder, step, prompts, **options):
    """The same rows as a W&B table: the step is text, and JSON tells floats from whole numbers."""
    rows = write(folder / "parquet", step, prompts, **options)
    frame = pl.DataFrame({**rows, "step": [str(step)] * len(rows["step"]), "advantage": np.array(rows["advantage"])})
    folder.joinpath("table").mkdir(exist_ok=True)
    data = json.dumps({"columns": frame.columns, "data": [list(row) for row in frame.rows()]})
    (folder / "table" / f"completions_{step}_0a1b2c3d.table.json").write_text(data)
    return frame


def test_tables_are_read_as_the_files_are(folder):
    for step in (1, 2, 3):
        frame = write_table(folder, step, ["p", "q", "q"])
    done, files = collect(folder / "table"), collect(folder / "parquet")
    assert done.format == "trl-table" and "chars" in frame.columns and "chars" not in done.table.columns
    columns = ["step", "reward", "reward/right", "reward/short", "advantage", "completion", "prompt"]
    assert done.table[columns].sort(columns).equals(files.table[columns].sort(columns))
    assert done.table.group_by("group").len()["len"].to_list() == [4] * 9
    assert "The reward is right+0.5*short, known up to a factor" in " ".join(done.notes)


def test_a_table_without_advantages_names_its_functions(folder):
    frame = write_table(folder, 1, ["p", "q"]).drop("advantage")
    data = json.dumps({"columns": frame.columns, "data": [list(row) for row in frame.rows()]})
    (folder / "table" / "completions_1_0a1b2c3d.table.json").write_text(data)
    with pytest.raises(UsageError, match=r'has reward parts right, short and no total.*--reward "right\+short"'):
        collect(folder / "table")
    done = collect(folder / "table", ReadOptions(reward="right+0.5*short"))
    assert done.table["reward"].to_list() == pytest.approx(total(done.table))


real = pytest.mark.skipif(not REAL.exists(), reason="the shared logs are not beside the repository")


@real
@pytest.mark.parametrize("name", ["str_plain", "conv_plain"])
def test_the_real_writers_plain_and_chat_logs_are_8_groups_of_4(name):
    done = collect(REAL / name, ReadOptions(reward="short+0.5*has_e"))
    table = done.table
    assert table.group_by("group", maintain_order=True).agg("step").to_series(1).to_list() == [
        [s] * 4 for s in (1, 1, 2, 2, 3, 3, 4, 4)
    ]
    np.testing.assert_allclose(advantages(table["reward"], 4), table["advantage"], atol=1e-3)
    assert len(done.rejected) == 0 and table["tokens_from"].unique().to_list() == ["pieces"]


@real
def test_of_a_real_chat_only_the_answer_is_in_the_loss():
    chat, plain = (collect(REAL / name).table for name in ("conv_plain", "str_plain"))
    assert plain["mask"].null_count() == len(plain)
    role = 4  # the pieces <, assistant, > and the newline, which may run on into the answer
    for tokens, mask in chat.select("tokens", "mask").iter_rows():
        assert len(tokens) == len(mask) and not any(mask[: role - 1]) and all(mask[role:]) and len(mask) > role
    assert chat["completion"].str.starts_with("<assistant>\n").all()


@real
def test_a_real_run_with_two_iterations_has_every_second_file_twice():
    done = collect(REAL / "str_iter2")
    assert done.counts["files_repeated"] == 2 and done.table["step"].unique().sort().to_list() == [1, 3]
    assert "The reward is short+0.5*has_e, known up to a factor" in done.notes[0]
    assert done.table["reward"].null_count() == 0


def test_a_copy_of_a_run_is_left_out(tmp_path):
    for name in ("run", "run_copy"):
        table = write(tmp_path / name / "completions", 1, ["a", "b"])
    assert len(collect([tmp_path]).table) == len(table["step"])
