"""x."""
Inspection = inspect = None
