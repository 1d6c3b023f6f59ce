"""A chapter shows the source as it stands, and an exercise with a wrong answer is not solved."""

import importlib
import inspect

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen.learning import attempt, panels, source


def test_the_source_of_a_rule_is_its_file_less_the_docstring():
    shown = source(ops.affine)
    path, line = shown.place.split(":")
    assert path == "scratchgen/operations/layers.py"
    lines = inspect.getsource(inspect.getmodule(inspect.unwrap(ops.affine))).split("\n")
    first, *rest = shown.code.split("\n")
    assert lines[int(line) - 1] == first
    assert rest[-1] in lines
    assert "lambda delta: delta @ W" in shown.code
    assert '"""' not in shown.code
    assert '"""' in source(ops.affine, docstring=True).code


def test_the_source_of_a_method_begins_at_its_margin():
    assert source(sg.models.VAE.elbo).code.startswith(("def elbo", "@"))


def test_a_notebook_shows_the_source_as_code_with_its_place():
    shown = source(sg.train)
    assert shown._repr_markdown_() == f"```python\n{shown.code}\n```\n\n`{shown.place}`\n"


def test_what_has_no_source_is_refused():
    with pytest.raises(TypeError, match="has no source in Python"):
        source(np.ones(3))


def test_a_panel_shows_its_whole_figure():
    left, right = panels(1, 2, size=(4, 2))
    assert left.figure is right.figure
    assert left._repr_png_().startswith(b"\x89PNG")


def test_an_attempt_prints_solved_or_what_is_wrong(capsys):
    def check(answer):
        sg.assert_gradient(lambda z: (z * z).sum(), answer, np.array([1.0, 2.0]))

    attempt(check, lambda z: 2 * z)
    assert capsys.readouterr().out == "solved\n"
    attempt(check, lambda z: z)
    assert capsys.readouterr().out.startswith("not solved yet: ")
    attempt(check, lambda z: None)
    assert capsys.readouterr().out.startswith("not solved yet: ")


def test_an_exercise_on_a_package_that_is_missing_is_not_tried(capsys):
    def check(answer):
        importlib.import_module("no_such_package")

    attempt(check, None)
    assert capsys.readouterr().out == "not tried: no_such_package is not installed\n"
