"""Search for symbols as well as words: ``∂C/∂W``, ``σ′`` and ``ᾱ_t`` are terms of the index.

Sphinx splits a text where no letter stands, and so drops ``∂``. Here a term may contain the symbols
of derivatives, and is found whole and by its parts.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.search import languages
from sphinx.search.en import SearchEnglish


class SearchMathematics(SearchEnglish):
    """English, in which ∂ and ∇ are letters, and a quotient of derivatives is a word."""

    _word_re = re.compile(r"[∂∇]\w*/∂\w+|[\w∂∇]+")
    js_splitter_code = (
        r"var splitQuery = (query) => "
        r"query.match(/[∂∇][\p{L}\p{N}_]*\/∂[\p{L}\p{N}_]+|[\p{L}\p{N}_∂∇]+/gu) || [];"
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Search so wherever the language is English."""
    languages["en"] = SearchMathematics
    return {"parallel_read_safe": True, "parallel_write_safe": True}
