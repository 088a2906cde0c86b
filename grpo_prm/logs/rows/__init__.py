"""Rows of a log to canonical rows: the fast way with polars, the careful way one object at a time."""
