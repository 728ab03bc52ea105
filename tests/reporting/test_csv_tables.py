"""Tables come back from their files with nothing lost."""

import numpy as np
import pandas as pd
import pytest

from gradlab._errors import GradlabError
from gradlab.reporting.csv_tables import read_tables, write_tables


def back(folder, table):
    """The table, written and read."""
    write_tables(folder, {"table": table})
    return read_tables(folder, ["table"])["table"]


def test_every_bit_of_every_number_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)  # all exponents, subnormal ones too
    narrow = rng.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    table = pd.DataFrame({"wide": bits, "narrow": narrow, "whole": rng.integers(-(2**62), 2**62, 2000)})
    table.loc[:3, "wide"] = [np.inf, -np.inf, -0.0, 5e-324]
    found = back(tmp_path, table)
    np.testing.assert_array_equal(found["wide"], table["wide"])
    np.testing.assert_array_equal(np.signbit(found["wide"][:3]), [False, True, True])
    np.testing.assert_array_equal(found["narrow"].astype("float32"), table["narrow"])
    assert found["whole"].tolist() == table["whole"].tolist()


def test_answers_and_texts_come_back(tmp_path):
    table = pd.DataFrame(
        {
            "claim": pd.Series([True, None, False], dtype=object),
            "open": pd.Series([None, None, None], dtype=object),
            "sure": [True, False, True],
            "name": ["None", "NA", 'a "b", c\nd'],
            "kind": pd.Categorical(["x", "y", "x"]),
            "note": ["", None, "σ_w²"],
            "value": pd.Series([None, 2.0, 0.1], dtype=object),
        }
    )
    found = back(tmp_path, table)
    for name in ("claim", "open", "sure", "name"):
        assert found[name].tolist() == table[name].tolist(), name
    assert found["claim"][1] is None and found["claim"][0] is True
    assert found["kind"].tolist() == ["x", "y", "x"]
    assert found["note"].isna().tolist() == [True, True, False]
    assert found["value"].tolist()[1:] == [2.0, 0.1]


@pytest.mark.parametrize(
    "cells", [["01", "2"], ["true", "false"], [True, np.nan], [np.zeros(2), np.ones(2)], [1, "a"]], ids=str
)
def test_what_would_come_back_as_something_else_is_refused(tmp_path, cells):
    with pytest.raises(GradlabError, match="the column 'cell' of 'table'"):
        back(tmp_path, pd.DataFrame({"cell": pd.Series(cells, dtype=object)}))
    assert not list(tmp_path.iterdir())


def test_a_named_index_and_a_name_that_leads_elsewhere_are_refused(tmp_path):
    table = pd.DataFrame({"cell": [1]}, index=pd.Index([5], name="layer"))
    with pytest.raises(GradlabError, match="an index layer"):
        write_tables(tmp_path, {"table": table})
    with pytest.raises(GradlabError, match="the name of a file"):
        write_tables(tmp_path, {"../table": table.reset_index()})
