"""λ-GRPO inside slime: two hooks by path, and the field `teacher_log_probs` to carry the weights from one to the other.

    --rollout-sample-filter-path grpo_prm.integrations.slime.weigh_samples
    --loss-type custom_loss --custom-loss-function-path grpo_prm.integrations.slime.lambda_loss

The first sees all samples of a rollout, where groups are whole. The fields that cross to the trainers are a fixed list;
the one for distillation goes the whole way, cut for context parallelism like the log-probabilities, and is free without
it. The second runs slime's own policy loss with the gradient at each token's log-probability times its weight, so the
policy term, the KL loss and importance correction are weighted alike; entropy, metrics and normalisers are as before.
`lambda_power` and `lambda_kind` may stand in the file of `--custom-config-path`; with power 0 both hooks do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import UsageError
from .gradient import weigh_gradient
from .rows import check_weights, completion_weights

FIELD = "teacher_log_probs"
ESTIMATORS = ("grpo", "cispo", "reinforce_plus_plus_baseline")  # one advantage a completion, from its group


def weigh_samples(args: Any, groups: list[Any]) -> None:
    """Put |λ|^-p of each response token into the samples, in place (`--rollout-sample-filter-path`).

    Args:
        args: slime's arguments.
        groups: A list for each prompt, of samples (`slime.utils.types.Sample`) or, where a rollout became several, of
            lists of samples. Removed samples stay members: their rewards made the advantages of the others.

    Raises:
        UsageError: The weights would not be exact, would not be used, or their field is taken.
    """
    power, kind = _settings(args)
    if not power:
        return
    _refuse(args)
    if args.loss_type != "custom_loss":
        raise UsageError(
            f"--loss-type is {args.loss_type}, so nothing would use the λ weights. Give --loss-type custom_loss "
            f"--custom-loss-function-path {__name__}.lambda_loss."
        )
    # A group is known by its place in the list.
    samples = [(name, sample) for name, group in enumerate(groups) for sample in _samples(group)]
    if any(getattr(sample, FIELD) is not None for _, sample in samples):
        raise UsageError(f"samples hold {FIELD} already, and λ weights need that field. Leave distillation out.")
    weights = completion_weights(
        [sample.tokens for _, sample in samples],
        [len(sample.tokens) - sample.response_length for _, sample in samples],
        [name for name, _ in samples],
        power,
        kind,
    )
    for (_, sample), factors in zip(samples, weights, strict=True):
        setattr(sample, FIELD, factors.tolist())  # slime makes tensors of lists on the way to the trainers


def lambda_loss(args: Any, batch: dict[str, Any], logits: Any, sum_of_sample_mean: Callable) -> tuple[Any, dict]:
    """The `policy_loss_function` of slime with weighted gradients (`--custom-loss-function-path`).

    Args:
        args: slime's arguments.
        batch: A micro-batch; `teacher_log_probs` holds the weights, a tensor for each sample.
        logits: Shape (1, T, vocabulary), float32.
        sum_of_sample_mean: slime's reducer, which knows the loss masks.

    Returns:
        The loss and its metrics, both with the values of the plain loss.

    Raises:
        UsageError: The batch has no weights, or the loss did not ask for log-probabilities where it was expected to.
    """
    from slime.backends.megatron_utils import loss

    if not _settings(args)[0]:
        return loss.policy_loss_function(args, batch, logits, sum_of_sample_mean)
    _refuse(args)
    if not batch.get(FIELD):
        raise UsageError(
            f"no λ weights came with the samples. Give --rollout-sample-filter-path {__name__}.weigh_samples, or call "
            "it at the end of a rollout function of your own."
        )
    with _weighed_log_probs(loss, batch[FIELD]):
        return loss.policy_loss_function(args, batch, logits, sum_of_sample_mean)


@contextmanager
def _weighed_log_probs(loss: Any, weights: list[Any]) -> Generator[None]:
    """Let the loss module find log-probabilities of the same values whose gradients are multiplied."""
    # The loss looks its helper up in its module at each call, so that is where it can be met.
    plain, used = loss.get_log_probs_and_entropy, []

    def weighed(*args: Any, **kwargs: Any) -> Any:
        empty, found = plain(*args, **kwargs)
        for log_probs, factors in zip(found["log_probs"], weights, strict=True):
            if log_probs.requires_grad:  # not where the old ones are computed
                weigh_gradient(log_probs, factors, lambda: None)
        used.append(True)
        return empty, found

    loss.get_log_probs_and_entropy = weighed
    try:
        yield
    finally:
        loss.get_log_probs_and_entropy = plain
    if not used:
        raise UsageError(
            "this slime computes its loss another way, so no weight was used. Take the version of "
            "slime that grpo-prm is tested with."
        )


def _samples(group: Any) -> Iterator[Any]:
    """The samples of a list that may hold lists."""
    for item in group:
        if isinstance(item, list):
            yield from _samples(item)
        else:
            yield item


def _settings(args: Any) -> tuple[float, Any]:
    """The power p and the kind of weights."""
    power, kind = getattr(args, "lambda_power", 1.0), getattr(args, "lambda_kind", "process-set")
    check_weights(power, kind)
    return power, kind


def _refuse(args: Any) -> None:
    """Settings under which the weights are not λ-GRPO."""
    estimator = args.advantage_estimator
    if estimator == "gspo":
        raise UsageError(
            "--advantage-estimator gspo makes one ratio for a whole completion, which has no token to weigh. Give grpo "
            "or cispo."
        )
    if estimator not in ESTIMATORS:
        raise UsageError(
            f"--advantage-estimator {estimator} has no group, or needs a critic. Give one of {', '.join(ESTIMATORS)}."
        )
    if estimator == "reinforce_plus_plus_baseline" and args.kl_coef:
        raise UsageError(
            f"--kl-coef {args.kl_coef} is taken off the reward, so the advantages differ within a completion. Give "
            "--use-kl-loss --kl-loss-coef, and --kl-coef 0."
        )
    if getattr(args, "use_opd", False):
        raise UsageError(f"--use-opd needs {FIELD}, the field that carries the λ weights. Leave it out.")
