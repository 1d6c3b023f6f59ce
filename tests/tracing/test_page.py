"""The page: complete in itself, and its numbers are those of the gradient."""

import json
import os
import pathlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import operations as ops
from scratchgen import tracing
from scratchgen.tracing import page as pages
from tests import strict
from tests.tracing.test_trace import network, vae


class Structure(HTMLParser):
    """The elements of a page, their attributes, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += text


def content(trace, tmp_path):
    trace.to_html(tmp_path / "trace.html")
    return json.loads(Structure((tmp_path / "trace.html").read_text("utf-8")).scripts[0])


def numbers(described, index):
    array = described["arrays"][index]
    return np.array(array["planes"]).reshape(array["shape"])


def test_the_page_is_one_file_that_fetches_nothing(tmp_path):
    tracing.lecture().to_html(tmp_path / "trace.html")
    assert os.listdir(tmp_path) == ["trace.html"]
    text = (tmp_path / "trace.html").read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\((?!#)|fetch\(|import\(", text)
    page = Structure(text)
    assert not page.open
    tags = [tag for tag, _ in page.elements]
    assert not {*tags} & {"link", "img", "iframe", "object", "embed"}
    assert tags.count("script") == 2
    assert not any({"src", "srcset"} & attributes.keys() for _, attributes in page.elements)
    (policy,) = [
        a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")


def test_every_control_has_a_name(tmp_path):
    tracing.lecture().to_html(tmp_path / "trace.html")
    text = (tmp_path / "trace.html").read_text("utf-8")
    elements = Structure(text).elements
    controls = {a["id"] for tag, a in elements if tag in ("button", "input")}
    assert controls == {"previous", "next", "scrubber", "theme", "predict"}
    for tag, attributes in elements:
        if tag == "input" or attributes.get("id") == "theme":
            assert attributes["aria-label"]
    assert 'id="step" class="card" aria-live="polite"' in text


def test_the_numbers_are_those_of_the_gradient(tmp_path):
    cost, net = network()
    parameters = dict(net.named_parameters())
    described = content(sg.trace(cost, parameters), tmp_path)
    for g, expected in zip(
        described["gradients"], sg.gradient(cost, net.parameters()), strict=True
    ):
        np.testing.assert_array_equal(
            numbers(described, g["value"]).astype(np.float32), expected, err_msg=g["name"]
        )
    assert [g["name"] for g in described["gradients"]] == [*parameters]


def test_steps_go_forward_through_the_values_and_backward_through_the_lines(tmp_path):
    cost, model, _ = vae()
    trace = sg.trace(cost, dict(model.named_parameters()))
    described = content(trace, tmp_path)
    nodes, lines = described["nodes"], described["lines"]
    phases = [step["phase"] for step in described["steps"]]
    n = sum(node["kind"] == "operation" for node in nodes)
    assert phases == ["start", *["forward"] * n, "seed", *["backward"] * len(trace), "end"]
    known = {k for k, node in enumerate(nodes) if node["kind"] != "operation"}
    for step in described["steps"][1 : n + 1]:
        assert {k for k in nodes[step["node"]]["inputs"] if isinstance(k, int)} <= known
        known.add(step["node"])
    assert known == {*range(len(nodes))}
    for line, shown in zip(trace, lines, strict=True):
        assert (nodes[shown["of"]]["symbol"], nodes[shown["to"]]["symbol"]) == (line.of, line.to)
        assert shown["equation"] == line.equation
        np.testing.assert_array_equal(
            numbers(described, shown["share"]).astype(np.float32), line.share
        )


def test_faults_that_a_check_found_are_on_the_page_and_the_wrong_derivative_beside_the_right(
    tmp_path,
):
    x = sg.Tensor(np.array([0.5, -1.0]))
    a = ops.tanh(x)
    trace = sg.trace(a.sum(), {"x": x}, faults={(a, 0): "σ′ is missing"}, wrong={"x": np.ones(2)})
    described = content(trace, tmp_path)
    assert [line["fault"] for line in described["lines"]] == ["", "σ′ is missing"]
    (of_x,) = described["gradients"]
    np.testing.assert_array_equal(numbers(described, of_x["given"]), np.ones(2))
    plain = content(sg.trace(a.sum(), {"x": x}), tmp_path)
    assert not any(line["fault"] for line in plain["lines"])
    assert plain["gradients"][0]["given"] is None


def test_no_two_operations_stand_in_one_place_and_inputs_stand_before(tmp_path):
    cost, model, _ = vae()
    nodes = content(sg.trace(cost, model.parameters()), tmp_path)["nodes"]
    made = [node for node in nodes if node["kind"] == "operation"]
    assert len({(node["column"], node["row"]) for node in made}) == len(made)
    for node in made:
        for k in node["inputs"]:
            if isinstance(k, int) and nodes[k]["kind"] == "operation":
                assert nodes[k]["column"] < node["column"]


def test_no_name_ends_the_script_that_it_stands_in(tmp_path):
    x = sg.Tensor(np.ones(2))
    name = "</script><script>alert(1)</script><!-- & \u2028"
    described = content(sg.trace((x * x).sum(), {name: x}), tmp_path)
    assert described["gradients"][0]["name"] == name


def test_numbers_that_are_not_finite_are_words(tmp_path):
    x = sg.Tensor(np.array([0.0, -1.0, 1.0]))
    with np.errstate(all="ignore"):
        trace = sg.trace(ops.log(x).sum() * np.inf, [x])
        described = content(trace, tmp_path)
    assert described["arrays"][described["gradients"][0]["value"]]["planes"] == [[["∞", "−∞", "∞"]]]


@pytest.mark.parametrize("shape", [(2000,), (100, 300), (40, 3, 28, 28), (0, 5), (5000, 1)])
def test_of_a_large_array_entries_evenly_spaced_are_kept(shape, tmp_path):
    x = sg.Tensor(np.arange(np.prod(shape), dtype=float).reshape(shape))
    described = content(sg.trace((x * 2).sum(), {"x": x}), tmp_path)
    (node,) = [node for node in described["nodes"] if node["symbol"] == "x"]
    array = described["arrays"][node["value"]]
    kept = np.array(array["planes"])
    assert kept.size <= pages.ENTRIES
    assert array["shape"] == [*shape]
    if x.data.size > pages.ENTRIES:
        assert kept.size > pages.ENTRIES / 4
        assert array["of"] == x.data.size
        planes = x.data.reshape(-1, *([1, *shape][-2:]))[: len(kept)]
        expected = planes[:, array["rows"]][:, :, array["columns"]]
        np.testing.assert_allclose(kept, expected, rtol=1e-3)


def test_a_large_graph_stays_a_few_megabytes(tmp_path):
    x = y = sg.Tensor(np.ones((20, 30)))
    for _ in range(1000):
        y = ops.tanh(y)
    path = tmp_path / "trace.html"
    sg.trace(y.sum(), [x]).to_html(path)
    assert path.stat().st_size < 8e6


def test_settings_are_shown_as_they_are_written(tmp_path):
    x = sg.Tensor(np.ones((4, 6)))
    cost = x[:, 1:5:2].sum(axis=0).sum()
    shown = [node.get("settings") for node in content(sg.trace(cost, [x]), tmp_path)["nodes"]]
    assert shown[1:3] == ["key = (:, 1:5:2)", "axis = 0"]


def test_the_page_of_a_device_is_that_of_the_host(monkeypatch):
    strict.install(monkeypatch)
    x, W = np.ones((2, 3)), np.full((4, 3), 0.5)

    def described(device):
        on = [sg.Tensor(sg.to_device(W, device)), sg.to_device(x, device)]
        return pages.describe(sg.trace(ops.tanh(ops.affine(on[1], on[0])).sum(), [on[0]]))

    assert described("cuda") == described("cpu")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        tracing.lecture().to_html(tmp_path / "missing" / "trace.html")
    assert not [*tmp_path.iterdir()]


def test_every_equation_says_why_and_where_its_rule_stands(tmp_path):
    described = content(tracing.lecture(), tmp_path)
    assert all(line["why"].endswith(".") for line in described["lines"])
    places = {node["operation"]: node["place"] for node in described["nodes"] if "place" in node}
    for name, place in places.items():
        path, _, line = place.partition(":")
        text = pathlib.Path(sg.__file__).parents[1].joinpath(path).read_text("utf-8").splitlines()
        assert f"def {name}(" in "".join(text[int(line) - 1 : int(line) + 1])


def test_a_page_of_a_site_links_to_the_rules_of_the_library_and_to_no_others(tmp_path):
    @sg.differentiable
    def twice(x):
        """z = 2 x:  ∂C/∂x = 2 δ."""
        return 2 * x, (lambda delta: 2 * delta,)

    x = sg.Tensor([1.0])
    described = pages.describe(sg.trace(twice(x).sum(), [x]), source="{file}#{line}")
    made = {node["operation"]: node for node in described["nodes"] if "href" in node}
    assert made["sum"]["href"] == made["sum"]["place"].replace(":", "#")
    assert made["twice"]["href"] == ""
    assert made["twice"]["place"].startswith("test_page.py:")


def test_what_was_drawn_before_comes_before_the_first_operation(tmp_path):
    x, u = sg.Tensor([2.0]), np.array([0.3])
    drawn = pages.Prepared("h = 1 where u < p, else 0", np.ones(1), {"u": u, "p": 0.5}, "Chance.")
    described = pages.describe(sg.trace((x * drawn.value).sum(), [x]), [drawn])
    assert [step["phase"] for step in described["steps"]][:3] == ["start", "prepared", "forward"]
    (shown,) = described["prepared"]
    assert numbers(described, shown["values"]["u"]) == 0.3
    factor = next(node for node in described["nodes"] if node["kind"] == "constant")
    assert factor["value"] == shown["value"]


def test_a_title_is_text(tmp_path):
    tracing.lecture().to_html(tmp_path / "trace.html", title="δ < ε & more")
    text = (tmp_path / "trace.html").read_text("utf-8")
    assert text.count("δ &lt; ε &amp; more") == 2
