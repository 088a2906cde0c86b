"""Chat to text: the same text for the same conversation, and the mask of what the policy wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.logs.rows.chat import messages_of, segments
from grpo_prm.logs.rows.values import Bad, completion_of


def segments_of(value):
    return segments(messages_of(value))


def text(value):
    return completion_of(value)[0]


CALL = {"name": "search", "arguments": {"q": "tree", "n": 3}}
CALL_TEXT = 'search {"n": 3, "q": "tree"}'
CHAT = [
    {"role": "assistant", "reasoning_content": "Hm.", "content": "Let me see.", "tool_calls": [CALL]},
    {"role": "tool", "content": "a tree", "tool_call_id": "call-81f"},
    {"role": "assistant", "content": "It is a tree."},
]


def test_a_chat_is_its_messages_in_order_and_only_the_policys_words_are_in_the_loss():
    assert segments_of(CHAT) == [
        ("<assistant>\n", False),
        (f"Hm.\nLet me see.\n{CALL_TEXT}", True),
        ("\n<tool>\n", False),
        ("a tree", False),
        ("\n<assistant>\n", False),
        ("It is a tree.", True),
    ]
    assert text(CHAT) == f"<assistant>\nHm.\nLet me see.\n{CALL_TEXT}\n<tool>\na tree\n<assistant>\nIt is a tree."


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
    assert text([{"role": "assistant", "content": None, "tool_calls": calls}]) == f"<assistant>\n{CALL_TEXT}"


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
    assert segments_of([message]) == [("<assistant>\n", False)]
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
    assert segments_of(spell(CHAT)) == segments_of(CHAT)
    assert segments_of(spell(CHAT[2])) == segments_of([CHAT[2]])


@pytest.mark.parametrize(
    "plain", ["", "[1, 2]", "[]", "{", '[{"a": 1}]', '["role"]', '[{"role": ', '{"x": "role"}', "None"]
)
def test_plain_text_stays_text(plain):
    assert messages_of(plain) is None and text(plain) == plain and completion_of(plain)[1] is None


@pytest.mark.parametrize("bad", [None, 3, [1], [{"content": "x"}], [{"role": None}], [{"role": "a", "content": 3}]])
def test_what_is_no_chat_is_refused(bad):
    with pytest.raises(Bad, match=r"role|expected text|not text"):
        completion_of(bad)


MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"])}, optional={"content": st.text()}),
    min_size=1,
)


@given(MESSAGES)
def test_segments_join_to_the_text_and_only_assistants_are_in_the_loss(messages):
    cut = segments_of(messages)
    whole, lengths = completion_of(messages)
    assert "".join(piece for piece, _ in cut) == whole
    assert (
        lengths is not None
        and sum(lengths) == len(whole)
        and sum(lengths[1::2]) == sum(len(p) for p, in_loss in cut if in_loss)
    )
    own = [m["content"] for m in messages if m["role"] == "assistant" and m.get("content", "None") not in ("", "None")]
    assert [piece for piece, in_loss in cut if in_loss] == own
    assert segments_of(json.dumps(messages)) == cut
