"""Units: pieces against the library's own pre-tokeniser, tokens against its tokenizer, masks character by character."""

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from logs.log_files import write
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import grpo_prm
from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.stream import HAS_TOKENS
from grpo_prm.logs.tokenize import Pieces, free_numbers, load, units

PRE = pre_tokenizers.ByteLevel(add_prefix_space=False)
SPACES = "\t\n\x0b\x0c\r\x1c\x1f \x85\xa0\u1680\u180e\u2003\u2028\u200b\u3000\ufeff\x00"
HARD = st.text(st.sampled_from(SPACES + "ab1.'s\u0301é京😀ß-") | st.characters(codec="utf-8"), max_size=30)


def strings(texts):
    return pl.Series(texts, dtype=pl.String)


def pieces_of(text):
    return [piece for piece, _ in PRE.pre_tokenize_str(text)]


def same_partition(ids, names):
    """Equal ids exactly where the names are equal."""
    return len(set(zip(ids, names, strict=True))) == len(set(ids)) == len(set(names))


@given(st.lists(st.lists(HARD, max_size=5), max_size=3))
@example(
    [
        ["a\xa0  b", "a  \xa0b", "  ", "", "don't  stop\n\n  x"],
        [],
        ["😀 😀\u200d😀", "\x00\x01 \x02", "\u3000a\u3000\u3000 a"],
    ]
)
def test_pieces_are_those_of_the_library_and_ids_mean_the_same_in_every_batch(batches):
    encoder, ids, names = load(None), [], []
    for batch in batches:
        done = units(encoder, strings(batch))
        assert done.tokens.dtype == pl.List(pl.Int32) and done.mask is None and done.tokens_from == "pieces"
        assert done.tokens.list.len().to_list() == [len(pieces_of(text)) for text in batch]
        ids += [i for row in done.tokens for i in row]
        names += [piece for text in batch for piece in pieces_of(text)]
    assert same_partition(ids, names)


def test_the_number_of_a_piece_depends_on_nothing_else():
    texts = strings(["one two three", "two four", "", "three one"])
    first, second = Pieces(), Pieces()
    forward, backward = first.encode(texts).ids, second.encode(texts.reverse()).ids
    assert first.ids == second.ids and sorted(forward.tolist()) == sorted(backward.tolist())
    assert first.ids.keys() == {"one", "Ġtwo", "Ġthree", "two", "Ġfour", "three", "Ġone"}
    other = {int(h): int(n) ^ 1 for h, n in zip(first.hashes, first.numbers, strict=True)}
    assert Pieces(other).encode(texts).ids.tolist() == [n ^ 1 for n in forward.tolist()]


def test_no_two_pieces_have_one_number():
    same = [5 << 33, (5 << 33) + 1, (5 << 33) + 2, 6 << 33]
    taken = set()
    numbers = free_numbers(same, taken, {})
    assert numbers[0] == 5 and numbers[3] == 6 and len(set(numbers)) == 4 == len(taken)
    assert all(0 <= number < 2**31 for number in numbers)
    assert free_numbers(same[::-1], set(), dict(zip(same, numbers, strict=True))) == numbers[::-1]


@pytest.mark.parametrize(
    "code", [*range(0x20), *range(0x7F, 0xA1), *range(0x2000, 0x2070), 0x1680, 0x180E, 0x3000, 0xFEFF]
)
def test_no_odd_character_moves_a_border(code):
    odd = chr(code)
    texts = [
        odd,
        f"a{odd}b",
        f"a{odd} b",
        f"a {odd}b",
        f"a{odd}  b",
        f"a  {odd}",
        f"1{odd}\n\nb",
        f"{odd}{odd} ",
        f"é{odd}\tx",
    ]
    encoder = load(None)
    names = {i: piece for piece, i in encoder.ids.items()}
    tokens = units(encoder, strings(texts)).tokens.to_list()
    names = {i: piece for piece, i in encoder.ids.items()}
    assert [[names[i] for i in row] for row in tokens] == [pieces_of(text) for text in texts]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A byte-level BPE that cuts characters in two and, as many do, comes with truncation and padding switched on."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE
    trainer = trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=PRE.alphabet(), special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(["the answer is the answer 12 + 12"] * 3, trainer)
    plain = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=50)
    folder = tmp_path_factory.mktemp("model")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder, plain


TEXTS = ["the answer is 12<end>", "", "京 é the", "a longer text than the truncation of that file"]


@pytest.mark.parametrize("name", ["", "tokenizer.json"])
def test_tokens_are_those_of_the_file_or_folder_whole_and_unpadded(saved, name):
    folder, plain = saved
    done = units(load(str(folder / name)), strings(TEXTS))
    assert done.tokens.to_list() == [plain.encode(text).ids for text in TEXTS]
    assert done.tokens[0][-1] == plain.token_to_id("<end>") and done.tokens_from == "tokenizer" and done.mask is None


# A completion is either plain (None) or segments, out of the loss and in it by turns.
PARTS = st.lists(st.tuples(HARD, st.none() | st.lists(HARD, max_size=4)), max_size=3)


def case(rows):
    """Texts, the column of the lengths of their segments, and whether each character is in the loss."""
    texts = [plain if segments is None else "".join(segments) for plain, segments in rows]
    lengths = [None if segments is None else [len(part) for part in segments] for _, segments in rows]
    flags = [
        [True] * len(t) if n is None else [i % 2 == 1 for i, m in enumerate(n) for _ in range(m)]
        for t, n in zip(texts, lengths, strict=True)
    ]
    return strings(texts), pl.Series(lengths, dtype=pl.List(pl.Int32)), flags


def check(done, spans, flags):
    expected = [[all(row[a:b]) for a, b in spans] for spans, row in zip(spans, flags, strict=True)]
    if all(map(all, flags)):
        assert done.mask is None
    else:
        assert done.mask.dtype == pl.List(pl.Boolean) and done.mask.to_list() == expected


@given(PARTS)
@example([("", ["user\n", "\n  hi"]), ("é plain", None), ("", [])])
@example([("", ["", "all kept"]), ("", ["", "京 😀", "é \xa0ü", "é é"])])
@example([("", ["x", "".join(map(chr, range(0x80, 0x140)))])])
def test_a_piece_is_in_the_loss_if_all_its_characters_are(rows):
    texts, segments, flags = case(rows)
    done = units(load(None), texts, segments)
    check(done, [[span for _, span in PRE.pre_tokenize_str(text)] for text in texts], flags)
    assert done.tokens.to_list() == units(load(None), texts).tokens.to_list()


def test_masks_of_a_later_batch_know_the_pieces_of_the_earlier_ones():
    encoder = load(None)
    for text in ("one three, five", "extraordinary a one b"):
        texts, segments, flags = case([("", [text[:cut], text[cut:]]) for cut in range(len(text))])
        check(units(encoder, texts, segments), [[span for _, span in PRE.pre_tokenize_str(t)] for t in texts], flags)


@given(PARTS)
@example([("", ["京", "é the"]), ("", [])])
def test_a_token_is_in_the_loss_if_all_its_characters_are(saved, rows):
    texts, segments, flags = case(rows)
    done = units(load(str(saved[0])), texts, segments)
    check(done, [saved[1].encode(text).offsets for text in texts], flags)
    assert done.tokens.to_list() == [saved[1].encode(text).ids for text in texts]


def test_a_tokenizer_that_is_none_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    for name, why in [
        (tmp_path / "tokenizer.json", "is not a tokenizer.json of the `tokenizers` library"),
        (tmp_path / "other.json", "There is no tokenizer"),
        (tmp_path.parent, "holds no tokenizer.json"),
    ]:
        with pytest.raises(UsageError, match="Give ") as caught:
            load(str(name))
        assert str(name) in str(caught.value) and why in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch):
    def offline(name):
        raise Exception("No connection to the hub.\nmore")

    monkeypatch.setattr("grpo_prm.logs.tokenize.ask", lambda name, remedy: None)  # the hub answered, and then no more
    monkeypatch.setattr("grpo_prm.logs.tokenize.Tokenizer.from_pretrained", offline)
    with pytest.raises(
        UsageError, match=r"No tokenizer owner/name: .*\(No connection to the hub\)\. Give a tokenizer.json"
    ):
        load("owner/name")


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_tokenizer_beside_tokens_is_not_ignored_without_a_word(saved, tmp_path, with_ids):
    folder, plain = saved
    units_of = {"tokens": [7, 8]} if with_ids else {"completion": "the answer"}
    rows = [{"run": run, "group": "a", "reward": float(n), **units_of} for run in "ab" for n in range(2)]
    path = write(tmp_path / "log.jsonl", rows)
    log = collect(path, ReadOptions(tokenizer=str(folder)))
    assert log.table["tokens"][0].to_list() == ([7, 8] if with_ids else plain.encode("the answer").ids)
    assert list(log.notes).count(HAS_TOKENS) == with_ids
    assert grpo_prm.inspect(path, ReadOptions(tokenizer=str(folder))).notes.count(HAS_TOKENS) == with_ids
    assert HAS_TOKENS not in collect(path, ReadOptions()).notes
