"""OpenRLHF imported without its packages for CUDA: what it takes from vllm and flash-attn by name is nothing here."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

ABSENT = {
    "vllm": {"SamplingParams": object},
    "vllm.inputs": {"TokensPrompt": dict},
    "vllm.utils": {"random_uuid": None},
    "flash_attn": {},
    "flash_attn.bert_padding": dict.fromkeys(("index_first_axis", "pad_input", "rearrange", "unpad_input")),
    "flash_attn.utils": {},
    "flash_attn.utils.distributed": {"all_gather": None},
}


if find_spec("openrlhf"):
    for name in [name for name in ABSENT if find_spec(name.partition(".")[0]) is None]:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(ABSENT[name], __version__="0")
        sys.modules[name] = module
