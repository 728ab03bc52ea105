"""Frames that are none: one message that names what is wrong, and exit code 2."""

import numpy as np
import pandas as pd
import pytest

from gradlab import GradlabError, load
from gradlab.cli import main
from gradlab.frames.checks import check_run
from gradlab.frames.files import Run, write
from gradlab.reporting.page import report
from tests.reporting.report_frames import grid

GOOD = grid(depths=(4,)).query("activation == 'sigmoid'").reset_index(drop=True)
ROWS = len(GOOD)
CASES = {
    "one row": (GOOD.iloc[:1], "all 4 hidden layers"),
    "two rows": (GOOD.iloc[:2], "all 4 hidden layers"),
    "one layer": (GOOD[GOOD["layer"] == 1], "all 4 hidden layers"),
    "empty": (GOOD.iloc[:0], "with rows"),
    "no columns": (GOOD[[]], "with rows"),
    **{f"no {name}": (GOOD.drop(columns=name), f"the column '{name}'") for name in ("step", "status", "network")},
    **{f"text in {name}": (GOOD.assign(**{name: "x"}), f"numbers in the column '{name}'")
       for name in ("log10_delta_rms", "depth", "layer", "step", "seed", "fan_in", "sigma_w2")},
    **{f"depth {value}": (GOOD.assign(depth=value), "depth") for value in (0, -1, 10**9, np.nan, 3.5, np.inf)},
    "layer beyond": (GOOD.assign(layer=GOOD["layer"] + 10**18), "whole numbers"),
    "step missing": (GOOD.assign(step=np.nan), "whole numbers"),
    "a number as a name": (GOOD.assign(activation=3.0), "text in the column 'activation'"),
    "no name": (GOOD.assign(network=None), "text in the column 'network'"),
    "bytes": (GOOD.assign(activation=b"x"), "text in the column 'activation'"),
    "truth values": (GOOD.assign(log10_delta_rms=True), "numbers"),
    "dates": (GOOD.assign(log10_delta_rms=pd.Timestamp("2020-01-01")), "numbers"),
    "rows twice": (pd.concat([GOOD, GOOD]), "once"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "told"), CASES.values(), ids=CASES)
def test_a_table_that_is_no_run_is_one_message(table, told, tmp_path, capsys):
    write(table, tmp_path / "frame.parquet")
    (tmp_path / "sweep.toml").write_text("[request]\n")
    (tmp_path / "provenance.json").write_text("{}")
    assert main(["report", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("gradlab: expected ") and message.count("\n") == 1 and told in message
    with pytest.raises(GradlabError, match=r"frame\.parquet"):
        load(tmp_path)
    with pytest.raises(GradlabError):
        report(Run(table, {}, {}, tmp_path))
    assert not (tmp_path / "report.md").exists()


def test_columns_have_a_name_each():
    with pytest.raises(GradlabError, match="a name each"):
        check_run(GOOD.rename(columns={"width": 3}))
    with pytest.raises(GradlabError, match="a name each"):
        check_run(GOOD.rename(columns={"width": "depth"}))


def test_frames_of_runs_pass(table_with_failures):
    check_run(GOOD)
    check_run(table_with_failures)


@pytest.mark.parametrize("text", ["[1]", '"a"', "3", "null", "[" * 3000, "{", "\udcff"])
def test_notes_that_are_none_are_one_message(text, tmp_path, capsys):
    write(GOOD, tmp_path / "frame.parquet")
    (tmp_path / "sweep.toml").write_text("[request]\n")
    (tmp_path / "provenance.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["report", str(tmp_path)]) == 2
    assert "provenance.json as the sweep wrote it" in capsys.readouterr().err
    (tmp_path / "provenance.json").write_text("{}")
    (tmp_path / "sweep.toml").write_bytes(b"a = " + text.encode("utf-8", "surrogateescape") + b"=")
    assert main(["report", str(tmp_path)]) == 2
    assert "sweep.toml as the sweep wrote it" in capsys.readouterr().err
