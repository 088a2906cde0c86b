"""Rows of text for a reward model: tool output has no label of its own, and what a reader may not want is counted."""

import json

import pytest
from export.oracle_solutions import solutions_of
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm.analysis.tool_output import tool_output_in
from grpo_prm.errors import InputError, UsageError
from grpo_prm.export import ExportOptions, export
from grpo_prm.export.others_words import holds_words_of_others, of_tools_alone
from grpo_prm.export.sentences import sentences

WORDS = ("one ", "two ", "three\n", "<tool_response>", "</tool_response>", "42 ", "is ")
FORMATS = ("stepwise", "math-shepherd", "prm800k")


def log_of(folder, groups, prompts=True):
    """A log of ids; the id of a token is the place of its word in `WORDS`."""
    rows = [
        {
            "step": 0, "uid": f"g{g}", "sample": n, "tokens": ids, "reward": reward,
            "completion": "".join(WORDS[n] for n in ids), **({"prompt": f"ask {g}"} if prompts or g % 2 else {}),
        }
        for g, group in enumerate(groups)
        for n, (ids, reward) in enumerate(group)
    ]  # fmt: skip
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def exported(log, to="stepwise", **options):
    out = log.parent / f"out.{to}.jsonl"
    done = export(log, out, to, ExportOptions(**options))
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()], done["counts"]


# All ask, and the tool says 42 or what is not 42; half of each go on in the tool's words, which is no step of theirs.
ASKED = [
    ([0, 3, 5, 1, 4, 6], 1.0), ([0, 3, 5, 1, 4, 6], 1.0), ([0, 3, 5, 2, 4, 6], 1.0), ([0, 3, 5, 2, 4, 6], 0.0),
    ([0, 3, 6, 1, 4, 0], 0.0), ([0, 3, 6, 1, 4, 0], 0.0), ([0, 3, 6, 2, 4, 0], 1.0), ([0, 3, 6, 2, 4, 0], 0.0),
]  # fmt: skip


def test_a_step_of_tool_output_alone_has_no_label_of_its_own(tmp_path):
    """`42 ` and `is ` behind the mark are shared by four each: R = 3/4 and 1/4, but nobody of the policy chose them."""
    made, counts = exported(log_of(tmp_path, [ASKED]))
    assert [(row["completions"], row["labels"]) for row in made] == [
        (["one <tool_response>42 two </tool_response>is "], [True]),
        (["one <tool_response>is two </tool_response>one "], [False]),
    ]
    # R of `three` is 1/2 on both sides, as the group's: without a sign these rows have the tool's label alone.
    assert counts["steps_of_tools"] == 8 and counts["completions_without_label"] == 4 and counts["rows_repeated"] == 2
    assert counts["rows_with_others"] == counts["rows"] == 2 and counts["tool_output_unmasked"] == 8
    assert counts["steps_labelled"] == 12 and counts["steps_written"] == 2


def test_the_options_leave_out_what_is_said(tmp_path):
    plain = [([0, 1, 2], 1.0), ([0, 1, 6], 1.0), ([0, 2, 6], 0.0), ([0, 2, 1], 0.0)]
    log = log_of(tmp_path, [ASKED, 2 * plain], False)
    _, counts = exported(log)
    said = " ".join(sentences({"counts": counts, "notes": []}, "out"))
    assert "8 completions hold words of a tool, or of another turn, that the log does not mask" in said
    assert "8 labels are not in the file: the step is tool output alone." in said
    assert "2 rows hold tool output, or turns of others, before a label: --exclude-tool-output" in said
    assert "2 rows have an empty prompt, as the log has none" in said and "--exclude-missing-prompts" in said
    assert "10 labels are of a step of fewer than 5 words: --min-words 5" in said
    made, counts = exported(log, exclude_tool_output=True)
    assert [row["prompt"] for row in made] == ["ask 1"] * 4 and counts["rows_others_excluded"] == 2
    assert not counts["rows_with_others"] and not counts["rows_without_prompt"]
    made, counts = exported(log, exclude_missing_prompts=True)
    assert [row["completions"] for row in made] == [
        ["one two ", "three\n"], ["one two ", "is "], ["one three\n", "is "], ["one three\n", "two "],
    ]  # fmt: skip
    assert counts["rows_prompt_excluded"] == 2
    assert "2 rows were left out: the log has no prompt" in " ".join(sentences({"counts": counts, "notes": []}, "o"))


def test_a_short_step_is_put_to_the_next(tmp_path):
    """Rewards part at `two` and again at `is`; of two words the first label goes, of three the row."""
    ids = [([0, 1, 6], 1.0), ([0, 1, 6], 1.0), ([0, 1, 2], 0.0), ([0, 1, 2], 1.0), ([0, 2], 0.0), ([0, 2], 0.0)]
    log = log_of(tmp_path, [ids])
    both = {"completions": ["one two ", "is "], "labels": [True, True]}
    assert both.items() <= exported(log)[0][0].items()
    made, counts = exported(log, min_words=3)
    assert [(row["completions"], row["labels"]) for row in made] == [(["one two is "], [True])]
    assert counts["steps_few_words"] == 6 and counts["completions_without_label"] == 4
    assert counts["steps_short"] == 1
    with pytest.raises(InputError, match=r"No row is left: 8 labels are of steps with fewer words than --min-words\."):
        exported(log, min_words=4)


def test_they_are_for_formats_of_solutions(tmp_path):
    for option, given_ in (("min_words", 2), ("exclude_tool_output", True), ("exclude_missing_prompts", True)):
        with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} is for rows that are solutions"):
            exported(log_of(tmp_path, [ASKED]), "spans", **{option: given_})
    with pytest.raises(UsageError, match="--min-words must be 0 or more"):
        exported(log_of(tmp_path, [ASKED]), min_words=-1)


completions = st.lists(
    st.tuples(st.lists(st.integers(0, len(WORDS) - 1), min_size=1, max_size=8), st.sampled_from([0.0, 1.0])),
    min_size=3, max_size=9,
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    st.lists(completions, min_size=1, max_size=3),
    st.integers(0, 4), st.booleans(), st.booleans(), st.sampled_from([1, 2]), st.sampled_from(FORMATS),
)  # fmt: skip
def test_rows_are_those_of_a_walk_over_characters(tmp_path_factory, groups, words, tools, prompts, least, to):
    log = log_of(tmp_path_factory.mktemp("log"), groups, prompts=False)
    whole, place = {}, {}
    for row in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        place[row["uid"]] = place.get(row["uid"], -1) + 1
        whole[row["uid"], place[row["uid"]]] = row["completion"]
    asked = {"min_words": words, "exclude_tool_output": tools, "exclude_missing_prompts": prompts}
    labels = {"labels": "threshold", "threshold": 0.5, "min_members": least}
    try:
        spans, _ = exported(log, "spans", **labels)
    except InputError:
        spans = []
    wanted, gone = solutions_of(spans, whole, **asked)
    if not wanted:
        with pytest.raises(InputError, match="No row is left" if spans else "No step gets a label"):
            exported(log, to, **labels, **asked)
        return
    made, counts = exported(log, to, **labels, **asked)
    assert [row_of(to, row) for row in made] == [(p, list(t), [v > 0 for v in ls]) for p, t, ls in wanted]
    assert (counts["steps_of_tools"], counts["steps_few_words"]) == (gone["tools"], gone["words"])
    gone_or_written = ("joined", "of_tools", "few_words", "repeated", "excluded", "written")
    assert counts["steps_labelled"] == sum(counts[f"steps_{name}"] for name in gone_or_written)
    assert counts["steps_short"] == sum(len(text.split()) < 5 for _, texts, _ in wanted for text in texts)
    assert counts["rows_with_others"] == sum("<tool_response>" in "".join(texts) for _, texts, _ in wanted)
    assert counts["rows_without_prompt"] == sum(not prompt for prompt, *_ in wanted)


def row_of(to, row):
    """(prompt, texts, labels) of a row of any of the formats."""
    if to == "stepwise":
        return row["prompt"], row["completions"], row["labels"]
    if to == "prm800k":
        steps = [step["completions"][0] for step in row["label"]["steps"]]
        return row["question"]["problem"], [s["text"] for s in steps], [s["rating"] > 0 for s in steps]
    prompt = f"ask {row['input'][4]}" if row["input"].startswith("ask ") else ""
    parts = row["label"].removeprefix(f"{prompt}\n" if prompt else "")
    texts, labels = [], []
    while parts:
        at = min(n for n in (parts.find(" +\n"), parts.find(" -\n"), len(parts) - 2) if n >= 0)
        texts, labels, parts = [*texts, parts[:at]], [*labels, parts[at + 1] == "+"], parts[at + 3 :]
    return prompt, texts, labels


@pytest.mark.parametrize(
    ("text", "masked", "wanted"),
    [
        ("so <tool_response>", False, True),
        ("<assistant>\nso\n<tool>\n42", True, True),
        ("<assistant>\nso\n<tool>\n42", False, True),  # a chat, as `logs` writes one down
        ("<Environment>\nso\n<assistant>\n42", False, True),
        ("so\n<tool>\n42", True, True),
        ("so\n<tool>\n42", False, False),
        ("<assistant>\nso", True, False),
        ("<assistant>\nI write <tool> here", True, False),
    ],
)
def test_words_of_others_are_known_by_marks_and_in_chats_by_role(text, masked, wanted):
    assert holds_words_of_others(text, masked=masked) is wanted


def test_a_mark_without_its_end_is_no_stretch():
    text = "a <tool_response> b </tool_response> c <tool_response> d"
    spans = [(0, 2), (2, 17), (17, 20), (20, 36), (36, 39), (36, 37), (39, len(text))]
    assert of_tools_alone(text, spans) == [False, True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("before", "tools", "behind"),
    [
        ("ask()\n", "user\n<tool_response>\n4\n</tool_response>\nassistant\n", "It is"),
        ("ask()", "<|im_end|>\n<|im_start|>tool\n4<|im_end|>\n<|im_start|>assistant\n", "It is"),
        ("ask()", "<|im_end|>\n<|im_start|>user\n<tool_result>4</tool_result><|im_end|>\n<|im_start|>assistant", ""),
        ("the user\n", "<tool_response>4</tool_response>", " assistants"),
        ("", "<tool_response>4</tool_response>\n<tool_result>5</tool_result>", "x"),
        ("a ", "```output\n4\n```", " b"),
        ("a <tool_response> b", "", ""),
    ],
)
def test_words_of_the_template_around_tool_output_are_of_it(before, tools, behind):
    found = tool_output_in(before + tools + behind)
    assert found == ([(len(before), len(before) + len(tools))] if tools else [])
