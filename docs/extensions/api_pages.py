"""A page for every public name, from its docstring; the names are those of the `__init__.pyi` of each room."""

import ast
import inspect
import shutil
from importlib import import_module
from pathlib import Path

from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import gradlab

log = logging.getLogger(__name__)
PACKAGE = Path(gradlab.__file__).parent
#: What each part of the package is for; the parts of a room stand in this order.
PARTS = {
    "core": "How gradients flow: layers, activations, initialisers",
    "networks": "Networks",
    "config": "Grids of networks",
    "sweep": "Many networks",
    "measurement": "Measurements",
    "frames": "The frame",
    "training": "Training",
    "monitoring": "Your own training loop",
    "diagnosis": "Diagnosis of a model",
    "scaling": "Width and depth",
    "blackboard": "Every number of a small network",
    "reporting": "Pages, citations, comparisons",
    "_errors": "Errors",
    "layers": "Figures of layers",
    "theory": "Figures beside theory",
    "models": "Figures of models that gradlab did not build",
    "ground": "Common to all figures",
}
#: What each room is for, as its page says; a room that is not here has no page yet, which stops the build.
ROOMS = {
    "gradlab": "The names that you use as `gl.NAME` after `import gradlab as gl`.",
    "gradlab.plots": "Figures: a frame in, axes out. Each is called as `gl.plots.NAME`.",
    "gradlab.theory": "What to expect: each law is called as `gl.theory.NAME`.",
    "gradlab.frames": "The frame: make it, read and write it, and compute its statistics.",
    "gradlab.data": "Data sets and files of data.",
    "gradlab.reporting": "Pages of runs and of experiments.",
    "gradlab.diagnosis.rules": "How the rules of the diagnosis judge.",
}


def stubs():
    """Return the public names of each room: a name with the module that defines it, rooms in the order of `ROOMS`."""
    rooms = {}
    for stub in PACKAGE.rglob("__init__.pyi"):
        room = ".".join(stub.parent.relative_to(PACKAGE.parent).parts)
        lines = [line for line in ast.parse(stub.read_text()).body if isinstance(line, ast.ImportFrom)]
        rooms[room] = {line.names[0].asname: f"{room}.{line.module}" for line in lines if line.module}
    return {room: rooms[room] for room in sorted(rooms, key=list(ROOMS).index)}


def described(room, name, home):
    """Return the directive that documents a name, and the first sentence of its docstring."""
    thing = getattr(import_module(room), name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        kind = "autoclass" if inspect.isclass(thing) else "autofunction"
        members = "\n   :members:" if inspect.isclass(thing) else ""
        return f".. {kind}:: {room}.{name}{members}\n", sentence(inspect.getdoc(thing) or "")
    text = "\n".join(ModuleAnalyzer.for_module(home).find_attr_docs()[("", name)]).strip()
    indented = "\n".join(f"   {line}" for line in text.splitlines())
    return f".. py:data:: {room}.{name}\n\n{indented}\n", sentence(text)


def sentence(text):
    """Return the first paragraph of a docstring in one line."""
    return " ".join(text.split("\n\n")[0].split())


def file_name(name, names):
    """Return the name of a page; `Board` and `board` must not be one file where case does not count."""
    twins = [other for other in names if other.lower() == name.lower()]
    return f"{name}-class" if len(twins) > 1 and name[0].isupper() else name


def write(path, text):
    """Write a page; one that stays as it was keeps its date, so that Sphinx does not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_room(folder, room, names):
    """Write the page of a room and those of its names, and return their paths."""
    pages, parts = [folder / f"{room}.rst"], {}
    for name, home in names.items():
        parts.setdefault(home.removeprefix(f"{room}.").split(".")[0], []).append(name)
    blocks = [f"{room}\n{'=' * len(room)}", ROOMS[room].replace("`", "``")]
    several = room in ("gradlab", "gradlab.plots")  # the others have few names, or names of one kind
    if several and (unknown := set(parts) - set(PARTS)):
        log.warning("a part of %s has no title in PARTS of %s: %s", room, __file__, ", ".join(sorted(unknown)))
    order = [*PARTS, *parts]
    titles = {part: PARTS.get(part, part) for part in sorted(parts, key=order.index)} if several else {None: ""}
    for part, title in titles.items():
        rows, entries = [], []
        for name in parts[part] if several else names:
            directive, first = described(room, name, names[name])
            page = f"{room}/{file_name(name, names)}"
            entries.append(f"   {page}")
            rows.append(f"   * - :doc:`{name} <{page}>`\n     - {first}")
            pages.append(folder / f"{page}.rst")
            write(pages[-1], f"{name}\n{'=' * len(name)}\n\n{directive}")
        blocks += [f"{title}\n{'-' * len(title)}"] if title else []
        blocks.append(".. list-table::\n   :widths: 30 70\n   :class: names\n\n" + "\n".join(rows))
        blocks.append(".. toctree::\n   :hidden:\n\n" + "\n".join(entries))
    write(pages[0], "\n\n".join(blocks) + "\n")
    return pages


def write_pages(app, config):
    """Write all pages, and remove those of names that are gone."""
    folder = Path(app.srcdir) / "api"
    rooms = stubs()
    pages = [folder / "index.rst"]
    for room, names in rooms.items():
        pages += write_room(folder, room, names)
    entries = "\n".join(f"   {room}" for room in rooms)
    title = "Reference"
    text = "Every public name with what it computes, its arguments, its units and an example."
    write(pages[0], f"{title}\n{'=' * len(title)}\n\n{text}\n\n.. toctree::\n   :maxdepth: 2\n\n{entries}\n")
    for old in set(folder.rglob("*.rst")) - set(pages):
        old.unlink()
    for room in folder.iterdir():
        if room.is_dir() and room.name not in rooms:
            shutil.rmtree(room)


def setup(app):
    """Write the pages before Sphinx looks which ones there are."""
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
