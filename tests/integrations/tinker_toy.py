"""What tests of the Tinker cookbook share."""

from types import SimpleNamespace


def restored(monkeypatch, train):
    """Give the cookbook's module its own functions back after the test."""
    steps = ("do_train_step_and_get_sampling_client", "do_train_step_streaming_and_get_sampling_client")
    for name in ("main", "assemble_training_data", "prepare_minibatch", *steps):
        monkeypatch.setattr(train, name, getattr(train, name))


def config(loss="ppo", penalty=0.0, discount=0.0):
    return SimpleNamespace(training_loss_fn=lambda: loss, kl_penalty_coef=penalty, kl_discount_factor=discount)
