"""Rows to groups: steps put together, buckets of a key or prompt, draws, repeats, and the canonical table."""
