"""Every citation in the sources and pages means one entry of the bibliography; a run cites what it used."""

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import gradlab as gl
from gradlab import GradlabError, cli
from gradlab.config import ACTIVATIONS, DATASETS, INITIALIZERS, OPTIMIZERS
from gradlab.reporting.citations import Citation, citations, cited_in, resolve
from gradlab.reporting.cite import _BY_NUMBER, _BY_VALUE, _CELLS, _THEORY
from gradlab.reporting.references import OWN, bibliography

ROOT = Path(gl.__file__).resolve().parents[1]
FOLDERS = ("gradlab", "experiments", "reports", "tests", "benchmarks", "docs")
#: Entries that no prose cites by author and year: data and activations, which `gl.cite` names.
CITED_BY_USE = {value for table in _BY_VALUE.values() for keys in table.values() for value in keys}


def texts():
    """Prose of sources and pages by file; marks of comments and quotations at line ends are taken out."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".j2")]
    files = [path for path in files if path.name != Path(__file__).name and "_build" not in path.parts]
    return {p: re.sub(r"\n\s*(#:?|>)?\s*", " ", p.read_text(encoding="utf-8")) for p in (*files, *ROOT.glob("*.md"))}


def test_every_citation_means_one_entry():
    entries, wrong, cited = bibliography(), [], set()
    for path, text in texts().items():
        for citation in citations(text):
            try:
                cited.add(resolve(citation, entries).key)
            except GradlabError as error:
                wrong.append(f"{path.relative_to(ROOT)}: {error}")
    assert not wrong
    assert len(cited) > 70
    # nothing stands in the bibliography that nothing cites
    assert set(entries) - cited - CITED_BY_USE == {OWN}


def test_citations_are_found_as_they_are_written():
    text = "As Ba, Kiros & Hinton 2016 and Xiao\n    et al. (2018, figure 2) say; He et al. 2016a; on 24 November 2026."
    assert list(map(str, citations(text))) == ["Ba, Kiros & Hinton 2016", "Xiao et al. 2018", "He et al. 2016a"]
    assert citations("Ben Braiek & Khomh 2023") == [Citation(("Ben Braiek", "Khomh"), False, "2023")]
    assert citations("Sun et al. 2025, on Sun 2025") == [Citation(("Sun",), True, "2025")]
    assert citations("From 2017 on, in May 2018, 1000 layers, Python 3.11, version 2000") == []


@pytest.mark.parametrize(
    "wrong", ["Glorot 2010", "He et al. 2016", "Hanin et al. 2018", "Zhang & Dauphin 2019", "He et al. 2014"]
)
def test_a_citation_with_wrong_names_or_year_means_nothing(wrong):
    (citation,) = citations(wrong)
    with pytest.raises(GradlabError, match="none for"):
        resolve(citation, bibliography())


def test_all_of_the_file_is_read():
    text = (ROOT / "gradlab/reporting/references.bib").read_text(encoding="utf-8")
    entries = bibliography()
    assert len(entries) == text.count("\n@") > 80
    for entry in entries.values():
        assert entry.bibtex() in text
        assert {"author", "title", "year"} <= set(entry.fields) and re.fullmatch(r"(19|20)\d\d", entry.year)
        plain = re.sub(r"[^a-z]", "", entry.surnames[0].replace("é", "e").lower())
        assert entry.key == OWN or re.fullmatch(rf"{plain}{entry.year}[a-z]*", entry.key)
        assert re.fullmatch(r"\d{4}\.\d{5}|\d{4}\.\d{4}", entry.fields.get("eprint", "1234.5678"))
        assert re.fullmatch(r"10\.\d+/\S+", entry.fields.get("doi", "10.1/x"))
        assert not re.search(r"[{}\\]", entry.markdown())
    years = [int(entry.year) for key, entry in entries.items() if key != OWN]
    assert years == sorted(years)


def test_gradlabs_entry_is_that_of_the_citation_file():
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    own = bibliography()[OWN]
    assert f'title: "{own.title}"' in cff and f'name: "{own.surnames[0]}"' in cff
    assert f"date-released: {own.year}-" in cff


def test_what_cite_names_stands_in_the_tables():
    keys = {k for table in _BY_VALUE.values() for value in table.values() for k in value}
    keys |= {k for table in (_BY_NUMBER, _CELLS) for value in table.values() for k in value} | set(_THEORY)
    assert keys <= set(bibliography())
    known = {
        "init": INITIALIZERS,
        "activation": (*ACTIVATIONS, "TAT", "DKS"),
        "data": DATASETS,
        "optimizer": OPTIMIZERS,
    }
    assert all(set(_BY_VALUE[column]) <= set(names) for column, names in known.items())


def keys_of(**columns):
    return gl.cite(pd.DataFrame({"architecture": ["mlp"], **{k: [v] for k, v in columns.items()}})).keys


def test_a_run_cites_what_it_used_and_nothing_else():
    mean_field = ("poole2016", "schoenholz2017", "hanin2018")
    assert gl.cite(gl.example("depth")).keys == (
        "gradlab", "alpaydin1998", "glorot2010", "pedregosa2011", "he2015", *mean_field,
    )  # fmt: skip
    assert keys_of(init="zeros", activation="tanh") == ("gradlab", *mean_field)
    assert keys_of(init="zeros", norm="batch", activation="TAT tanh 50, leaky_relu:0.2") == (
        "gradlab", "maas2013", "ioffe2015", "zhang2022",
    )  # fmt: skip
    assert keys_of(init="zeros", norm="batch", activation="selu, relu x 2") == ("gradlab", "ioffe2015", "klambauer2017")
    assert keys_of(init="zeros", architecture="resnet", branch_scale="learned") == (
        "gradlab",
        "he2016b",
        "bachlechner2020",
        "de2020",
    )
    assert keys_of(init="zeros", architecture="resnet", norm_position="after") == ("gradlab", "he2016a")
    lstm = keys_of(init="zeros", architecture="rnn", cell="lstm", optimizer="adam", clip_norm=1.0)
    assert lstm == ("gradlab", "hochreiter1997", "gers2000", "pascanu2013", "jozefowicz2015", "kingma2015")
    # a transformer has a norm where no column says so
    assert keys_of(init="zeros", architecture="transformer", activation="relu") == (
        "gradlab",
        "ba2016",
        "vaswani2017",
        "xiong2020",
    )
    assert "srivastava2014" in keys_of(dropout=0.1) and "srivastava2014" not in keys_of(dropout=0.0)


def test_names_from_a_strangers_frame_do_not_reach_the_bibtex():
    text = str(gl.cite(pd.DataFrame({"architecture": ["}@misc{x,"], "init": ["he_normal\n@misc{y,"], "norm": [None]})))
    assert text.count("@") == 1


@pytest.mark.slow
def test_the_command_prints_bibtex_and_a_report_ends_with_references(tmp_path, capsys):
    run = tmp_path / "run"
    gl.run(gl.Sweep(depth=2, width=4, activation="relu", init="he_normal", seeds=1, data="gaussian", batch=4), out=run)
    capsys.readouterr()
    assert cli.main(["cite", str(run)]) == 0
    printed = capsys.readouterr().out
    assert f"version = {{{gl.__version__}}}" in printed and "@inproceedings{he2015," in printed
    assert "% init he_normal" in printed and "glorot2010" not in printed
    assert cli.main(["cite", str(run), "--out", str(tmp_path / "own.bib")]) == 0
    assert (tmp_path / "own.bib").read_text() == printed
    page = gl.report(run).read_text()
    _, _, end = page.partition("\n## References\n")
    assert "Delving deep into rectifiers" in end and "\n#" not in end
    assert cli.main(["cite", str(tmp_path / "nothing")]) == 2


def test_an_entry_of_each_experiment_stands_on_its_page():
    entries = bibliography()
    for script in (ROOT / "experiments").glob("*.py"):
        page = ROOT / "reports" / script.stem / "README.md"
        if not page.exists() or "doc=__doc__" not in script.read_text(encoding="utf-8"):
            continue
        _, _, end = page.read_text(encoding="utf-8").partition("\n## References\n")
        doc = re.match(r'"""(.*?)"""', script.read_text(encoding="utf-8"), re.S)[1]
        for reference in cited_in([doc], entries):
            assert reference.markdown() in end, f"{page}: {reference.key}"


def test_the_wheel_has_the_bibliography():
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["packages"] == ["gradlab"]
