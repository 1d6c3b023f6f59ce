"""What a notebook shows where a cell ends: each picture once, each finding as a table."""

import pytest

# Whoever reads a notebook has both; they come with the extra "test".
pytest.importorskip("ipykernel", reason="a notebook runs in ipykernel, which is missing")
nbclient = pytest.importorskip("nbclient", reason="a notebook is run by nbclient, which is missing")
nbformat = pytest.importorskip("nbformat", reason="a notebook is written by nbformat")

BEGIN = """
import numpy as np
import scratchgen as sg
from scratchgen import operations as ops, plotting

images, labels = sg.datasets.digits()
model = sg.models.vae.dense(64, 8, 2, sg.generator(0))
history = sg.fit(model, images[:64], epochs=3, batch_size=32, rng=sg.generator(0))
x = sg.Tensor(np.linspace(-1, 1, 6).reshape(2, 3))
trace = sg.trace(ops.tanh(x).sum(), {"x": x})
report = sg.check_gradient(lambda w: (w**2).sum(), lambda w: w, np.ones(3))
decode = model.frozen().decode
"""
PICTURES = [
    "history.plot()",
    "trace.plot()",
    "plotting.learning_curves({'cost': [2.0, 1.0]})",
    "plotting.learning_panels({'nats': {'D': [1.4]}, 'probability': {'D(x)': [0.5]}})",
    "plotting.delta_norms({'out': 1.0, 'in': 0.1})",
    "plotting.noise_schedule([0.1, 0.2])",
    "plotting.image_grid(images[:9])",
    "plotting.image_table({'a': images[:3], 'b': images[3:6]})",
    "plotting.filters(model.encoder.parameters()[0].data)",
    "plotting.reconstructions(images[:3], images[3:6])",
    "plotting.latent_scatter(np.eye(3), [0, 1, 2])",
    "plotting.interpolation(lambda h: decode(h.astype('f')), np.zeros(2), np.ones(2))",
    "plotting.manifold(lambda h: decode(h.astype('f')), n=3)",
    "plotting.confusion_matrix([[3, 1], [0, 4]])",
    "plotting.titled(plotting.image_grid(images[:9]), 'nine digits')",
]
PLAYED = "plotting.animation({f't = {t}': images[t : t + 4] for t in range(3)})"
FAILED = "sg.assert_gradient(lambda w: (w**2).sum(), lambda w: w, np.ones(3))"
TABLES = ["history", "history[-1]", "trace", "report", "x", "ops.tanh(x)"]


@pytest.fixture(scope="module")
def outputs():
    """Runs cells, each on its own after the first, and returns the outputs of each by its text."""

    def run(cells):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python"}},
        )
        client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
        client.allow_errors = True
        client.execute()
        return {cell.source: cell.outputs for cell in notebook.cells}

    return run


@pytest.fixture(scope="module")
def shown(outputs):
    """The outputs of a notebook that has never heard of pyplot."""
    return outputs([BEGIN, *PICTURES, *TABLES, PLAYED, FAILED])


def kinds(outputs):
    """The kinds of data that the outputs of a cell hold, one list for each picture or result."""
    return [sorted(output.data) for output in outputs if "data" in output]


def test_training_prints_its_epochs_and_no_warning(shown):
    assert {output.get("name") for output in shown[BEGIN]} == {"stdout"}
    printed = "".join(output.text for output in shown[BEGIN])
    assert [line[:9] for line in printed.splitlines()] == [f"epoch   {k}" for k in (1, 2, 3)]


@pytest.mark.parametrize("cell", PICTURES)
def test_a_plot_that_ends_a_cell_is_a_picture(shown, cell):
    assert kinds(shown[cell]) == [["image/png", "text/plain"]]


@pytest.mark.parametrize("cell", TABLES)
def test_what_ends_a_cell_is_a_table(shown, cell):
    assert kinds(shown[cell]) == [["text/html", "text/plain"]]
    (output,) = shown[cell]
    assert output.data["text/html"].startswith("<table>")


def test_an_animation_that_ends_a_cell_is_played(shown):
    assert kinds(shown[PLAYED]) == [["image/gif", "text/plain"]]


def test_with_inline_figures_each_picture_is_shown_once(outputs):
    own = "plotting.image_grid(images[:9])"
    given = "figure, axes = plt.subplots(1, 2)\nplotting.image_grid(images[:9], axes[0]);"
    last = "figure, ax = plt.subplots()\nplotting.image_grid(images[:9], ax)"
    begin = f"%matplotlib inline\nimport matplotlib.pyplot as plt\n{BEGIN}"
    cells = outputs([begin, own, given, last])
    for cell in (own, given, last):
        held = [kind for output in kinds(cells[cell]) for kind in output]
        assert held.count("image/png") == 1, cell


def test_a_check_that_fails_says_so_in_its_table(shown):
    (error,) = shown[FAILED]
    assert error.ename == "AssertionError"
    head, rule, row = error.evalue.splitlines()[1:4]
    assert head.split() == ["equation", "shape", "worst", "entry", "given", "numerical", "verdict"]
    assert set(rule) == {"─", " "}
    assert row.endswith("DISAGREES")
