"""Which files of a folder make up which run, and what their paths say of step and split."""
