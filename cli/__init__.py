"""The command line of grpo-prm; one file per command."""
