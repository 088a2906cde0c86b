"""How bytes hold records: JSON lines, a JSON file, CSV, parquet and others, one a file."""
