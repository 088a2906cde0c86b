"""What is no log of rollouts is called what it is, by its bytes or by its columns, with the next step."""

import gzip
import io
import json
import struct
import zipfile

import pytest
from logs.log_files import message, read_log
from logs.test_hints import GOLD, PROBLEMS

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import collect
from grpo_prm.logs.refusals import refusal_of_bytes

# What is no log of rollouts -> what the message calls it.
NOT_ROLLOUTS = {
    "pairs of a preferred": [{"prompt": q, "chosen": "a b", "rejected": "c d"} for q in PROBLEMS],
    "pairs of a preferred and": [{"prompt": q, "score_chosen": 1.5, "score_rejected": 0.5} for q in PROBLEMS],
    "one answer each (instruction, output)": [{"instruction": q, "input": "", "output": "a b"} for q in PROBLEMS],
    "one answer each (prompt, completion)": [{"prompt": q, "completion": "a b"} for q in PROBLEMS],
    "one answer each (question, answer)": [
        {"question": q, "answer": g, "level": 1} for q, g in zip(PROBLEMS, GOLD, strict=True)
    ],
    "a data set of conversations (messages)": [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": "a"}]} for q in PROBLEMS
    ],
    "a data set of prompts (prompt)": [{"prompt": q, "data_source": "x"} for q in PROBLEMS],
    "a data set of prompts (prompt), ": [{"prompt": [{"role": "user", "content": q}]} for q in PROBLEMS],
    "curves of training (loss, learning_rate": [{"loss": 1 / s, "learning_rate": 1e-6, "step": s} for s in range(1, 9)],
    "curves of training (actor/pg_loss": [
        {"actor/pg_loss": 1 / s, "actor/lr": 1, "critic/rewards/mean": 1} for s in range(1, 9)
    ],
}


@pytest.mark.parametrize("what", NOT_ROLLOUTS)
def test_what_is_no_log_of_rollouts_is_called_what_it_is(tmp_path, what):
    with pytest.raises(InputError) as caught:
        read_log(tmp_path, NOT_ROLLOUTS[what])
    text = str(caught.value)
    assert what in text and "not rollouts. Give the log of rollouts" in text and "Perhaps" not in text


@pytest.mark.parametrize("more", [{}, {"tags": ["a"], "split": "train"}, {"uid": "0f"}, {"ob_len": 5, "ac_len": 7}])
def test_rewards_without_completions_are_called_so(tmp_path, more):
    rows = [{"step": 1, "prompt": q, "reward": k, **more} for q in PROBLEMS for k in range(3)]
    text = message(lambda: read_log(tmp_path, rows))
    assert "log.jsonl: rewards without completions: no column holds text or ids that a model wrote" in text
    assert "Have the trainer log the completions as well" in text


@pytest.mark.parametrize("more", [{"zz": "a text of {}"}, {"zz": [1, 2]}, {"zz": {"text": "a text of {}"}}])
def test_a_column_that_may_hold_completions_is_not_denied(tmp_path, more):
    rows = [
        json.loads(
            json.dumps({"step": 1, "prompt": q, "reward": k, **more}).replace("{}", f"{k}").replace("[1,", f"[{k},")
        )
        for q in PROBLEMS
        for k in range(3)
    ]
    with pytest.raises(UsageError, match="no column holds completions; there are step, prompt, reward, zz"):
        read_log(tmp_path, rows)


OBJECTS = {
    "the configuration of a model": ("config.json", {"model_type": "qwen2", "vocab_size": 5}),
    "what an evaluation was run with": ("metadata.json", {"env_id": "x", "num_examples": 5, "model": "m"}),
    "the last values of a W&B run": ("wandb-summary.json", {"_runtime": 5, "_timestamp": 6, "train/reward": 1}),
    "the summary of an analysis": ("summary.json", {"source": {}, "counts": {}, "verdict": {}, "overlap": {}}),
    "curves of training": (
        "trainer_state.json",
        {"global_step": 5, "log_history": [{"loss": 1.5, "learning_rate": 0.1, "step": n} for n in range(3)]},
    ),
    "cells of a Jupyter notebook": (
        "x.ipynb.json",
        {"nbformat": 4, "cells": [{"cell_type": "code", "source": ["1"], "outputs": []}]},
    ),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_a_single_object_is_called_what_it_is(tmp_path, what):
    name, value = OBJECTS[what]
    (tmp_path / name).write_text(json.dumps(value, indent=1))
    text = message(lambda: collect(tmp_path / name))
    assert what in text and "not rollouts. Give " in text


def test_a_log_whose_reward_has_an_odd_name_is_no_data_set(tmp_path):
    rows = [{"prompt": f"{n}", "completion": f"it is {n}", "points": n % 3} for n in range(9)]
    with pytest.raises(UsageError, match="no column holds the reward; there are prompt, completion, points"):
        read_log(tmp_path, rows)


def zipped(*names, content=b"x"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
BYTES = {
    "a web page (HTML)": b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "the weights of a model": struct.pack("<Q", len(HEADER)) + HEADER + bytes(4),
    "weights of a model": zipped(
        "archive/data.pkl", content=b"\x80\x02X\x0e\0\0\0lm_head.weightctorch._utils\n_rebuild_tensor_v2\n"
    ),
    "a SQLite database": b"SQLite format 3\x00" + bytes(80),
    "a spreadsheet": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "arrays of numbers": zipped("rewards.npy"),
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
    "the event file of a W&B run": b":W&B\x00\x01" + bytes(20),
    "a PDF": b"%PDF-1.7\n",
    "a binary file of a kind that is not known": b"\x07\x01\x00\x00\x05" * 9,
    "text without a record in it (it begins with 'import json')": b"import json\nprint(1)\n",
    "text without a record in it (it begins with '2026-01-01 INFO": b"2026-01-01 INFO start\n2026-01-01 INFO end\n",
    "XML": b"<?xml version='1.0'?><a/>",
}


@pytest.mark.parametrize("what", BYTES)
def test_bytes_that_are_no_log(tmp_path, what):
    text = refusal_of_bytes(BYTES[what], "log.txt")
    assert text.startswith("log.txt: ") and what in text and text.count(". ") >= 1
    (tmp_path / "log.txt").write_bytes(BYTES[what])
    assert what in message(lambda: collect(tmp_path / "log.txt"))
    assert ": inside the gzip: " in refusal_of_bytes(BYTES[what], "log.txt.gz")


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\n\n",
        b"PAR1" + bytes(9),
        b"ARROW1\0\0",
        b"\xff\xff\xff\xff\0\0\0\0",
        b"[1]",
        b"\x80\x04]\x94.",
        b'{"a": 1}\n',
        b'\xef\xbb\xbf{"a"',
        b'warning: a line of a program\n{"a": 1}\n',
        b'{"a": "\x00"}\n',
        b"not json",
        b"{oops\n{oops\n",
        "{}\n".encode("utf-16"),
        zipped("header.json", "samples/1.json"),
        zipped("archive/data.pkl", content=b"\x80\x02}X\x07\x00\x00\x00samples_rebuild_tensor_v2 weight"),
    ],
)
def test_bytes_that_may_be_a_log_are_left_to_the_containers(start):
    assert refusal_of_bytes(start, "log.dat") is None


def test_what_torch_saves_of_modules_and_optimizers_is_weights():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(3)).sum().backward()
    optimizer.step()
    deep = torch.nn.Sequential(module, torch.nn.Linear(2, 2))
    for value in (module.state_dict(), deep.state_dict(), {"model": deep.state_dict()}, optimizer.state_dict()):
        torch.save(value, file := io.BytesIO())
        assert "the weights of a model" in refusal_of_bytes(file.getvalue(), "x.pt")
    rollouts = {"rollout_id": 1, "samples": [{"tokens": torch.arange(5), "loss_mask": torch.ones(5), "weight": 1.0}]}
    torch.save(rollouts, file := io.BytesIO())
    assert refusal_of_bytes(file.getvalue(), "x.pt") is None


@pytest.mark.parametrize("name", ["log.csv", "log.tsv.gz", "log.jsonl", "log.ndjson.zst"])
def test_text_that_is_called_a_log_is_judged_line_by_line(name):
    assert refusal_of_bytes(b"prompt,completion\na,b\n", name) is None
    assert refusal_of_bytes(b"prompt,completion\na,b\n", "log.yaml") is not None


def test_a_packed_file_names_its_packing(tmp_path):
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(b"{oops\n"))
    assert (
        "not JSON" in (text := message(lambda: collect(tmp_path / "log.jsonl.gz"))) and "in what gzip unpacks" in text
    )
