"""Each format as `datasets` reads it back, with the features that its trainers expect."""

import pytest

from grpo_prm.export import ExportOptions, export

datasets = pytest.importorskip("datasets")

LOG = "examples/chain.jsonl"


@pytest.fixture(scope="module")
def root(request):
    return request.config.rootpath


def loaded(root, folder, to, **options):
    out = folder / f"chain.{'parquet' if to == 'tokens' else 'jsonl'}"
    done = export(root / LOG, out, to, ExportOptions(**options))
    kind = "parquet" if to == "tokens" else "json"
    read = datasets.load_dataset(kind, data_files=str(out), split="train", cache_dir=str(folder / "cache"))
    assert len(read) == done["counts"]["rows"]
    return read, done["counts"]


def test_stepwise_has_the_features_of_trl(root, tmp_path):
    from datasets import Features, List, Value

    read, counts = loaded(root, tmp_path, "stepwise")
    assert read.features == Features(
        {"prompt": Value("string"), "completions": List(Value("string")), "labels": List(Value("bool"))}
    )
    assert all(len(row["completions"]) == len(row["labels"]) > 0 for row in read)
    assert sum(map(len, read["labels"])) == counts["steps_written"]


def test_math_shepherd(root, tmp_path):
    from datasets import Features, Value

    read, counts = loaded(root, tmp_path, "math-shepherd")
    assert read.features == Features(dict.fromkeys(("input", "label", "task"), Value("string")))
    assert sum(text.count("ки") for text in read["input"]) == counts["steps_written"]


def test_prm800k(root, tmp_path):
    from datasets import Value

    read, counts = loaded(root, tmp_path, "prm800k")
    step = read.features["label"]["steps"].feature
    assert step["completions"].feature["rating"] == Value("int64") and read.features["question"]["problem"]
    rows = [row["label"]["steps"] for row in read]
    assert sum(map(len, rows)) == counts["steps_written"]
    assert {step["completions"][step["chosen_completion"]]["rating"] for row in rows for step in row} == {-1, 0, 1}


def test_spans(root, tmp_path):
    from datasets import List, Value

    read, counts = loaded(root, tmp_path, "spans", min_certainty=0.5)
    assert read.features["tokens"] == List(Value("int64"))
    assert {read.features[name].dtype for name in ("label", "step_reward", "low", "high", "certainty")} == {"float64"}
    assert sum(label is not None for label in read["label"]) == counts["steps_labelled"] > 0


def test_tokens(root, tmp_path):
    read, counts = loaded(root, tmp_path, "tokens", labels="sign")
    assert read.features["label"].feature.dtype == "float32" and read.features["tokens"].feature.dtype == "int32"
    assert read.with_format("numpy")[0]["size"].tolist() == read[0]["size"]
    names = ("mask", "size", "step_reward", "step_advantage", "low", "high", "label")
    assert all(len(row[name]) == len(row["tokens"]) for row in read for name in names)
    assert sum(label is not None for row in read["label"] for label in row) == counts["tokens_labelled"] > 0
