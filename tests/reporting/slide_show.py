"""Lay a deck out as Marp does, each slide 1280 x 720 pixels, to be looked at in a browser."""

import re

from markdown_it import MarkdownIt

from gradlab._files import write_text


def sections(text):
    """The slides of a deck as Markdown, and the style of its head."""
    _, head, *slides = re.split(r"^---$", text, flags=re.MULTILINE)
    return slides, head.partition("style: |")[2]


def lay_out(deck):
    """Write deck.html beside a deck, and return its path."""
    slides, style = sections(deck.read_text())
    show = MarkdownIt("commonmark", {"html": True}).render
    body = "".join(f"<section>{show(slide)}</section>" for slide in slides)
    base = "body { margin: 0 } section { width: 1280px; height: 720px; box-sizing: border-box; display: flex; " \
        "flex-direction: column; flex-wrap: nowrap; overflow: hidden; border-bottom: 1px solid #888 }"  # fmt: skip
    page = deck.with_name("deck.html")
    write_text(page, f'<!doctype html><meta charset="utf-8"><style>{base} {style}</style>{body}')
    return page
