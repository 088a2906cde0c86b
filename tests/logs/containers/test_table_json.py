"""JSON tables: the rows of W&B and of pandas, and what is no table."""

import json

import pytest
from logs.containers.records_of import records_of, source_of, values_of

from grpo_prm.errors import InputError
from grpo_prm.logs.rows.values import Bad

COLUMNS, DATA = ["step", "completion", "r"], [["1", "a", 1.0], ["1", "NaN", 0.5], ["2", "c", None]]


def written(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_a_row_is_a_record_under_the_names_of_the_columns(tmp_path):
    path = written(tmp_path / "t.table.json", {"columns": COLUMNS, "data": DATA})
    assert values_of(path, "table_json") == [dict(zip(COLUMNS, row, strict=True)) for row in DATA]


@pytest.mark.parametrize("name", ["t.json", "t.table.json", "t"])
@pytest.mark.parametrize("indent", [None, 2])
def test_other_keys_and_another_order(tmp_path, name, indent):
    table = {"_type": "table", "data": DATA, "nrows": 3, "columns": COLUMNS, "column_types": {"params": {}}}
    path = written(tmp_path / name, "\ufeff" + json.dumps(table, indent=indent))
    assert len(values_of(path, "table_json")) == 3


def test_a_table_that_is_longer_than_what_is_looked_at_first(tmp_path):
    table = {"columns": COLUMNS, "data": [["1", "x" * 1000, 1.0]] * 9000}
    assert len(values_of(written(tmp_path / "t.json", table), "table_json")) == 9000
    turned = {"data": table["data"], "columns": COLUMNS}
    assert len(values_of(written(tmp_path / "t.table.json", turned), "table_json")) == 9000


def test_numbers_that_json_does_not_know(tmp_path):
    """W&B writes a bare NaN or the text, which is a null among numbers and stays a text among texts."""
    table = '{"columns": ["completion", "r"], "data": [["NaN", 1.0], ["a", "NaN"], ["b", "Infinity"], ["c", NaN]]}'
    first, second, third, fourth = values_of(written(tmp_path / "t.table.json", table), "table_json")
    assert first == {"completion": "NaN", "r": 1.0}
    assert second["r"] is None and third["r"] is None
    assert fourth["r"] != fourth["r"]


def test_a_row_of_another_length_costs_that_row(tmp_path):
    path = written(tmp_path / "t.json", {"columns": COLUMNS, "data": [["1", "a"], *DATA, [1, 2, 3, 4.5]]})
    first, *others, last = records_of(path, "table_json")
    assert isinstance(first.value, Bad) and first.value.reason == "2 cells under 3 columns"
    assert isinstance(last.value, Bad) and last.value.reason == "4 cells under 3 columns"
    assert [record.value for record in others] == [dict(zip(COLUMNS, row, strict=True)) for row in DATA]
    assert [record.line for record in others] == [2, 3, 4]


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = written(tmp_path / "t.json", {"columns": ["a", "a"], "data": [[1, 2]]})
    with pytest.raises(InputError, match="two columns are called a"):
        values_of(path, "table_json")


@pytest.mark.parametrize(
    "other",
    [
        '{"columns": ["a"], "data": [{"a": 1}]}',
        '{"prompt": "{\\"columns\\": [1], \\"data\\": [[1]]}"}',
        '{"table": {"columns": ["a"], "data": [[1]]}}',
        '{"columns": ["a"], "data": [[1]]}\n{"columns": ["a"], "data": [[1]]}\n',
        '[{"columns": ["a"], "data": [[1]]}]',
        '{"columns": ["a"], "data": 1}',
    ],
)
def test_what_is_no_table(tmp_path, other):
    from grpo_prm.logs.containers.registry import container_of

    assert container_of(source_of(written(tmp_path / "t.json", other))).name != "table_json"
