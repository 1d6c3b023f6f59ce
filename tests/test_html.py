"""Tables of words: every cell in its place, and nothing in them that a browser would obey."""

from hypothesis import given
from hypothesis import strategies as st

from scratchgen.html import BAD, GOOD, OPEN, Tinted, table
from tests.reading import Reader

words = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@given(st.lists(st.lists(words, min_size=3, max_size=3), min_size=1), st.lists(words))
def test_every_text_is_read_as_it_was_given_and_none_becomes_a_tag(rows, below):
    read = Reader(table(rows[0], rows[1:], below))
    assert read.rows == rows
    assert read.paragraphs == below
    assert read.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p"}


def test_a_script_is_shown_and_not_run():
    page = table(["<script>alert(1)</script>"], [['"><b onclick=x>']], ["<img src=x>"])
    assert Reader(page).tags == {"table", "thead", "tbody", "tr", "th", "td", "p"}
    assert "&lt;script&gt;" in page


def test_no_colour_is_set_so_that_it_is_read_on_a_dark_page_too():
    page = table(["a"], [[1]], ["b"])
    assert "color" not in page
    assert "background" not in page


@given(words, words)
def test_a_tint_lets_the_page_through_and_its_title_is_only_words(text, title):
    page = table(["a"], [[Tinted(text, GOOD, title)]])
    assert Reader(page).rows[1] == [text]
    assert Reader(page).tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert all(float(tint.split("/")[1].strip(" )")) < 0.5 for tint in (GOOD, BAD, OPEN))
    assert "background:" + GOOD in page
