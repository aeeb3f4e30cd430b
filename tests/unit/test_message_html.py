"""HTML as text: what is visible is kept, what is hidden is dropped, nothing hostile takes long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_service.core.message.html import html_to_text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("a<br>b<br/>c<br><br>d", "a\nb\nc\n\nd"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a <b>bold</b>, c", "a bold, c"),
        ("one\n  two\t three&nbsp;four", "one two three four"),
        ("<ul><li>a<li>b</ul>", "* a\n* b"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a  b\nc"),
        ("<pre>\n  if (x)\n    y();\n</pre>z", "\n  if (x)\n    y();\n\nz"),
        ("<blockquote>q<br>r</blockquote>new", "> q\n> r\n\nnew"),
        ("&lt;script&gt; &amp; &#x41; &nosuch;", "<script> & A &nosuch;"),
        ('<a href="https://x.example/p">here</a>', "here <https://x.example/p>"),
        ('<a href="https://x.example/p">https://x.example/p</a>', "https://x.example/p"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        ('<img src="https://t.example/1.gif" alt="a picture"><img src=x>', "[a picture]"),
        ("<head><title>t</title><style>p{}</style></head><script>s</script><body>x", "x"),
        ("a<!-- c -->b<!--[if mso]>m<![endif]-->c<![if !mso]>d<![endif]>", "abcd"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("a <1> b", "a <1> b"),
        ('<p title="a > b">x', "x"),
        ("<p title='unclosed>x</p>y", "x\n\ny"),
        ("unclosed <!-- comment", "unclosed comment"),
        ("<style>unclosed", "unclosed"),
        ("", ""),
        ("<", "<"),
        ("<b", "<b"),
    ],
)
def test_visible_text_is_kept(source: str, text: str) -> None:
    assert html_to_text(source)[0].strip(" ") == text


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "DISPLAY : NONE !important",
        "color:red; visibility: hidden",
        "opacity:0",
        "display:block;display:none",
        "display:/**/none",
    ],
)
def test_hidden_text_is_dropped(style: str) -> None:
    assert html_to_text(f'a<div style="{style}">b<div>c</div>d</div>e')[0] == "a\ne"
    assert html_to_text(f"a<p style='{style}'>b<p>e")[0] == "a\n\ne"


@pytest.mark.parametrize(
    "style",
    [
        "font-size:0.8em",
        "display:block",
        "line-font-size:0",
        "opacity:0.5",
        "font-size:01px0",
        "backface-visibility:hidden",
        "content-visibility:hidden",
        "--x:display:none",
        "display:none;display:block",
        "mso-hide:all",  # obeyed by one program only
        "font-size:0",  # of a container: its children set it anew
    ],
)
def test_visible_styles_hide_nothing(style: str) -> None:
    assert html_to_text(f'<div style="{style}">b</div>')[0] == "b"


@pytest.mark.parametrize("style", ["font-size:0", "font-size: 0px;", "font-size:0.0em"])
def test_text_of_no_size_is_dropped(style: str) -> None:
    assert html_to_text(f'a<span style="{style}">b<i>c</i></span>d')[0] == "ad"


def test_the_hidden_attribute_hides() -> None:
    assert html_to_text("a<span hidden>b</span>c")[0] == "ac"


@pytest.mark.parametrize(
    "attribute",
    [
        'class="overflow-hidden"',
        'class="hidden-xs"',
        'class="hidden"',
        'aria-hidden="false"',
        'title="the hidden field"',
        "id=hidden-note",
        'name="hidden"',
        'onclick="this.hidden=false"',
        'data-style="display:none"',
        'title="style=display:none"',
        "data-hidden",
    ],
)
def test_other_attributes_and_values_that_speak_of_hiding_hide_nothing(attribute: str) -> None:
    assert html_to_text(f"a<div {attribute}>b</div>c")[0] == "a\nb\nc"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p><span style='display:none'>pre</p><p>seen</p>", "seen"),
        ("<div><b hidden>x<i>y</i></div>seen", "seen"),
        ("<table><tr hidden><td>x</table><p>seen", "seen"),
        ("<td><center style='display:none'>x</td><td>seen", "seen"),
        ("<div hidden>x</b>y<p>z</p></div>seen", "seen"),
        ("<div hidden><div>x</div>y</div>seen", "seen"),
    ],
)
def test_what_is_hidden_ends_with_the_element_around_it(source: str, text: str) -> None:
    assert html_to_text(source)[0].strip() == text


def test_beyond_the_tag_limit_tags_are_stripped_and_no_text_is_lost() -> None:
    text, left = html_to_text("<b>x</b> " * 50, tags=10)
    assert text.split() == ["x"] * 50
    assert left == 0


@settings(deadline=None)
@given(st.text(alphabet="<>/!-ab=\"'& ;#p9xdivstyle:none\n"))
def test_any_tag_soup_is_projected(source: str) -> None:
    text, left = html_to_text(source)
    assert isinstance(text, str)
    assert left >= 0


def test_a_huge_character_reference_is_left_alone() -> None:
    assert html_to_text("&#" + "9" * 5000 + ";")[0].startswith("&#9")
