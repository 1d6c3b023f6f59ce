"""The page of readings names every paper that the library cites by its number."""

import re
from pathlib import Path

import scratchgen

ROOT = Path(scratchgen.__file__).parents[1]
PAGE = (ROOT / "docs" / "readings.md").read_text(encoding="utf-8")
FILES = [*(ROOT / "scratchgen").rglob("*.py"), *(ROOT / "tutorials").glob("*.py")]
WRITTEN = " ".join(re.sub(r"[\s#]+", " ", path.read_text(encoding="utf-8")) for path in FILES)
LINES = re.findall(r"^([^|\n]+) \| [^|\n]+ \| [^|\n]+ \| \d{4}$", PAGE, re.MULTILINE)


def test_each_paper_that_the_library_cites_by_its_number_is_on_the_page():
    library = "".join(path.read_text("utf-8") for path in (ROOT / "scratchgen").rglob("*.py"))
    assert set(re.findall(r"arXiv:\d{4}\.\d{4,5}", library)) <= {*LINES}


def test_each_paper_in_the_tables_is_in_a_docstring():
    assert len(LINES) > 60
    assert [key for key in LINES if key not in WRITTEN] == []


def test_the_glossary_and_the_scope_link_to_names_that_exist():
    for page in ("glossary", "scope", "readings"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for dotted in re.findall(r"{src}`(scratchgen[\w.]+)`", text):
            parts = dotted.split(".")
            inside = [ROOT.joinpath(*parts[:k]) for k in range(len(parts), 0, -1)]
            assert any(p.is_dir() or p.with_suffix(".py").is_file() for p in inside[:2]), dotted
