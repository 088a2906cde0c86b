"""Only where verl is installed: `make test-verl` makes an environment of its own for these tests."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]
