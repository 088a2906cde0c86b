"""The claims of the paper, measured again: each with a rule that was fixed before the run, and a verdict."""
