"""Numbers and sentences: for the terminal, the page and a paper; text made safe to print."""
