"""The page of theory and an example of an explorer, which the site holds as files of their own."""

from pathlib import Path

import gradlab as gl

#: Where the files are made, before the site takes them up as they are.
FOLDER = "_build/explorer"


def write_explorers(app, config):
    """Write both files."""
    folder = Path(app.srcdir) / FOLDER
    gl.explore_theory(out=folder / "explore-theory.html")
    frame = gl.example("depth")
    nets = [
        gl.MLP(depth=depth, width=64, activation=activation, init=init)
        for depth, activation, init in frame[["depth", "activation", "init"]].drop_duplicates().itertuples(index=False)
    ]
    theory = gl.predict_all(nets, q0=1.0)
    gl.explore(frame, theory=theory, title='gl.example("depth")', out=folder / "explore-example.html")


def setup(app):
    """Have the files written before the site looks for them."""
    app.connect("config-inited", write_explorers, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
