"""A group as a tree: the rows against the plain definition, the text of each step, and what reaches the terminal."""

import io
import json
from os.path import commonprefix

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from grpo_prm.errors import UsageError
from grpo_prm.logs.rollouts import SCHEMA, Rollouts
from grpo_prm.logs.tokenize import Pieces, units
from grpo_prm.text.printable import printable
from grpo_prm.tree.printed import heading, render
from grpo_prm.tree.view import find_groups, group_tree, worst_groups


def table(tokens, rewards, texts=None, tokens_from="log", **columns):
    rows = {
        "run": "base",
        "step": 3,
        "group": 0,
        "group_key": "p7",
        "sample": range(len(tokens)),
        "tokens": tokens,
        "reward": rewards,
        "completion": texts,
        "tokens_from": tokens_from,
    }
    rows |= columns
    given_rows = pl.DataFrame(rows, schema_overrides={c: SCHEMA[c] for c in rows}, strict=False)
    return given_rows.with_columns(pl.lit(None, SCHEMA[c]).alias(c) for c in SCHEMA if c not in rows).select(*SCHEMA)


def in_pieces(texts, rewards, **columns):
    tokens = units(Pieces(), pl.Series(texts, dtype=pl.String)).tokens
    return table(tokens, rewards, texts, "pieces", **columns)


def shown(tree, *, width=100, **options):
    out = io.StringIO()
    render(tree, Console(file=out, width=width, highlight=False, markup=False), **options)
    return out.getvalue()


def paths(tree):
    """Rows from the root to the end of each completion."""
    steps = tree["steps"]
    found = {}
    for n, step in enumerate(steps):
        for end in step["ends"]:
            path, at = [], n
            while at >= 0:
                path.insert(0, steps[at])
                at = steps[at]["parent"]
            assert end["sample"] not in found
            found[end["sample"]] = path
    return found


groups = st.lists(
    st.tuples(st.lists(st.integers(0, 2), max_size=6), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=6
)


@settings(max_examples=200)
@given(groups, st.data())
@example([([], 1.0), ([], 0.0)], None)
@example([([1, 2], 1.0), ([1, 2], 0.0), ([1], 1.0)], None)
def test_every_token_carries_the_mean_over_its_process_set(group, data):
    tokens, rewards = [t for t, _ in group], np.array([r for _, r in group])
    masks = [[data.draw(st.booleans()) if data else True for _ in t] for t in tokens]
    tree = group_tree(table(tokens, rewards, mask=masks))
    flat = np.ptp(rewards) == 0
    advantages = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4) * (not flat)
    found = paths(tree)
    assert sorted(found) == list(range(len(tokens)))
    suppressed = boosted = good = 0
    for i, path in found.items():
        assert path[0]["start"] == 0 and path[-1]["end"] == len(tokens[i])
        for t in range(len(tokens[i])):
            (row,) = [step for step in path if step["start"] <= t < step["end"]]
            same = [j for j in range(len(tokens)) if len(tokens[j]) > t and tokens[j][: t + 1] == tokens[i][: t + 1]]
            assert row["samples"] == same and row["size"] == len(same)
            assert row["kind"] == {1: "terminal", len(tokens): "root"}.get(len(same), "intermediate")
            assert row["reward"] == pytest.approx(rewards[same].mean())
            mean = advantages[same].mean()
            assert row["advantage"] == pytest.approx(mean, abs=1e-9)
            assert row["sign"] == (0 if abs(mean) < 1e-9 else np.sign(mean))
            good += masks[i][t] and advantages[i] > 1e-9
            suppressed += masks[i][t] and advantages[i] > 1e-9 and mean < -1e-9
            boosted += masks[i][t] and advantages[i] < -1e-9 and mean > 1e-9
    assert tree["suppressed_good_tokens"] == sum(s["suppressed_good_tokens"] for s in tree["steps"]) == suppressed
    assert tree["good_tokens"] == good and sum(s["boosted_bad_tokens"] for s in tree["steps"]) == boosted
    assert sum(s["loss_tokens"] for s in tree["steps"]) == sum(map(sum, masks))
    assert tree["zero_variance"] == flat


@settings(max_examples=150)
@given(st.lists(st.text("ab .1é中\n", max_size=12), min_size=2, max_size=5))
def test_pieces_are_cut_exactly(texts):
    tree = group_tree(in_pieces(texts, [1.0] + [0.0] * (len(texts) - 1)))
    assert tree["text_from"] == "units" and tree["unit"] == "piece"
    for sample, path in paths(tree).items():
        assert "".join(step["text"] for step in path) == texts[sample]
        for step in path:
            pieces = Pieces().encode(pl.Series([texts[sample]]), spans=True)
            borders = [0, *pieces.spans[:, 1].tolist()]
            assert step["text"] == texts[sample][borders[step["start"]] : borders[step["end"]]]


@settings(max_examples=150)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "ab", " c"]), max_size=5), min_size=2, max_size=5))
def test_without_a_tokenizer_a_step_is_what_its_members_share(words):
    ids = {"a": 1, "b": 2, "ab": 3, " c": 4}
    texts = ["".join(w) for w in words]
    tree = group_tree(table([[ids[w] for w in ws] for ws in words], [0.0] * len(words), texts))
    assert tree["text_from"] == "prefix"
    for sample, path in paths(tree).items():
        for n, step in enumerate(path):
            told = "".join(s["text"] for s in path[: n + 1])
            assert texts[sample].startswith(told)
            if step["start"] == step["end"]:
                assert step["text"] == ""
            else:
                assert told == commonprefix([texts[i] for i in step["samples"]])  # noqa: RUF071 - texts


def test_logged_ids_are_decoded_with_a_tokenizer(tmp_path):
    vocabulary = {token: n for n, token in enumerate(["Ġyes", "Ġno", "x", "Ã", "©", "[UNK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids = [[2, 0, 3, 4], [2, 0, 1], [2, 0, 3, 3]]  # é is two tokens, and the steps part inside it
    tree = group_tree(table(ids, [1.0, 0.0, 0.0], ["?", "?", "?"]), tokenizer=str(tmp_path))
    assert tree["text_from"] == "decoded"
    assert "".join(s["text"] for s in paths(tree)[1]) == "x yes no"
    assert [step["text"] for step in paths(tree)[0]] == ["x yes", "\ufffd", ""]  # of the member with two halves
    assert [step["texts"] for step in paths(tree)[0]] == [None, ["é", "\ufffd"], None]


def test_without_text_the_ids_are_shown():
    tree = group_tree(table([[5, 6, 7], [5, 6, 8]], [1.0, 0.0]))
    assert tree["text_from"] == "none" and [s["ids"] for s in tree["steps"]] == [[5, 6], [7], [8]]
    assert "5 6" in shown(tree)


def test_without_rewards_the_logged_advantages_are_used():
    logged = group_tree(table([[1, 2], [1, 3]], [None, None], advantage=[0.5, -0.5]))
    assert logged["advantage_from"] == "logged" and [s["advantage"] for s in logged["steps"]] == [0, 0.5, -0.5]
    assert {s["reward"] for s in logged["steps"]} == {None} and "no rewards" in shown(logged)
    assert (
        group_tree(table([[1], [2]], [1.0, 0.0], advantage=[9.0, -9.0]), advantage="logged")["steps"][1]["advantage"]
        == 9
    )
    neither = group_tree(table([[1, 2], [1, 3]], [None, None]))
    assert {s["advantage"] for s in neither["steps"]} == {None} and neither["suppressed_good_tokens"] is None
    assert " - " in shown(neither)
    json.dumps([logged, neither], allow_nan=False)


def test_the_screen_shows_each_step_its_numbers_and_its_ends():
    tree = group_tree(in_pieces(["2+2=4 so 4", "2+2=5 so 5", "2+2=5 so 4", "2+2=5 so 4"], [1, 0, 0, 1]))
    lines = shown(tree).splitlines()
    (mid,) = [line for line in lines if " 5 so" in line or ("5 so" in line and "■" not in line)]
    assert mid.split()[:3] == ["3", "0.333", "-0.289"] and "◀ suppressed good: 2" in mid
    assert any("■ #0 reward 1" in line for line in lines)
    (tie,) = [line for line in lines if "■ #3 reward 1" in line]
    assert tie.split()[:3] == ["2", "0.500", "0.000"] and "■ #2 reward 0" in tie
    assert [line for line in lines if line.startswith("   4   0.500   0.000")]
    assert "Suppressed good: 2 of 14 pieces" in shown(tree)


def test_long_texts_are_folded_and_shown_whole_on_request():
    words = " ".join(f"word{i}" for i in range(300))
    tree = group_tree(in_pieces([words + "\na", words + "\nb"], [1, 0]))
    folded = " ".join(shown(tree).split())
    hidden = len(tree["steps"][0]["text"]) - 220
    assert f"{hidden:,} characters" in folded and "word150 " not in folded and "word299" in folded
    whole = shown(tree, full=True)
    assert all(f"word{i}" in whole for i in range(300)) and "characters" not in whole


def test_deep_trees_stay_inside_the_screen():
    texts = [" x" * i + " end" for i in range(40)]
    lines = shown(group_tree(in_pieces(texts, [1.0] + [0.0] * 39)), width=80).splitlines()
    assert max(map(len, lines)) <= 80 and any("#39" in line for line in lines)


HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]bold[/red] [/] \u202egnp.exe\u2066 \x9b31m \r over\x00 \U000e0041 :smile:"


@pytest.mark.parametrize("full", [False, True])
def test_hostile_text_reaches_the_terminal_as_text(full):
    prompts = {"prompt": [HOSTILE] * 2, "group_key": HOSTILE, "run": HOSTILE}
    out = shown(group_tree(in_pieces([HOSTILE + "\na", HOSTILE + "\nb"], [1, 0], **prompts)), width=200, full=full)
    assert all(c.isprintable() or c == "\n" for c in out)
    for told in (r"\x1b[2J", r"\u202e", r"\x9b", "[red]bold[/red]", ":smile:", r"\r over\x00", r"\U000e0041"):
        assert told in out
    colours = io.StringIO()
    tree = group_tree(in_pieces([HOSTILE + "\na", HOSTILE + "\nb"], [1, 0], **prompts))
    render(tree, Console(file=colours, width=200, force_terminal=True, color_system="standard", markup=False))
    assert "\x1b[2J" not in colours.getvalue() and "\x1b]" not in colours.getvalue() and "\x1b[3" in colours.getvalue()
    assert json.dumps(tree).isprintable()


@given(st.text())
def test_printable_text_is_printable_and_honest_text_untouched(text):
    made = printable(text)
    assert all(c.isprintable() or c in " \u00a0\u3000" or c.isspace() for c in made)
    assert not set(made) & set("\n\r\x1b\x85\u2028\u2029\u202e")
    assert printable("é 中文 \u3000 λ 🙂 [b]") == "é 中文 \u3000 λ 🙂 [b]" and printable("a\nb", newline="\n") == "a\nb"


def batches(*tables):
    return iter([Rollouts(t.with_columns(pl.col("group") + 100 * i)) for i, t in enumerate(tables)])


def named(key, step, run="base", rewards=(1.0, 0.0)):
    return table([[1, 2], [1, 3]], list(rewards), run=run, step=step, group_key=key)


def test_groups_are_found_by_name():
    log = [named("a:b", 1), named("a:b", 2), named("c", 2, run="x:1"), named("c", 2, run="y"), named("d", None)]

    def find(*names):
        return [(t["run"][0], t["step"][0], t["group_key"][0]) for t in find_groups(batches(*log), names)]

    assert find("2:a:b") == [("base", 2, "a:b")] and find("base:1:a:b") == [("base", 1, "a:b")]
    assert find("2:c") == [("x:1", 2, "c"), ("y", 2, "c")] and find("x:1:2:c") == [("x:1", 2, "c")]
    assert find("-:d") == find("d") == [("base", None, "d")]
    assert find("d", "1:a:b") == [("base", None, "d"), ("base", 1, "a:b")]
    with pytest.raises(UsageError, match=r"No group is called 1:a:c.*near it: 1:a:b"):
        find("1:a:c")
    with pytest.raises(UsageError):
        find("c")


def test_worst_groups_have_most_suppressed_good_tokens_in_the_order_of_the_log():
    def held(tokens, key):  # three bad completions drag a good one down for so many tokens
        shared = list(range(1, 1 + tokens))
        return table([[*shared, 90], [*shared, 91], [*shared, 92], [99]], [1.0, 0.0, 0.0, 1.0], group_key=key)

    log = [held(2, "a"), held(5, "b"), named("none", 1, rewards=(1, 1)), held(5, "c"), held(3, "d")]
    alone = table([[1]], [1.0], group_key="alone")
    together = pl.concat([t.with_columns(group=pl.lit(i, pl.Int64)) for i, t in enumerate([*log, alone])])
    for given_batches in (batches(*log), batches(together), batches(alone, *log)):
        found = worst_groups(given_batches, 3)
        assert [t["group_key"][0] for t in found] == ["b", "c", "d"]
        assert [group_tree(t)["suppressed_good_tokens"] for t in found] == [5, 5, 3]
    assert [t["group_key"][0] for t in worst_groups(batches(*log), 9)] == ["b", "c", "d", "a"]
    assert worst_groups(batches(named("flat", 1, rewards=(0, 0))), 3) == []


def test_the_group_that_explains_itself_best_comes_before_the_one_with_the_largest_number():
    """Two good completions held back by three bad ones say more than one held back for a longer time."""
    clear = table([[1, 2], [1, 3], [1, 4], [1, 5], [1, 6], [9]], [1.0, 1.0, 0.0, 0.0, 0.0, 1.0], group_key="clear")
    shared = list(range(1, 9))
    long = table([[*shared, 90], [*shared, 91], [*shared, 92], [99]], [1.0, 0.0, 0.0, 1.0], group_key="long")
    assert [group_tree(t)["suppressed_good_tokens"] for t in (clear, long)] == [2, 8]
    for order in ((clear, long), (long, clear)):
        assert [t["group_key"][0] for t in worst_groups(batches(*order), 2)] == ["clear", "long"]


def test_groups_with_and_without_rewards_stand_side_by_side():
    tokens = [[1, 2, 90], [1, 2, 91], [1, 2, 92], [99]]
    logged = [1.0, -1.0, -1.0, 1.0]
    by_reward = table(tokens, [1.0, 0.0, 0.0, 1.0], group_key="reward", group=0)
    by_advantage = table(tokens, [None] * 4, advantage=logged, group_key="advantage", group=1)
    neither = table(tokens, [1.0, 0.0, None, 1.0], group_key="neither", group=2)
    log = pl.concat([by_reward, by_advantage, neither])
    assert [t["group_key"][0] for t in worst_groups(batches(log), 3)] == ["reward", "advantage"]
    assert [t["group_key"][0] for t in worst_groups(batches(log), 3, advantage="logged")] == ["advantage"]


@pytest.mark.parametrize(("key", "said"), [("4#2", "#2 behind a key: draw 2 of a prompt"), ("4#10", "draw 10 of")])
def test_a_further_draw_says_what_it_is(key, said):
    tree = {"run": "a", "step": 40, "k": 8, "reward_mean": None, "reward_std": None, "zero_variance": False}
    tree |= {"suppressed_good_tokens": None, "tokens_from": "log", "text_from": "units", "mixed_prompts": None}
    assert said in heading(tree | {"group_key": key})[1].plain
    for other in ("4", "4#1", "4#2b", "#02"):  # the first draw, and keys of a log that look alike
        assert not any("draw" in line.plain for line in heading(tree | {"group_key": other}))
