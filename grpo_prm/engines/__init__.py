"""An analysis spread over processes or machines: the same numbers, to the last byte, as in one process."""
