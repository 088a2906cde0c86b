"""Trees in blocks, and blocks in pages: read back whole, in order, within the room."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpo_prm.report import packing
from grpo_prm.report.commands import tree_of_log
from grpo_prm.report.packing import Block, blocks, parts, within

trees = st.lists(
    st.builds(
        lambda texts: {"kinds": ["best"], "texts": texts}, st.lists(st.none() | st.text(max_size=50), max_size=5)
    ),
    max_size=8,
).map(lambda many: [{"group": n, **one} for n, one in enumerate(many)])


def unpacked(block):
    return json.loads(zlib.decompress(base64.b64decode(block.text)))


def opened(packed):
    return [tree for block in packed for tree in unpacked(block)]


@given(trees, st.integers(1, 400))
@example([{"group": 0, "kinds": [], "texts": ["</script>\u2028\x00"]}], 1)
def test_trees_come_out_of_their_blocks_as_they_went_in(made, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK", size)
        found = list(blocks(made))
    assert [tree for block in found for tree in unpacked(block)] == made
    for block in found:
        assert [head["group"] for head in block.heads] == [tree["group"] for tree in unpacked(block)]
        raw = [len(json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()) for tree in unpacked(block)]
        assert sum(raw[:-1]) < size and (block is found[-1] or sum(raw) >= size)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 12), st.integers(1, 12))
def test_a_page_takes_what_it_has_room_for_and_one_block_at_least(sizes, first, others):
    made = [Block("x" * size, [], 0) for size in sizes]
    found = list(parts(made, first, others))
    assert [block for part in found for block in part] == made
    rooms = [first, *[others] * len(found)]
    for part, room, after in zip(found, rooms, [*found[1:], []], strict=False):
        size = sum(len(block.text) for block in part)
        assert part and (size <= room or len(part) == 1 or size - len(part[-1].text) <= room)
        assert len(part) == 1 or size <= room
        assert not after or size + len(after[0].text) > room or size > room


def test_long_texts_are_cut_until_all_have_room():
    rng = np.random.default_rng(0)  # letters that cannot be packed well
    long = ["".join(map(chr, rng.integers(97, 123, 20_000))) for _ in range(4)]
    made = [{"group": n, "kinds": [], "texts": [text, "short", None]} for n, text in enumerate(long)]
    assert opened(within(made, 10**6)) == made
    fitting = within(made, 30_000)
    assert 27_000 < sum(block.size for block in fitting) <= 30_000
    assert [tree["texts"][1:] for tree in opened(fitting)] == [["short", None]] * 4
    assert sum(block.cut for block in fitting) == 4


LETTERS = "".join(map(chr, np.random.default_rng(0).integers(97, 123, 60_000)))


@pytest.mark.parametrize("budget", [3_000, 10_000, 20_000, 40_000])
@pytest.mark.parametrize(
    ("texts", "steps", "most"),
    [
        ([LETTERS], 0, 3),
        ([LETTERS[:9000], LETTERS[9000:30_000], LETTERS[:200]], 0, 3),
        ([LETTERS, "far " * 100_000], 0, 8),  # of which the longer one takes hardly any room
        (["one " * 40_000 + LETTERS[:20_000]], 0, 5),
        ([LETTERS[:30_000], "short"], 300, 4),  # numbers of steps, of which nothing can be cut
    ],
)
def test_trees_are_packed_a_few_times_until_they_fit(texts, steps, most, budget, monkeypatch):
    trees = [{"group": 0, "kinds": [], "texts": texts, "steps": list(range(10**6, 10**6 + steps))}]
    packed, pack = [], packing.blocks
    monkeypatch.setattr(packing, "blocks", lambda trees: packed.append(0) or pack(trees))
    found = within(trees, budget)
    assert sum(block.size for block in found) <= budget and len(packed) <= most
    (tree,) = opened(found)
    assert {**tree, "texts": 0} == {**trees[0], "texts": 0}
    heads = [text if isinstance(text, str) else text[0] for text in tree["texts"]]
    assert all(text.startswith(head) for text, head in zip(texts, heads, strict=True))


def test_the_command_for_any_group_of_the_log_can_be_pasted(folder_with):
    assert tree_of_log(folder_with(files=["a b.jsonl", "c'd.jsonl"])) == (
        "grpo-prm tree 'a b.jsonl' 'c'\"'\"'d.jsonl' --group"
    )
    told = {"format": "verl", "reward": "0.5*acc", "columns": {"reward": "s c"}, "drop_uneven": True, "group_size": 8}
    assert tree_of_log(folder_with(files=["a"], **told)) == (
        "grpo-prm tree a --format verl --reward '0.5*acc' --group-size 8 --columns 'reward=s c' --drop-uneven --group"
    )
    for files in ([], ["-"], list("abcdefghi")):
        assert tree_of_log(folder_with(files=files)) is None


@pytest.fixture
def folder_with():
    """An analysis, as far as commands look at it."""
    from pathlib import Path
    from types import SimpleNamespace

    def made(files, **options):
        source = {"files": files, "runs": ["r"], "options": options}
        return SimpleNamespace(path=Path("out.prm"), summary={"source": source})

    return made
