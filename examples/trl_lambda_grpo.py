"""λ-GRPO in TRL: `pip install 'grpo-prm[trl]'`, then `python trl_lambda_grpo.py`; on a CPU, and nothing is downloaded.

The model is a tiny one with random weights, which learns to write even digits. With a model, a reward and data of your
own only the last two statements are needed. Afterwards: `grpo-prm analyze lambda-run/rollouts`.
"""

from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel

from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer
from grpo_prm.tasks import get_task
from grpo_prm.train.tiny import word_tokenizer

tokenizer = word_tokenizer(get_task("chain"))
model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_layer=2, n_embd=64, n_head=4, initializer_range=0.3))
data = Dataset.from_dict({"prompt": [f"{a}+{b}=" for a in range(10) for b in range(10)]})


def reward(completions, **_):
    return [sum(text.count(digit) for digit in "02468") / (len(text) + 1) for text in completions]


args = LambdaGRPOConfig("lambda-run", lambda_power=1.0, max_steps=10, max_completion_length=16, logging_steps=1,
                        learning_rate=1e-3, report_to="none", use_cpu=True, bf16=False)  # fmt: skip
LambdaGRPOTrainer(model, reward, args, train_dataset=data, processing_class=tokenizer).train()
