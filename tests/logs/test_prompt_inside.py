"""Prompts and padding that stand inside the completions: cut off where they are, counted, and never elsewhere."""

import json

import pytest
from logs.log_files import read_log, row, write

from grpo_prm.logs import collect

PROMPTS = ["Add two and three.", "Name a river that is long."]


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


def as_json(path, rows):
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("save", [write, as_json])
def test_a_text_that_begins_with_its_prompt(tmp_path, save):
    rows = [{"prompt": p, "text": f"{p} So {n}", "reward": n} for p in PROMPTS for n in range(5)]
    rows.append({"prompt": PROMPTS[1], "text": "Sorry", "reward": 0})
    got = collect(save(tmp_path / "log.json", rows))
    said = [f" So {n}" for n in range(5)]
    assert got.table["completion"].to_list() == [*said, *said, "Sorry"]
    assert "The prompt is cut off the front of 10 completions, where it stands again." in got.notes
    assert "Taken whole, as they do not begin with their prompt like the others: 1 completion." in got.notes
    assert got.table["group_key"].n_unique() == 2


def test_a_text_that_repeats_its_prompt_now_and_then_is_whole(tmp_path):
    rows = [{"prompt": p, "text": f"{p if n else ''} So {n}", "reward": n} for p in PROMPTS for n in range(4)]
    got = read_log(tmp_path, rows)
    assert got.table["completion"].to_list() == [r["text"] for r in rows] and not any(
        "prompt" in note for note in got.notes
    )


def test_answers_that_begin_with_a_letter_that_is_the_prompt(tmp_path):
    rows = [{"prompt": p, "text": f"{p}nd so {n}", "reward": n} for p in "ab" for n in range(4)]
    assert read_log(tmp_path, rows).table["completion"].to_list() == [r["text"] for r in rows]


def test_a_prompt_that_is_also_the_whole_text(tmp_path):
    rows = [{"prompt": p, "text": p, "reward": n} for p in PROMPTS for n in range(4)]
    assert read_log(tmp_path, rows).table["completion"].to_list() == [r["text"] for r in rows]


def test_a_row_that_holds_a_group_with_the_prompt_in_each(tmp_path):
    rows = [{"prompt": p, "responses": [f"{p} {n}" for n in range(3)], "rewards": [0, 1, 2]} for p in PROMPTS]
    got = read_log(tmp_path, rows)
    assert got.table["completion"].to_list() == [" 0", " 1", " 2"] * 2


def test_a_template_around_the_prompt_is_refused_in_a_true_word(tmp_path):
    rows = [{"prompt": p, "text": f"<|user|>{p}<|assistant|>So {n}", "reward": n} for p in PROMPTS for n in range(3)]
    with pytest.raises(Exception, match=r"the text holds the prompt too, behind '<\|user\|>': write the answer alone"):
        read_log(tmp_path, rows)
    rows = [{**r, "prompt": chat(("system", "s"), ("user", r["prompt"]))} for r in rows]
    with pytest.raises(Exception, match="the text holds the prompt too"):
        read_log(tmp_path, rows)
    # Who repeats the question in words of his own is read.
    rows = [{"prompt": p, "text": f"You {n} ask: {p} So", "reward": n} for p in PROMPTS for n in range(3)]
    assert len(read_log(tmp_path, rows).table) == 6


def test_a_chat_that_begins_with_the_prompts_messages(tmp_path):
    shots = chat(("user", "1+1"), ("assistant", "2"), ("user", "2+2"))
    said = [chat(("assistant", f"{n}")) for n in range(3)]
    alone = read_log(tmp_path, [{"prompt": shots, "completion": s, "reward": 1} for s in said])
    whole = read_log(tmp_path, [{"prompt": shots, "completion": shots + s, "reward": 1} for s in said])
    assert whole.table["completion"].to_list() == alone.table["completion"].to_list()
    assert whole.table["mask"].to_list() == alone.table["mask"].to_list()
    assert "The prompt is cut off the front of 3 completions, where it stands again." in whole.notes
    assert not alone.notes


def test_turns_that_are_not_trained_on(tmp_path):
    turns = [
        {"role": "assistant", "content": "shown", "trainable": False},
        {"role": "assistant", "content": "mine", "trainable": True},
        {"role": "user", "content": "and", "trainable": False},
        {"role": "assistant", "content": "theirs", "trainable": False},
    ]
    got = read_log(tmp_path, [{"group": "g", "completion": turns, "reward": n} for n in range(2)])
    assert got.table["completion"][0] == "<assistant>\nmine\n<user>\nand\n<assistant>\ntheirs"
    one = read_log(tmp_path, [{"group": "g", "completion": turns[1:3], "reward": n} for n in range(2)], name="b.jsonl")
    assert got.table["mask"][0].sum() == one.table["mask"][0].sum() == 1
    assert "Leading turns that are marked as not trained on" in got.notes[-1] and "in 2 completions." in got.notes[-1]


@pytest.mark.parametrize("name", ["prompt_ids", "prompt_token_ids", "prompt_tokens"])
def test_ids_that_begin_with_those_of_the_prompt(tmp_path, name):
    rows = [row(group=p, tokens=[p, 9, n, 4], **{name: [p, 9]}, reward=n) for p in (5, 6) for n in range(3)]
    for r in rows:
        r |= {"mask": [0, 0, 1, 1], "logprobs": [-1.0, -2.0] if r["group"] == 5 else [0.0, 0.0, -3.0, -4.0]}
    got = read_log(tmp_path, rows)
    assert got.table["tokens"].to_list() == [[n, 4] for _ in range(2) for n in range(3)]
    assert got.table["mask"].to_list() == [[True, True]] * 6
    assert got.table["logprobs"].to_list() == [[-1, -2]] * 3 + [[-3, -4]] * 3
    assert got.table["prompt_hash"].n_unique() == 2
    assert "The prompt is cut off the front of 6 completions, where it stands again." in got.notes
    kept = read_log(tmp_path, [{**r, name: [7]} for r in rows], columns={"logprobs": "-"})
    assert kept.table["tokens"].to_list() == [r["tokens"] for r in rows]


def test_as_many_ids_in_the_prompt_as_members_in_the_row(tmp_path):
    rows = [{"prompt_ids": [p, 9], "tokens": [[p, 9, 1], [p, 9, 2]], "scores": [0, 1]} for p in (5, 6)]
    assert read_log(tmp_path, rows).table["tokens"].to_list() == [[1], [2]] * 2


def test_ids_of_the_prompt_tell_groups_apart(tmp_path):
    rows = [{"prompt_token_ids": [p, 9], "response_ids": [n], "reward": n} for p in (5, 6) for n in range(3)]
    got = read_log(tmp_path, rows, spare_text=True)
    assert got.table["group"].to_list() == [0, 0, 0, 1, 1, 1]
    # A number of tokens is no prompt.
    keyed = read_log(tmp_path, [{**r, "prompt_tokens": 2} for r in rows])
    assert keyed.table["group"].n_unique() == 2


def test_the_last_ids_are_the_response(tmp_path):
    rows = [row(group=p, tokens=[p, p, 9, *range(n + 1)], response_len=n + 1) for p in (5, 6) for n in range(4)]
    for r in rows:
        r["logprobs"] = [-1.0] * r["response_len"]
    got = read_log(tmp_path, rows)
    assert got.table["tokens"].to_list() == [list(range(n + 1)) for _ in range(2) for n in range(4)]
    assert got.table["logprobs"].null_count() == 0
    assert any("of 8 completions: their tokens are more than the logged length" in note for note in got.notes)


def test_a_length_that_counts_something_else_cuts_nothing(tmp_path):
    rows = [row(tokens=[n, n + 1, n + 2, n + 3], completion_length=2) for n in range(10, 20)]
    assert read_log(tmp_path, rows).table["tokens"].to_list() == [r["tokens"] for r in rows]


def test_a_length_below_that_of_padded_ids(tmp_path):
    rows = [row(tokens=[n, 5, 2, 0, 0][: 3 + 2 * (n > 0)], completion_length=3) for n in range(4)]
    assert read_log(tmp_path, rows).table["tokens"].to_list() == [[n, 5, 2] for n in range(4)]


def padded(lists, pad):
    longest = max(map(len, lists))
    return [row(tokens=ids + [pad] * (longest - len(ids))) for ids in lists]


def test_padding_behind_an_end_token(tmp_path):
    lists = [[*range(20, 23 + 3 * n), 7] for n in range(6)]
    got = read_log(tmp_path, padded(lists, 0))
    assert got.table["tokens"].to_list() == lists
    assert "is cut off the end of 5 completions as padding. If it is none" in got.notes[-1]


def test_padding_that_is_the_end_token(tmp_path):
    lists = [[*range(20, 23 + 3 * n), 7] for n in range(6)]
    lists.append([*range(30, 30 + len(lists[-1]))])  # stopped by the limit: no end token
    got = read_log(tmp_path, padded(lists, 7))
    assert got.table["tokens"].to_list() == lists
    assert "as padding, but for one, which is the end token." in got.notes[-1]


def test_what_is_no_padding(tmp_path):
    # A mask tells; lists of all lengths are not filled up; an id that stands elsewhere too is none that fills.
    masked = [{**r, "mask": [1] * len(r["tokens"])} for r in padded([[3, 7], [3, 4, 5, 7], [4, 4, 2, 7], [1, 7]], 0)]
    free = [row(tokens=[n, *range(9, 9 + n), 0, 0]) for n in range(8)]
    loops = [row(tokens=[1, 0, n + 2, 0, 0]) for n in range(8)]
    for rows in (masked, free, loops):
        assert read_log(tmp_path, rows).table["tokens"].to_list() == [r["tokens"] for r in rows]


def test_a_canonical_table_stands_as_it_is(tmp_path):
    # A column that `convert` kept is no reason to cut what was cut already.
    table = read_log(tmp_path, [row(tokens=[5, 9, n, 4]) for n in range(4)]).table
    again = write(tmp_path / "again.jsonl", [{**r, "response_length": 2} for r in table.to_dicts()])
    assert collect(again).table["tokens"].to_list() == [[5, 9, n, 4] for n in range(4)]


def test_space_around_the_prompt_and_a_template_behind_it(tmp_path):
    rows = [
        {"prompt": f"{p}\n", "text": f"{p}<|im_start|>assistant\nSo {n}", "reward": n}
        for p in PROMPTS
        for n in range(4)
    ]
    got = read_log(tmp_path, rows)
    assert got.table["completion"].to_list() == [f"So {n}" for n in range(4)] * 2
    assert "the words of a template are cut off too, in 8 completions." in got.notes[-1]
    mine = [{**r, "text": f"{r['prompt']}Answer: {n}"} for n, r in enumerate(rows)]  # which the policy may have written
    assert read_log(tmp_path, mine).table["completion"].to_list() == [f"Answer: {n}" for n in range(8)]


@pytest.mark.parametrize("key", ["prompt", "group_id"])
def test_as_many_ids_in_front_as_the_prompt_has(tmp_path, key):
    rows = [
        {key: f"p{p}", "tokens": [p, 8, *[6] * (p == 5), 9, n, n + 1], "prompt_length": 3 + (p == 5), "reward": n % 2}
        for p in (4, 5) for n in range(20, 24)
    ]  # fmt: skip
    assert read_log(tmp_path, rows).table["tokens"].to_list() == [[n, n + 1] for n in range(20, 24)] * 2
    # Completions that begin alike, whatever the prompt is, do not hold it.
    alone = [{**r, "tokens": [7, 7, 8, 9, *r["tokens"][-2:]]} for r in rows]
    assert read_log(tmp_path, alone).table["tokens"].to_list() == [r["tokens"] for r in alone]


@pytest.mark.parametrize("pad", [0, 7])
def test_padding_in_front(tmp_path, pad):
    lists = [[*range(20, 23 + 3 * n), 7] for n in range(6)]
    longest = max(map(len, lists))
    got = read_log(tmp_path, [row(tokens=[pad] * (longest - len(ids)) + ids) for ids in lists])
    assert got.table["tokens"].to_list() == lists and "cut off the front of 5 completions as padding" in got.notes[-1]


def test_a_mask_of_floats(tmp_path):
    rows = [row(tokens=[n, 2, 3], mask=[1.0, 1.0, 0.0]) for n in range(4)]
    assert read_log(tmp_path, rows).table["mask"].to_list() == [[True, True, False]] * 4
    assert len(read_log(tmp_path, [*rows, row(mask=[0.5, 1.0])]).rejected) == 1


@pytest.mark.parametrize("unit", ["completion", "tokens"])
def test_completions_of_a_group_that_all_begin_alike_may_hold_the_prompt(tmp_path, unit):
    def read(front):
        texts = [(p, f"{front(p)} so {n} is it") for p in range(4) for n in range(4)]
        units = [(p, text if unit == "completion" else list(text.encode())) for p, text in texts]
        rows = [{"problem_id": p, unit: value, "reward": n % 2} for n, (p, value) in enumerate(units)]
        return " ".join(read_log(tmp_path, rows).notes)

    said = "In each group all completions begin alike, and otherwise than in other groups"
    assert said in read(lambda p: f"What is {p} and {p} together?")
    assert said not in read(lambda p: "Okay, so let me think about this.")
    assert said not in read(lambda p: f"So {p}.")
