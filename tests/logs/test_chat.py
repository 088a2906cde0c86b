"""Chat to text: the same text for the same conversation, and the mask of what the policy wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.logs.rows.chat import parts, text

CALL = {"name": "search", "arguments": {"q": "tree", "n": 3}}
SAID = 'search {"n": 3, "q": "tree"}'
CHAT = [
    {"role": "assistant", "reasoning_content": "Hm.", "content": "Let me look.", "tool_calls": [CALL]},
    {"role": "tool", "content": "a tree", "tool_call_id": "call-81f"},
    {"role": "assistant", "content": "It is a tree."},
]


def test_a_chat_is_its_messages_in_order_and_only_the_policys_words_are_in_the_loss():
    assert parts(CHAT) == [
        ("<assistant>\n", False),
        (f"Hm.\nLet me look.\n{SAID}", True),
        ("\n<tool>\n", False),
        ("a tree", False),
        ("\n<assistant>\n", False),
        ("It is a tree.", True),
    ]
    assert text(CHAT) == f"<assistant>\nHm.\nLet me look.\n{SAID}\n<tool>\na tree\n<assistant>\nIt is a tree."


@pytest.mark.parametrize(
    "calls",
    [
        [CALL],
        [{"arguments": CALL["arguments"], "name": "search", "id": "call-1", "timestamp": 17}],
        [{"name": "search", "arguments": '{"n": 3, "q": "tree"}'}],
        [{"id": "x", "type": "function", "function": CALL}],
        [
            {
                "id": "y",
                "type": "function",
                "function": {"name": "search", "arguments": '{"q":"tree","n":3}'},
                "index": None,
            }
        ],
        [{"type": "function", "function": "search", "arguments": CALL["arguments"]}],
        [json.dumps({**CALL, "id": "chatcmpl-tool-1"})],
        json.dumps([CALL]),
        CALL,
        [{"name": "search", "arguments": {"q": "tree", "n": 3, "page": None, "lang": "None"}}],
    ],
)
def test_a_tool_call_reads_the_same_however_it_was_logged(calls):
    assert text([{"role": "assistant", "content": None, "tool_calls": calls}]) == f"<assistant>\n{SAID}"


def test_what_a_call_is_about_stays_even_if_it_is_called_id():
    call = {"id": "call-1", "name": "get", "arguments": {"id": 7, "at": {"to": None, "from": [None, 2]}, "who": "é"}}
    wanted = 'get {"at": {"from": [null, 2]}, "id": 7, "who": "é"}'
    assert text([{"role": "assistant", "tool_calls": [call]}]) == f"<assistant>\n{wanted}"


@pytest.mark.parametrize(
    ("arguments", "wanted"), [("not json", "f not json"), (None, "f"), ("{}", "f {}"), ([1], "f [1]"), ("3", "f 3")]
)
def test_odd_arguments_are_kept_as_they_are(arguments, wanted):
    assert (
        text([{"role": "assistant", "tool_calls": [{"name": "f", "arguments": arguments}]}]) == f"<assistant>\n{wanted}"
    )


@pytest.mark.parametrize("nothing", [None, "None", "", []])
def test_nulls_and_their_spelling_are_left_out(nothing):
    message = {"role": "assistant", "reasoning_content": nothing, "content": nothing, "tool_calls": nothing}
    assert parts([message]) == [("<assistant>\n", False)]
    assert text([{"role": "assistant", "reasoning_content": nothing, "content": "x"}]) == "<assistant>\nx"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}], "ab"),
        (["a", "b"], "ab"),
        ({"type": "text", "text": "ab"}, "ab"),
        ([{"type": "image", "text": None}], ""),
    ],
)
def test_of_a_content_in_parts_the_text_is_kept(content, wanted):
    assert text([{"role": "user", "content": content}]) == f"<user>\n{wanted}"


@pytest.mark.parametrize("spell", [lambda c: c, json.dumps, lambda c: "\n " + json.dumps(c, indent=1)])
def test_a_chat_may_be_json(spell):
    assert parts(spell(CHAT)) == parts(CHAT)
    assert parts(spell(CHAT[2])) == parts([CHAT[2]])


@pytest.mark.parametrize(
    "plain", ["", "[1, 2]", "[]", "{", '[{"a": 1}]', '["role"]', '[{"role": ', '{"x": "role"}', "None"]
)
def test_plain_text_stays_text(plain):
    assert parts(plain) == [(plain, True)]


@pytest.mark.parametrize("bad", [None, 3, [1], [{"content": "x"}], [{"role": None}], [{"role": "a", "content": 3}]])
def test_what_is_no_chat_is_refused(bad):
    with pytest.raises(ValueError, match=r"role|expected text|not text"):
        parts(bad)


MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"])}, optional={"content": st.text()}),
    min_size=1,
)


@given(MESSAGES)
def test_parts_join_to_the_text_and_only_assistants_are_in_the_loss(messages):
    done = parts(messages)
    assert "".join(piece for piece, _ in done) == text(messages)
    said = [m["content"] for m in messages if m["role"] == "assistant" and m.get("content", "None") not in ("", "None")]
    assert [piece for piece, kept in done if kept] == said
    assert parts(json.dumps(messages)) == done
