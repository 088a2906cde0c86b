"""ART's trajectories, invented: what stands before the first trainable message is the prompt."""

import json

import polars as pl

from grpo_prm.logs import collect

MESSAGE = pl.Struct(
    {n: pl.String() for n in ("role", "content", "tool_calls", "tool_call_id")} | {"trainable": pl.Boolean()}
)
SHOTS = [("user", "1 + 1 ?", False), ("assistant", "2", False)]  # a few-shot turn, which nobody trained on


def messages(prompt, sample):
    said = [("system", "be brief", False), *SHOTS, ("user", prompt, False), ("assistant", f"I ask {sample}", True)]
    said += [("tool", "5", False), ("assistant", f"so {sample}", True)]
    return [{"role": r, "content": c, "tool_calls": None, "tool_call_id": None, "trainable": t} for r, c, t in said]


def write_parquet(path, prompts, k):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"group_index": g, "reward": s / 4, "metrics": json.dumps({"turns": 2}), "messages": messages(prompt, s)}
        for g, prompt in enumerate(prompts)
        for s in range(k)
    ]
    pl.DataFrame(
        rows, {"group_index": pl.Int64(), "reward": pl.Float64(), "metrics": pl.String(), "messages": pl.List(MESSAGE)}
    ).write_parquet(path)


def test_a_group_index_counts_anew_in_each_file(tmp_path):
    for step in (0, 1):
        write_parquet(
            tmp_path / "model" / "trajectories" / "train" / f"{step:04d}.parquet", [f"{step}a", f"{step}b"], 4
        )
    log = collect(tmp_path / "model" / "trajectories" / "train")
    assert log.format == "art"
    assert log.table.group_by("group").len()["len"].to_list() == [4] * 4
    assert log.table["step"].unique().sort().to_list() == [0, 1]
    assert sorted(log.table["reward"].to_list()) == sorted([s / 4 for s in range(4)] * 4)
    assert log.table["reward/turns"].to_list() == [2.0] * 16
    first = log.table.row(0, named=True)
    assert first["completion"] == "<assistant>\nI ask 0\n<tool>\n5\n<assistant>\nso 0"
    assert "1 + 1 ?" in first["prompt"]


def old_group(prompt, k):
    made = []
    for s in range(k):
        asked = [{"role": "user", "content": prompt}]
        choice = {"finish_reason": "length" if s == 1 else "stop", "index": 0}
        choice["message"] = {"role": "assistant", "content": f"so {s}"}
        made.append(
            {
                "reward": s / 4,
                "metrics": {"turns": 1},
                "metadata": {},
                "messages_and_choices": [*asked, choice],
                "logs": [],
            }
        )
    return {"trajectories": made}


def test_a_line_of_the_old_files_is_a_group(tmp_path):
    """The prompts of both groups are the same, and so nothing but the line tells them apart."""
    groups = [old_group("q", 3), old_group("q", 4)]
    groups[1]["trajectories"][2]["messages_and_choices"].pop()
    (tmp_path / "0003.jsonl").write_text("".join(json.dumps(group) + "\n" for group in groups))
    log = collect(tmp_path / "0003.jsonl")
    assert log.format == "art"
    assert log.table.group_by("group", maintain_order=True).agg("reward")["reward"].to_list() == [
        [0, 0.25, 0.5],
        [0, 0.25, 0.75],
    ]
    assert log.table["truncated"].sum() == 2
    assert log.rejected.select("line", "reason").rows() == [(2, "no message is trainable")]
    assert log.table["completion"][0] == "<assistant>\nso 0"
