"""Prompts from files and the hub: the same rows whatever the container, and errors that say where."""

import json
import sys
import types

import polars as pl
import pytest
from tokenizers import Tokenizer, processors
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

from grpo_prm.errors import InputError, UsageError
from grpo_prm.train.data import load_prompts

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
WORDS = {character: n for n, character in enumerate('^~ abcdefghijklmnopqrstuvwxyz0123456789[]+=?\n{}":,')}
ROWS = [{"prompt": "1+1=", "answer": 2, "level": 1}, {"prompt": "2+2=", "answer": 4, "level": 3}]


def tokenizer(template=None, start=True, single="^ $A ~"):
    """One token a character; `^` opens and `~` closes a text, as the tokenizers of some models have it."""
    inner = Tokenizer(WordLevel(WORDS, unk_token=" "))  # noqa: S106
    inner.pre_tokenizer = Split("", "isolated")
    if start:
        inner.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("^", 0), ("~", 1)])
    made = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="^", eos_token="~")  # noqa: S106
    made.chat_template = template
    return made


def spell(ids):
    return "".join(list(WORDS)[n] for n in ids)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["jsonl", "json", "csv", "parquet", "folder", "jsonl.gz"])
def file(request, tmp_path):
    """The same rows in every container."""
    path = tmp_path / f"data.{request.param}"
    if request.param == "json":
        path.write_text(json.dumps(ROWS))
    elif request.param == "csv":
        pl.DataFrame(ROWS).write_csv(path)
    elif request.param == "parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    elif request.param == "folder":
        path.mkdir()
        for n, row in enumerate(ROWS):
            write(path / f"part-{n}.jsonl", [row])
    elif request.param == "jsonl.gz":
        import gzip

        path.write_bytes(gzip.compress(write(tmp_path / "plain", ROWS).read_bytes()))
    else:
        write(path, ROWS)
    return path


def test_every_container_gives_the_same(file):
    got = load_prompts(file, tokenizer=tokenizer())
    assert [(row.text, row.answer, spell(row.ids)) for row in got] == [("1+1=", "2", "^1+1="), ("2+2=", "4", "^2+2=")]
    assert [str(row.row["level"]) for row in got] == ["1", "3"]
    assert [sorted(row.row) for row in got] == [["answer", "level", "prompt"]] * 2


def test_no_start_token_where_the_tokenizer_puts_none(tmp_path):
    path = write(tmp_path / "a.jsonl", ROWS)
    assert spell(load_prompts(path, tokenizer=tokenizer(start=False))[0].ids) == "1+1="
    assert spell(load_prompts(path, tokenizer=tokenizer(single="$A ~"))[0].ids) == "1+1="


def test_chat_template(tmp_path):
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    own = [{"role": "system", "content": "own"}, {"role": "user", "content": "d"}]
    rows = [{"prompt": "text"}, {"prompt": chat}, {"prompt": own}, {"prompt": json.dumps(own)}, {"prompt": chat[0]}]
    path = write(tmp_path / "a.jsonl", rows)
    plain = load_prompts(path, tokenizer=tokenizer(TEMPLATE))
    assert [row.text for row in plain] == [
        "[user]text[assistant]",
        "[user]a[assistant]b[user]c[assistant]",
        "[system]own[user]d[assistant]",
        "[system]own[user]d[assistant]",
        "[user]a[assistant]",
    ]
    assert all(spell(row.ids) == row.text for row in plain)  # the template writes the start token, or there is none
    told = load_prompts(path, system="sum", tokenizer=tokenizer(TEMPLATE))
    assert [row.text for row in told[:3]] == [
        "[system]sum[user]text[assistant]",
        "[system]sum[user]a[assistant]b[user]c[assistant]",
        "[system]sum[user]d[assistant]",
    ]


def test_nulls_of_parquet_are_no_part_of_a_message(tmp_path):
    chat = [{"role": "user", "content": "a", "name": None}, {"role": "user", "content": "b", "name": "x"}]
    pl.DataFrame({"prompt": [chat]}).write_parquet(tmp_path / "a.parquet")
    template = "{% for m in messages %}{{ m | length }}{% endfor %}"
    assert load_prompts(tmp_path / "a.parquet", tokenizer=tokenizer(template))[0].text == "23"


def test_a_system_message_before_text(tmp_path):
    path = write(tmp_path / "a.jsonl", ROWS)
    assert load_prompts(path, system="sum", tokenizer=tokenizer())[0].text == "sum\n\n1+1="


def test_dotted_columns_and_other_names(tmp_path):
    rows = [
        {"q": {"text": "a"}, "reward_model": {"ground_truth": ["x", 1]}},
        {"q": {"text": "b"}, "reward_model": {"ground_truth": 1.5}},
    ]
    path = write(tmp_path / "a.jsonl", rows)
    got = load_prompts(path, "q.text", "reward_model.ground_truth", tokenizer=tokenizer())
    assert [(row.text, row.answer) for row in got] == [("a", '["x", 1]'), ("b", "1.5")]


def test_data_without_answers(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"prompt": "a"}, {"prompt": "b"}])
    assert [row.answer for row in load_prompts(path, tokenizer=tokenizer())] == [None, None]


USER, ASSISTANT, TOOL = ({"role": role, "content": "a"} for role in ("user", "assistant", "tool"))
LATER = {"answer_column": "anwer"}


@pytest.mark.parametrize(
    ("rows", "more", "kind", "message"),
    [
        (
            [{"promt": "a"}],
            {},
            UsageError,
            r"--prompt-column: there is no column prompt; there are promt\. Did you mean",
        ),
        (ROWS, LATER, UsageError, r"--answer-column: there is no column anwer; .* Did you mean answer\?"),
        ([*ROWS, {"promt": "a", "answer": 1}], {}, InputError, r":3: the column prompt is missing\. It has promt"),
        ([*ROWS, {"prompt": "a", "answer": None}], {}, InputError, r":3: the column answer is null\. Fill it in"),
        ([*ROWS, {"prompt": "a"}], {}, InputError, r"a\.jsonl:3: the column answer is missing\. Fill it in"),
        ([*ROWS, 7], {}, InputError, r"a\.jsonl:3: not an object"),
        ([], {}, InputError, r"a\.jsonl: there are no rows"),
        ([{"prompt": [USER]}], {}, UsageError, r":1: the column prompt holds messages, and the tokenizer has no chat"),
        ([{"prompt": 7}], {"template": TEMPLATE}, InputError, r"a\.jsonl:1: .* neither text nor messages"),
        ([{"prompt": []}], {"template": TEMPLATE}, InputError, r"a\.jsonl:1: .* neither text nor messages"),
        ([{"prompt": [{"content": 1}]}], {"template": TEMPLATE}, InputError, r":1: .* neither text nor messages"),
        ([{"prompt": [USER, ASSISTANT]}], {"template": TEMPLATE}, InputError, r":1: .* ends with the assistant"),
        (
            [{"prompt": [TOOL]}],
            {"template": TEMPLATE},
            InputError,
            r":1: the chat template .* prompt: no tools\. Change",
        ),
        ([{"prompt": ""}], {"start": False}, InputError, r"a\.jsonl:1: the column prompt gives no tokens"),
    ],
)
def test_refusals(tmp_path, rows, more, kind, message):
    path = write(tmp_path / "a.jsonl", rows)
    made = tokenizer(more.get("template"), more.get("start", True))
    with pytest.raises(kind, match=message):
        load_prompts(path, answer_column=more.get("answer_column", "answer"), tokenizer=made)


def test_a_torn_line_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": ')
    with pytest.raises(InputError, match=r"a\.jsonl:3: not JSON"):
        load_prompts(path, tokenizer=tokenizer())


def test_rows_of_parquet_are_named(tmp_path):
    pl.DataFrame({"prompt": ["a", None]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: row 2: the column prompt is null"):
        load_prompts(tmp_path / "a.parquet", tokenizer=tokenizer())
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"b\.parquet: not a parquet file that can be read"):
        load_prompts(tmp_path / "b.parquet", tokenizer=tokenizer())


def test_hub(monkeypatch):
    asked = []

    def load_dataset(*of, **more):
        asked.append((of, more))
        if of[0] == "no/such":
            raise ValueError("no such set\nand a long story")
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    got = load_prompts("openai/gsm8k:main", tokenizer=tokenizer(), split="test")
    assert [(row.text, row.answer) for row in got] == [("1+1=", "2"), ("2+2=", "4")]
    load_prompts("some-set", tokenizer=tokenizer())
    assert asked == [(("openai/gsm8k", "main"), {"split": "test"}), (("some-set", None), {"split": "train"})]
    with pytest.raises(InputError, match=r"no/such: .* does not give its split train: no such set\. A configuration"):
        load_prompts("no/such", tokenizer=tokenizer())


def test_hub_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match="pip install datasets"):
        load_prompts("openai/gsm8k", tokenizer=tokenizer())


@pytest.mark.parametrize("name", ["absent.jsonl", "./absent", "/absent/data", "absent.jsonl.gz"])
def test_a_path_is_not_looked_for_on_the_hub(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=pytest.fail))
    with pytest.raises(InputError, match="no such file"):
        load_prompts(name, tokenizer=tokenizer())
