"""A page and a card for every experiment, from the pages in `reports`, which are shown as they were committed."""

import re
from pathlib import Path

from extensions.api_pages import write

REPORTS = Path(__file__).resolve().parents[2] / "reports"
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)\)")
INTRODUCTION = """# Experiments

Each experiment tests one claim of a paper. Its page says whether the claim held, and how to make it again.
The scripts in `experiments/` made the pages in `reports/`. They are shown here as they were committed.

"""


def listed():
    """Return the folders of experiments, in the order of the page of reports."""
    return re.findall(r"\]\((\w+)/README\.md\)", (REPORTS / "README.md").read_text(encoding="utf-8"))


def linked(text, name):
    """Return a page whose links lead from `docs/experiments` to where they led from its folder."""

    def place(match):
        target = match[1]
        other = re.fullmatch(r"\.\./(\w+)/README\.md", target)
        return f"]({other[1]}.md)" if other else f"](../../reports/{name}/{target})"

    return LINK.sub(place, text)


def card(name, text):
    """Return the card of an experiment: its first picture, its title, and whether the claim held."""
    title = text.splitlines()[0].removeprefix("# ")
    picture = re.search(r"\]\(([\w.]+\.png)\)", text)[1]
    outcome = re.search(r"^\*\*(Held|Not held|Undecided)\*\*", text, re.MULTILINE)
    said = f"{outcome[1]}.\n" if outcome else ""
    head = f":::{{grid-item-card}} {title}\n:link: {name}\n:link-type: doc\n:img-top: ../../reports/{name}/{picture}\n"
    return f"{head}:img-alt: First figure of this experiment\n{said}:::\n"


def write_pages(app, config):
    """Write the pages, and the one with the cards."""
    folder = Path(app.srcdir) / "experiments"
    cards, pages = [], [folder / "index.md"]
    for name in listed():
        text = (REPORTS / name / "README.md").read_text(encoding="utf-8")
        pages.append(folder / f"{name}.md")
        write(pages[-1], linked(text, name))
        cards.append(card(name, text))
    grid = "::::{grid} 1 1 2 2\n:gutter: 2\n\n" + "\n".join(cards) + "::::\n"
    entries = "\n".join(listed())
    write(pages[0], f"{INTRODUCTION}{grid}\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n")
    for old in set(folder.glob("*.md")) - set(pages):
        old.unlink()


def setup(app):
    """Write the pages before Sphinx looks which ones there are."""
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
