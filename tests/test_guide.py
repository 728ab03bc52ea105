"""Every block of code in the guide runs as it stands."""

from pathlib import Path

import pytest

import gradlab
from tests.pages import blocks, run_lines, run_page

ROOT = Path(gradlab.__file__).resolve().parents[1]
#: The page of columns is made from the code and not committed.
PAGES = sorted(page for page in (ROOT / "docs" / "guide").glob("*.md") if page.name != "columns.md")
REQUEST = 'depth = [2, 3]\nwidth = 8\nactivation = "tanh"\nseeds = 2\ndata = "gaussian"\nbatch = 8\n'


def test_the_guide_has_pages_with_code():
    assert {"tour", "sweeps", "own", "diagnosis", "frameworks", "training", "report", "cluster"} <= {
        p.stem for p in PAGES
    }
    assert sum(block.language == "python" for page in PAGES for block in blocks(page)) > 20
    assert {block.language for page in PAGES for block in blocks(page)} <= {"python", "sh", "toml"}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_a_page_of_the_guide_runs(page, tmp_path, monkeypatch, forget):
    import jax
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    if page.stem == "cluster":
        Path("large.toml").write_text(REQUEST)
    promotion = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")  # optax needs it, in every thread
    try:
        assert run_page(page)
    finally:
        jax.config.update("jax_numpy_dtype_promotion", promotion)
        plt.close("all")


@pytest.mark.slow
def test_the_array_job_computes_slices_of_one_run(tmp_path, monkeypatch):
    """Each line that the shell would run, for each task of the array."""
    (block,) = blocks(ROOT / "docs" / "guide" / "cluster.md")
    monkeypatch.chdir(tmp_path)
    Path("large.toml").write_text(REQUEST)
    assert "--array=1-10\n" in block.text
    for task in range(1, 11):
        run_lines(block.text, SLURM_ARRAY_TASK_ID=task)
    assert len(gradlab.load("runs/large").frame) == 2 * 2 * (3 + 4)  # two initialisers
