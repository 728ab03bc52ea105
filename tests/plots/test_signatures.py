"""All functions that draw have one set of argument names, in one order, and say what they return."""

import inspect

import pytest

from gradlab import plots

#: What most have, in this order; what a single one has stands before `ax`.
ORDER = (
    "frame", "record", "path", "value", "signal", "x", "y", "hue", "style", "shade", "row", "col", "band", "theory",
    "ax", "legend", "title", "preset",
)  # fmt: skip
#: What some functions have alone. A new name needs a reason: often there is one in `ORDER` already.
OWN = {
    "absolute", "annotate", "bins", "command", "critical", "field", "first_order", "formats", "fps", "inset", "layers",
    "limit", "log", "order", "over", "overlay", "readout", "reference", "relative", "rule", "run_hash", "shapes",
    "shapes_of", "shown", "starts", "step",
}  # fmt: skip
RETURNS = {"Axes", "np.ndarray", "Axes | np.ndarray", "list[Path]"}
#: They draw what one computation returned, which is no table of rows: a surface of losses with descents on it, the maps
#: of mean field with their fixed points, a diagnosis with its findings.
RECORDS = {"cliff", "diagnosis", "maps"}
#: They write files, of one figure of their own.
FILMS = {"animate", "network_film"}


def drawing():
    functions = {name: getattr(plots, name) for name in plots.__all__ if inspect.isfunction(getattr(plots, name))}
    return {n: f for n, f in functions.items() if "preset" in inspect.signature(f).parameters and n != "board"}


@pytest.mark.parametrize("name", drawing())
def test_names_order_and_return(name):
    function = drawing()[name]
    signature = inspect.signature(function)
    names = list(signature.parameters)
    common = [n for n in names if n in ORDER]
    assert common == sorted(common, key=ORDER.index)
    assert set(names) <= set(ORDER) | OWN
    assert names[0] == ("record" if name in RECORDS else "frame")
    positional = [n for n, p in signature.parameters.items() if p.kind is not p.KEYWORD_ONLY]
    assert positional == (["frame", "path"] if name in FILMS else names[:1])
    last = [n for n in ("ax", "legend", "title", "preset") if n in names]
    assert names[-len(last) :] == last
    if name not in FILMS:
        assert {"ax", "title"} <= set(names)
        assert signature.parameters["preset"].default is None and signature.parameters["ax"].default is None
    assert signature.return_annotation in RETURNS
    assert all(p.annotation is not p.empty for p in signature.parameters.values())


def test_all_of_them_are_in_the_gallery():
    from .gallery import DRAWN

    assert set(drawing()) - FILMS == {name.split()[0] for name in DRAWN}
