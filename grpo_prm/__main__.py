"""`python -m grpo_prm` is `grpo-prm`."""

from importlib import import_module

if __name__ == "__main__":
    import_module("grpo_prm_cli.entry").main()
