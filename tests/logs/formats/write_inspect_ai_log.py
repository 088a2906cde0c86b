"""Writes `inspect_ai.eval` with inspect_ai 0.3.285 itself, its samples packed with zstd: python THIS_FILE FOLDER.

Two samples of three epochs, one with an example in its input and a call of a tool; the model is inspect_ai's mock.
"""

import sys

import tiktoken
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import tool


class Words:
    """Counts words, as the tables of tiktoken are not at hand."""

    def encode(self, text, **_):
        return text.split()


@tool
def add():
    async def execute(x: int, y: int):
        """Add two numbers.

        Args:
            x: The first.
            y: The second.
        """
        return str(x + y)

    return execute


def outputs():
    yield ModelOutput.from_content("mockllm/model", "it is 1")
    yield ModelOutput.for_tool_call("mockllm/model", "add", {"y": 2, "x": 1})
    yield ModelOutput.from_content("mockllm/model", "it is 2", stop_reason="max_tokens")
    while True:
        yield ModelOutput.from_content("mockllm/model", "it is 3")


tiktoken.get_encoding = tiktoken.encoding_for_model = lambda _: Words()
chat = [ChatMessageUser(content="ex"), ChatMessageAssistant(content="EXAMPLE"), ChatMessageUser(content="q2")]
samples = [Sample(id="a", input="q1", target="1"), Sample(id="b", input=chat, target="3")]
solver = [system_message("be brief"), use_tools(add()), generate()]
task = Task(name="sums", dataset=samples, solver=solver, scorer=match(), epochs=3)
model = get_model("mockllm/model", custom_outputs=outputs())
eval(task, model=model, log_dir=sys.argv[1], log_format="eval", display="none", max_samples=1)
