"""Small logs in the shapes of all frameworks, if their generator lies beside the project: what is in them is known."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from tokenizers import pre_tokenizers

from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import collect

MAKER = Path(__file__).parents[3] / "shared" / "formats" / "make_logs.py"
# For the reason in their notes.
REFUSED = {"tinker": "neither text nor token ids", "openrlhf_table": "tells the groups apart"}
pytestmark = pytest.mark.skipif(not MAKER.exists(), reason="needs the generator beside the project")
SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str


def _maker():
    spec = importlib.util.spec_from_file_location("make_logs", MAKER)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_logs"] = module
    spec.loader.exec_module(module)
    return module


NAMES = list(_maker().LOGS) if MAKER.exists() else []


@pytest.fixture(scope="module")
def maker():
    return _maker()


def in_loss(row):
    """The ids, or the text, that the policy wrote."""
    mask = row["mask"] or [True] * len(row["tokens"])
    if row["tokens_from"] == "log":
        return [token for token, kept in zip(row["tokens"], mask, strict=True) if kept]
    text = row["completion"]
    pieces = [text[a:b] for _, (a, b) in SPLIT(text)]
    return "".join(piece for piece, kept in zip(pieces, mask, strict=True) if kept)


def letters(text):
    return "".join(c for c in text.replace("<|im_end|>", "") if c.isalnum())


def key(group):
    return str(group["step"]), sorted(round(reward, 4) for reward in group["rewards"])


@pytest.mark.parametrize("name", NAMES)
def test_a_framework_is_read_right(name, maker, tmp_path):
    try:
        wanted = maker.LOGS[name](tmp_path / name).expected()
    except ImportError as error:
        pytest.skip(str(error))
    paths = [tmp_path / name / given for given in wanted["give"]]
    if name in REFUSED:
        with pytest.raises(GrpoPrmError, match=REFUSED[name]):
            collect(paths)
        return
    got = collect(paths)
    table = got.table
    assert sorted(table["step"].drop_nulls().unique()) == (wanted["steps"] or [])
    assert got.counts["rows_read"] == len(table) + len(got.rejected)
    groups = {}
    for row in table.iter_rows(named=True):
        group = groups.setdefault(
            row["group"], {"step": row["step"] if wanted["steps"] else None, "rewards": [], "loss": []}
        )
        reward = row["advantage"] if row["reward"] is None else row["reward"]
        group["rewards"].append(reward)
        group["loss"].append(in_loss(row))
    if table["reward"].null_count() == len(table):  # of the advantages alone
        logged = maker.advantages(maker.rollouts(tools=True), "none")
        expected = {}
        for (step, prompt, _), advantage in logged.items():
            expected.setdefault((step, prompt), []).append(advantage)
        made = [{"step": step, "rewards": values} for (step, _), values in expected.items()]
    else:
        made = [{**group, "step": group["step"] if wanted["steps"] else None} for group in wanted["groups"]]
    assert sorted(map(key, groups.values())) == sorted(map(key, made))
    if wanted["loss"]:
        mine = sorted(json.dumps(sorted(map(normal, group["loss"]))) for group in groups.values())
        theirs = sorted(json.dumps(sorted(map(normal, loss))) for loss in wanted["loss"])
        if wanted["unit"] == "ids" or not wanted["mask"]:
            assert mine == theirs
        else:  # a call of a tool stands between the turns, as each framework writes it
            texts = [text for group in groups.values() for text in group["loss"]]
            turns = [[t.text for t in r.turns if t.sampled] for r in maker.rollouts(tools=True)]
            assert all(any(all(turn in text for turn in of_one) for text in texts) for of_one in turns[: len(texts)])
            assert not any("sum:" in text for text in texts)
    assert (table["mask"].null_count() < len(table)) == wanted["mask"] or not wanted["mask"]
    assert set(table["tokens_from"]) == ({"log"} if wanted["unit"] == "ids" else {"pieces"})


def normal(loss):
    return letters(loss) if isinstance(loss, str) else loss
