"""One group as a tree that can be read: the text of its steps, rows, print, and a terminal app."""
