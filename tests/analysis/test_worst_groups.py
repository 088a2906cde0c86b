"""The worst groups, named by number and by share."""

import polars as pl

from grpo_prm.analysis.worst_groups import worst_groups


def test_a_share_is_that_of_its_two_numbers_however_the_table_is_cut():
    """polars multiplies by 1 / 7 where a column of sevens is kept as one number, and the last bit is another."""
    table = pl.DataFrame(
        {
            "run": ["a", "a", "a"],
            "step": pl.Series([None, None, None], dtype=pl.Int64),
            "group_key": ["p0", "p1", "p2"],
            "clarity": [0.0, 2.0, 1.0],
            "suppressed_good_tokens": [0, 4, 5],
            "good_tokens": [0, 7, 7],
            "boosted_bad_tokens": [0, 5, 4],
            "bad_tokens": [7, 7, 7],
        }
    )
    for cuts in ([table], [table[:1], table[1:]], [table[n : n + 1] for n in range(3)]):
        worst = worst_groups([cut.lazy() for cut in cuts])
        assert worst == worst_groups(cuts) == worst_groups(table)
        shares = [entry["share"] for entry in worst["examples"]]
        assert shares == [4 / 7, 5 / 7]
        assert [entry["share"] for entry in worst["boosted_bad"]["by_share"]] == [5 / 7, 4 / 7]
