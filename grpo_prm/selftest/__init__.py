"""Known truth: synthetic logs of which it is known what an analysis must say, and what it must not."""
