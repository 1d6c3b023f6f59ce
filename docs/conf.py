"""How Sphinx builds the site: ``make docs`` writes it into ``docs/_build/html``."""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from building import chapters, reference  # noqa: E402

import scratchgen  # noqa: E402

project = "scratchgen"
author = "The scratchgen authors"
copyright = "The scratchgen authors. The licence is MIT"
version = release = scratchgen.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "equations.pages",
    "building.reference",
    "building.search",
    "building.sources",
    "building.traces",
    "building.readings",
    "building.reproduced",
]
exclude_patterns = [
    "_build",
    "building",
    "conf.py",
    "equations/*.py",
    "**.ipynb_checkpoints",
]

# The chapters are the files of tutorials/, as notebooks; the reference names what is public.
chapters.write(HERE.parent / "tutorials", HERE)
reference.write(HERE / "reference")

equations_source = "src:{path}:{line}"

# Every notebook runs, or its cached outputs are those of the same code; an error ends the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "executed")
nb_execution_timeout = 600  # seconds for a cell, on a machine that is busy too
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_number_source_lines = False

myst_enable_extensions = [
    "amsmath",
    "attrs_block",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
]
myst_url_schemes = {"http": None, "https": None, "mailto": None, "src": None}
myst_dmath_double_inline = True
myst_heading_anchors = 3

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "scratchgen"
# MathJax comes from a package, as all else does: a page asks no other host for anything.
mathjax_path = "mathjax/tex-chtml.js"
html_static_path = [
    "_static",
    str(Path(find_spec("sphinx-mathjax-offline").origin).parent / "static"),
]
html_css_files = ["site.css"]
html_favicon = "_static/delta.svg"
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "show_nav_level": 1,
    "navigation_depth": 2,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "equations/index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "back_to_top_button": False,
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
without_parts = ("index", "traces", "gallery", "scope", "glossary", "readings", "source/**")
html_sidebars = {page: [] for page in without_parts}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
