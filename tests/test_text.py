"""Text that stands as it is: in Markdown, in LaTeX, in figures."""

import pytest
from markdown_it import MarkdownIt

from gradlab import GradlabError
from gradlab._text import check_name, code, fenced, figure, from_figure, is_hash, markdown, plain, spreadsheet, tex


def test_markdown_leaves_words_alone_and_disarms_markup():
    assert markdown("xavier_normal σ_w² = 1.5, -3 (a) #1") == "xavier_normal σ_w² = 1.5, -3 (a) #1".replace("#", "\\#")
    assert markdown("a|b\n<b> _x_") == r"a\|b \<b\> \_x\_"


@pytest.mark.parametrize(
    "text", ["- a", "1. a", "2) a", "+ a", "# a", "> a", "=", "---", "&amp; &#65;", "``a``", "a\\", "~~a~~"]
)
def test_markdown_shows_the_text_itself(text):
    import html

    assert MarkdownIt("commonmark").enable("table").render(markdown(text)) == f"<p>{html.escape(text)}</p>\n"


def test_what_cannot_be_seen_is_replaced():
    assert plain("a\0b\u202ec\u200d\nd") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\u200d d"


@pytest.mark.parametrize("text", ["a", "a\n```\nb", "~~~\n`````", "a\r\nb"])
def test_a_fence_is_longer_than_all_that_it_holds(text):
    (token,) = MarkdownIt("commonmark").parse(fenced(text))
    assert (token.type == "fence" and "```\nb" in token.content) or "```\nb" not in text
    assert len(MarkdownIt("commonmark").parse(f"{fenced(text)}\n\nafter")) == 4


@pytest.mark.parametrize("text", ["a", "`a`", "a``b", "```", "<b>"])
def test_code_holds_its_text(text):
    (paragraph,) = [t for t in MarkdownIt("commonmark").parse(f"x {code(text)} y") if t.type == "inline"]
    assert [t.content for t in paragraph.children if t.type == "code_inline"] == [text]


def test_tex():
    assert tex("50 % of a_b & {c}") == r"50 \% of a\_b \& \{c\}"
    assert tex("-19.5(7)") == r"\ensuremath{-}19.5(7)"
    assert tex("3.1(2)e-9") == r"\ensuremath{3.1(2)\times10^{-9}}"
    assert tex("\\input{x}") == r"\textbackslash{}input\{x\}"
    # neither becomes the options of a line break of a table
    assert tex("[abc] [d]") == "{[}abc] [d]" and tex("*a") == "{*}a"
    assert tex("a 漢\n%x") == r"a [U+6F22] \%x"


def test_a_dollar_in_a_figure_is_a_dollar():
    from matplotlib.cbook import is_math_text

    for text in ("$", "$x$", "a$b", "\\$x$", "$$", "cost \\$1 $2"):
        assert not is_math_text(figure(text))
    assert from_figure(figure("a $x$")) == "a $x$"
    assert len(figure("x" * 5000)) < 200


@pytest.mark.parametrize(
    "text", ["", "abc", "cafe0123\n", "CAFE0123", "cafe 0123", "g" * 12, 12345678, None, ["cafe0123"]]
)
def test_a_hash_is_hexadecimal(text):
    assert is_hash("cafe0123") and not is_hash(text)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "a\0", "a\x1b", "\u202ea", "a\u200b", "\ud800", "x" * 101, None, 3, b"a"]
)
def test_a_name_shows_what_is_in_it(name):
    with pytest.raises(GradlabError, match="name of an activation"):
        check_name("activation", name)
    for good in ("snake", "my_φ", "漢字", "🎉", "a b", "C++", "x" * 100):
        check_name("activation", good)


@pytest.mark.parametrize("name", ["", "a\nb", "a\0", "\u202erelu", "a\u200b"])
def test_a_registered_name_shows_what_is_in_it(name):
    import jax.numpy as jnp

    import gradlab as gl

    with pytest.raises(GradlabError, match="name of an activation"):
        gl.register_activation(name, jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2)
    with pytest.raises(GradlabError, match="name of an initializer"):
        gl.register_initializer(name, lambda key, shape, dtype: jnp.zeros(shape, dtype), lambda n, m: 1.0)


def test_a_name_in_a_spreadsheet_is_no_formula():
    assert spreadsheet("=cmd()") == "'=cmd()" and spreadsheet("@x") == "'@x" and spreadsheet("relu") == "relu"
