"""λ-GRPO in TRL, on a CPU, with nothing to download: `python examples/trl_lambda_grpo.py` where `.[trl]` is installed.

The model is a tiny one with random weights, which learns to write even digits. With a model, a reward and data of your
own only the last two statements are needed. Meanwhile, in another terminal: `grpo-prm live lambda-run`. Afterwards:
`grpo-prm analyze lambda-run`.
"""

from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel

from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer
from grpo_prm.tasks import get_task
from grpo_prm.train.tiny import word_tokenizer

tokenizer = word_tokenizer(get_task("chain"))
# No dropout, as in most language models: with it one prefix has other log-probabilities in each completion.
config = GPT2Config(vocab_size=len(tokenizer), n_layer=2, n_embd=64, n_head=4, initializer_range=0.3, bos_token_id=None,
                    eos_token_id=tokenizer.eos_token_id, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)  # fmt: skip
model = GPT2LMHeadModel(config)
data = Dataset.from_dict({"prompt": [f"{a}+{b}=" for a in range(10) for b in range(10)]})


def reward(completions, **_):
    return [sum(text.count(digit) for digit in "02468") / (len(text) + 1) for text in completions]


args = LambdaGRPOConfig("lambda-run", lambda_power=1.0, max_steps=10, max_completion_length=16, logging_steps=1,
                        learning_rate=1e-3, report_to="none", use_cpu=True, bf16=False)  # fmt: skip
LambdaGRPOTrainer(model, reward, args, train_dataset=data, processing_class=tokenizer).train()
