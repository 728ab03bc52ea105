"""`llms.txt`: every page of the site in one line of plain text, for programs that read documentation."""

from pathlib import Path

from docutils import nodes

#: Folders of pages, in the order of the file; pages that stand alone come first.
SECTIONS = {"": "Pages", "guide": "Guide", "theory": "Theory", "backward": "The backward pass", "api": "Reference"}


def first_sentence(doctree):
    """Return the first paragraph of a page in one line."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if text:
            return text
    return ""


def write_file(app, failure):
    """Write the file beside the pages, after a build that did not fail."""
    if failure or app.builder.name not in ("html", "dirhtml"):
        return
    env = app.env
    summary = first_sentence(env.get_doctree("index"))
    lines = [f"# {app.config.project} {app.config.release}", "", f"> {summary}"]
    by_section = {}
    for page in sorted(env.all_docs):
        folder, slash, _ = page.partition("/")
        by_section.setdefault(folder if slash else "", []).append(page)
    for folder in sorted(by_section, key=lambda name: [*SECTIONS, name].index(name)):
        lines += ["", f"## {SECTIONS.get(folder, folder.capitalize())}", ""]
        for page in by_section[folder]:
            said = first_sentence(env.get_doctree(page))
            link = f"[{env.titles[page].astext()}]({app.builder.get_target_uri(page)})"
            lines.append(f"- {link}: {said}" if said else f"- {link}")
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app):
    """Write the file when all pages are built."""
    app.connect("build-finished", write_file)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
