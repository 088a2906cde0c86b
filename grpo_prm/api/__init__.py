"""What Python users call: `analyze` and `open`, and the `Analysis` that both return. Re-exported by `grpo_prm`."""
