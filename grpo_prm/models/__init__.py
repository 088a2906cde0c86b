"""Pretrained models by name: where they come from, and a folder of each that transformers loads."""
