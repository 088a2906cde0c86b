"""One framework a file, and the registry that tells which of them a log is in."""
