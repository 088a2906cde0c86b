"""Columns that name the problem and the task, log-probabilities of the trainer, and named parts of the reward."""

import json

import polars as pl
import pytest
from logs.log_files import balanced, read_log, reasons, row, write

from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions, collect, inspect
from grpo_prm.logs.rollouts import SCHEMA, save
from grpo_prm.logs.rows.wire import wire_schema
from grpo_prm.logs.stream import open_all


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("name", ["problem_id", "example_id", "task_id", "_ng_task_index"])
@pytest.mark.parametrize("value", [4, "four"])
def test_a_key_of_the_problem_is_kept_as_text_beside_the_group(tmp_path, name, value, slow):
    """The same row by row (a boolean among texts) and column by column."""
    rows = [{**row(tokens=[n], odd=True if slow and n else "x"), name: value} for n in range(3)]
    keep = ("odd",) if slow else ()
    got = read_log(tmp_path, rows, keep=keep)
    assert got.table["problem"].to_list() == [str(value)] * 3
    del rows[0]["group"], rows[1]["group"], rows[2]["group"]
    assert read_log(tmp_path, rows, keep=keep).table["problem"].to_list() == [str(value)] * 3  # and it is the key, too


def test_a_column_of_two_meanings_is_still_read_column_by_column(tmp_path):
    path = write(tmp_path / "log.jsonl", [{"task_id": 4, "tokens": [n], "reward": n, "acc": n} for n in range(3)])
    (log,) = open_all(path, ReadOptions(columns={"reward/acc": "reward"})).logs
    assert log.plan.paths["problem"] == log.plan.paths["group"] == "task_id" and wire_schema(log.plan) is not None


@pytest.mark.parametrize("name", ["uid", "group_id", "group_index", "prompt_idx", "index", "idx", "id"])
def test_a_key_of_one_draw_or_of_a_row_is_no_problem(tmp_path, name):
    rows = [{"step": 1, name: g, "prompt": g, "completion": f"{n}", "reward": n} for g in "ab" for n in range(2)]
    assert read_log(tmp_path, rows).table["problem"].null_count() == 4


def test_the_task_id_of_areal_is_one_of_a_draw(tmp_path):
    rows = [
        {"task_id": g, "sample_idx": n, "head_version": 1, "tail_version": 1, "prompt": "p", "completion": f"{n}",
         "reward": n} for g in (5, 6) for n in range(2)
    ]  # fmt: skip
    got = read_log(tmp_path, rows).table
    assert got["group"].to_list() == [0, 0, 1, 1] and got["problem"].null_count() == 4


@pytest.mark.parametrize("name", ["task", "env", "env_name", "data_source", "dataset", "ability", "environment"])
def test_the_name_of_the_task(tmp_path, name):
    got = read_log(tmp_path, [{**row(tokens=[n]), name: t} for n, t in enumerate(["math", None, "code"])])
    assert got.table["task"].to_list() == ["math", None, "code"] and balanced(got)
    objects = read_log(tmp_path, [{**row(tokens=[n]), name: {"type": "x"}} for n in range(2)])
    assert objects.table["task"].null_count() == 2 and not len(objects.rejected)


def test_columns_name_problem_task_and_parts(tmp_path):
    rows = [row(tokens=[n], q={"nr": 3}, kind="k", parts={"f": n / 2}) for n in range(3)]
    columns = {"problem": "q.nr", "task": "kind", "reward/form": "parts.f"}
    got = read_log(tmp_path, rows, columns=columns).table
    assert got.columns == [*SCHEMA, "reward/form"]
    assert got.select("problem", "task", "reward/form").rows() == [("3", "k", n / 2) for n in range(3)]
    seen = inspect(tmp_path / "log.jsonl", ReadOptions(columns=columns))
    assert seen.columns["reward/form"] == "parts.f" and seen.columns["problem"] == "q.nr"
    with pytest.raises(UsageError, match=r"reward/form=parts\.g.*no column parts\.g"):
        read_log(tmp_path, rows, columns={"reward/form": "parts.g"})
    with pytest.raises(UsageError, match="has no name"):
        read_log(tmp_path, rows, columns={"reward/": "parts.f"})


def test_a_part_that_was_named_must_hold_numbers_and_one_that_was_found_need_not(tmp_path):
    rows = [row(tokens=[n], f=v, metrics={"g": v}) for n, v in enumerate([1.5, None, True, "odd", [1]])]
    rows[0]["metrics"] = json.dumps(rows[0]["metrics"])
    del rows[1]["f"]
    wanted = read_log(tmp_path, rows, columns={"reward/f": "f"})
    assert wanted.table["reward/f"].to_list() == [1.5, None, 1.0]
    assert [(line, field) for line, field, _ in reasons(wanted)] == [(4, "reward/f"), (5, "reward/f")]
    rows = [{**r, "metrics": {"g": v}} for r, v in zip(rows, [1.5, None, 2, 3.0, 4.0], strict=True)]
    assert read_log(tmp_path, rows).table["reward/g"].to_list() == [1.5, None, 2, 3, 4]


NAMES = ["reward_components", "reward_parts", "reward_breakdown", "reward_extra_info", "rewards", "scores", "metrics"]


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_a_dict_beside_the_reward_are_its_parts(tmp_path, name, as_text):
    parts = [{"right": 1.0, "form": n, "ok": n > 0, "said": "x", "n.n": 1} for n in range(3)]
    rows = [row(tokens=[n], **{name: json.dumps(p) if as_text else p}) for n, p in enumerate(parts)]
    got = read_log(tmp_path, rows)
    assert got.table.columns == [*SCHEMA, "reward/right", "reward/form", "reward/ok"]
    assert got.table["reward"].to_list() == [0.5] * 3  # parts stand beside it, and change nothing
    assert got.table.select("reward/right", "reward/form", "reward/ok").rows() == [(1, 0, 0), (1, 1, 1), (1, 2, 1)]


def test_the_first_dict_that_names_a_part_has_it_and_odd_values_are_null(tmp_path):
    rows = [row(tokens=[n], metrics={"a": 1, "b": 2}, reward_components={"a": 7}) for n in range(4)]
    rows[1]["metrics"] = {"a": 1, "b": "odd"}
    rows[2]["metrics"] = None
    rows[3]["reward_components"] = {"a": float("nan")}
    rows[1]["metrics"]["b"] = None
    got = read_log(tmp_path, rows)
    assert got.table["reward/a"].to_list() == [7, 7, 7, None] and got.table["reward/b"].to_list() == [2, None, None, 2]
    assert not len(got.rejected)


def test_a_row_that_holds_a_group_has_a_list_for_each_part(tmp_path):
    one = {"prompt": "p", "completions": ["a", "b"], "rewards": [1, 0], "metrics": {"f": [0.5, 1], "g": [1, 2, 3]}}
    other = {**one, "prompt": "q", "metrics": [{"f": 3.0}, {"f": 4.0}]}
    got = read_log(tmp_path, [one, other])
    assert got.table["reward/f"].to_list() == [0.5, 1, 3, 4] and got.table["reward/g"].null_count() == 4
    assert not len(got.rejected)


def test_parts_of_a_weighted_sum_keep_their_names_and_others_stand_beside_them(tmp_path):
    rows = [row(tokens=[n], metrics={"a": 1.0 * n, "b": 2.0}, c=3.0) for n in range(2)]
    got = read_log(tmp_path, rows, reward="metrics.a+0.5*c").table
    assert got["reward"].to_list() == [1.5, 2.5]
    assert got.columns == [*SCHEMA, "reward/metrics.a", "reward/c", "reward/b"]


def test_extra_numbers_of_verl_are_parts(tmp_path):
    rows = [
        {"input": "p", "output": f"o{n}", "gts": 4, "score": 1.0, "step": 1, "acc": n > 0, "pred": "3", "length": n,
         "request_id": str(n)} for n in range(3)
    ]  # fmt: skip
    got = collect(write(tmp_path / "1.jsonl", rows))
    assert got.format == "verl" and got.table.columns == [*SCHEMA, "reward/acc", "reward/length"]
    assert got.table["reward/acc"].to_list() == [0, 1, 1] and got.table["reward"].to_list() == [1] * 3


def test_every_function_of_trl_is_a_part_also_where_the_reward_is_one_of_them(tmp_path):
    table = {"step": [1] * 4, "prompt": list("ppqq"), "completion": list("abcd"), "right": [0.0, 1, 1, 0],
             "form": [1.0, None, 1, 1], "advantage": [-0.7, 0.7, 0.7, -0.7]}  # fmt: skip
    (tmp_path / "completions").mkdir()
    pl.DataFrame(table).write_parquet(tmp_path / "completions" / "completions_00001.parquet")
    got = collect(tmp_path / "completions", ReadOptions(reward="right"))
    assert got.format == "trl" and got.table.columns == [*SCHEMA, "reward/right", "reward/form"]
    assert got.table["reward"].to_list() == table["right"] and got.table["reward/form"].to_list() == table["form"]


TRAINER = ["trainer_logprobs", "old_log_probs", "old_per_token_logps", "prev_logprobs", "prox_logp"]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("name", TRAINER)
def test_log_probabilities_of_the_trainer_stand_beside_the_samplers(tmp_path, name, slow):
    rows = [row(tokens=[n, 1], rollout_log_probs=[-1.0, -2.0], **{name: [-0.5, n]}) for n in range(2)]
    rows[1]["reward"] = True if slow else 1.0
    got = read_log(tmp_path, rows).table
    assert got["logprobs"].to_list() == [[-1, -2]] * 2 and got["trainer_logprobs"].to_list() == [[-0.5, 0], [-0.5, 1]]


def test_trainer_log_probabilities_of_another_length_cost_no_row(tmp_path):
    rows = [row(tokens=[n, 1], old_log_probs=[-0.5, -1]) for n in range(1100)]
    rows[1050]["old_log_probs"] = [-0.5]  # behind the rows by which columns are known
    got = read_log(tmp_path, rows)
    assert got.table["trainer_logprobs"].null_count() == 1 and not len(got.rejected)
    assert "The trainer_logprobs of 1 row are not one number for each token id, and are left out." in got.notes
    rows = [{**r, "old_log_probs": [-0.5]} for r in rows]
    got = read_log(tmp_path, rows)
    assert got.table["trainer_logprobs"].null_count() == 1100 and not len(got.rejected)
    assert "The column old_log_probs does not hold one number for each token id, so it is not used." in got.notes


def test_log_probabilities_beside_text_are_left_out_as_its_units_are_others(tmp_path):
    rows = [{"prompt": "p", "completion": f"a b {n}", "reward": n, "logprobs": [-1.0] * (n + 2)} for n in range(3)]
    assert read_log(tmp_path, rows).table["logprobs"].null_count() == 3


def test_labels_cut_the_prompt_from_the_trainers_log_probabilities_too(tmp_path):
    rows = [{"tokens": [[5, 6, 7], [5, 8]], "masks": [[-100, 6, 7], [-100, 8]], "scores": [1, 0],
             "trainer_logprobs": [[-1.0, -2, -3], [-4.0, -5]]}]  # fmt: skip
    assert read_log(tmp_path, rows).table["trainer_logprobs"].to_list() == [[-2, -3], [-5]]


def test_batches_with_other_parts_are_one_table(tmp_path):
    for name, key in (("one", "f"), ("two", "g")):
        write(tmp_path / f"{name}.jsonl", [row(tokens=[n], metrics={key: n}) for n in range(2)])
    got = collect([tmp_path / "one.jsonl", tmp_path / "two.jsonl"]).table
    assert got.columns == [*SCHEMA, "reward/f", "reward/g"] and got["reward/g"].to_list() == [None, None, 0, 1]
    save(got, tmp_path / "both.jsonl")
    assert collect(tmp_path / "both.jsonl").table.equals(got, null_equal=True)


def test_prompts_with_other_images_are_other_prompts(tmp_path):
    def asked(image):
        return [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "?"}],
            }
        ]

    rows = [{"prompt": asked(i), "completion": f"{n}", "reward": n} for i in ("data:A", "data:B") for n in range(2)]
    got = read_log(tmp_path, rows).table
    assert got["group"].to_list() == [0, 0, 1, 1]
    one, other = got["prompt"].unique(maintain_order=True)
    assert one.startswith("<user>\n?\n[image_url ") and other.startswith("<user>\n?\n[image_url ")
    bare = [{"role": "user", "content": [{"type": "image", "image": None}, {"type": "text", "text": "?"}]}]
    rows = [{"prompt": bare, "completion": f"{n}", "reward": n} for n in range(2)]
    assert read_log(tmp_path, rows).table["prompt"].to_list() == ["<user>\n?"] * 2


def test_a_task_id_that_names_a_data_set_gives_way_to_the_prompt(tmp_path):
    rows = [{"task_id": t, "prompt": f"{t} {p}", "completion": f"{n}", "reward": n} for t in "ab" for p in "xyz"
            for n in range(2)]  # fmt: skip
    got = read_log(tmp_path, rows)
    assert got.table["group"].to_list() == [g for g in range(6) for _ in range(2)]
    assert got.table["problem"].to_list() == [t for t in "ab" for _ in range(6)]
    assert "The column task_id holds several prompts a step" in got.notes[-1]
    games = [{"task_id": t, "prompt": f"{t} {n}", "completion": f"{n}", "reward": n} for t in "ab" for n in range(4)]
    got = read_log(tmp_path, games)  # members of a group read prompts of their own: that is counted, not mended
    assert got.table["group"].to_list() == [0] * 4 + [1] * 4 and got.counts["groups_prompts_differ"] == 2


@pytest.mark.parametrize("kept", [(), ("odd",)])
@pytest.mark.parametrize("container", ["jsonl", "parquet"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e39])
@pytest.mark.parametrize("name", ["logprobs", "trainer_logprobs", "ref_logprobs"])
def test_a_token_without_a_log_probability_costs_no_completion(tmp_path, name, value, container, kept):
    """Whether rows are read one by one (a boolean among texts) or column by column."""
    rows = [{"group": 1, "tokens": [1, n], "reward": n, name: [-1.0, value if n == 1 else -2.0]} for n in range(3)]
    path = tmp_path / f"log.{container}"
    if container == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        odd = [{**one, "odd": True if n else "x"} for n, one in enumerate(rows)]
        path.write_text("".join(json.dumps(one) + "\n" for one in (odd if kept else rows)))
    got = collect(path, ReadOptions(keep=kept if container == "jsonl" else ()))
    assert not len(got.rejected)
    assert got.table[name].to_list() == [[-1.0, -2.0], [-1.0, -9999.0], [-1.0, -2.0]]
    save(got, tmp_path / "canonical.jsonl")
    assert collect(tmp_path / "canonical.jsonl").table[name].to_list() == got.table[name].to_list()
