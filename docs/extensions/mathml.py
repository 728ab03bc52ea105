r"""Formulas as MathML, which every browser draws by itself: no script is fetched, no LaTeX is needed.

A formula that docutils cannot translate is a warning, so it stops the build.
"""

import re

from docutils.nodes import SkipNode
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

log = logging.getLogger(__name__)
#: Environments of several lines, which all become ``aligned``.
LINES = re.compile(r"\\(begin|end)\{(?:align|aligned|gather|split|eqnarray)\*?\}")
#: An accent over a letter. A subscript behind it would come below the letter, so it gets a group with an empty end.
ACCENT = re.compile(r"\\(?:bar|hat|tilde|vec|dot|ddot|widehat)\s*(?:\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z])")
EQUATION = re.compile(r"\\(begin|end)\{equation\*?\}")


def translated(node, block):
    """Return the MathML of a formula."""
    tex = EQUATION.sub("", LINES.sub(r"\\\1{aligned}", node.astext().strip()))
    tex = tex.replace(r"\textstyle", "").replace(r"\displaystyle", "")  # docutils takes them in few places
    tex = ACCENT.sub(r"{\g<0>{}}", tex)
    if block and r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    try:
        return latex2mathml.tex2mathml(tex, as_block=block)
    except (MathError, SyntaxError) as error:
        log.warning("this formula cannot be translated: %s (%s)", tex, error, location=node)
        return f"<code>{node.astext()}</code>"


def inline(writer, node):
    """Write a formula within a line."""
    writer.body.append(translated(node, block=False))
    raise SkipNode


def displayed(writer, node):
    """Write a formula on lines of its own, with its number where it has one."""
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    if node["number"]:
        writer.body.append(f'<span class="eqno">({node["number"]})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append(translated(node, block=True) + "</div>\n")
    raise SkipNode


def setup(app):
    """Register the way in which formulas are written."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
