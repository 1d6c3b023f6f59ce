"""`scratchgen check`: every rule of the library, and what a user's file declares."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli, gradcheck
from scratchgen import operations as ops

GOOD_AND_BAD = """
import numpy as np
import scratchgen as sg
from scratchgen import check_gradient  # what is imported is no check

W, x, y = (np.random.default_rng(0).standard_normal(s) for s in [(4, 3), (5, 3), (5, 4)])


def cost(W, x, y):
    return ((np.tanh(x @ W.T) - y) ** 2).sum() / 2


def check_right():
    def by_hand(W, x, y):
        a = np.tanh(x @ W.T)
        return ((a - y) * (1 - a**2)).T @ x

    return sg.check_gradient(cost, by_hand, W, x, y)


def check_wrong():
    def by_hand(W, x, y):
        return (np.tanh(x @ W.T) - y).T @ x

    return sg.check_gradient(cost, by_hand, W, x, y)
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", ops.__all__)
def test_every_equation_of_every_rule_is_tried_and_agrees(name, device):
    ((named, report),) = gradcheck.check_rules(name, device)
    assert named == name
    assert report.ok, report
    assert report.entries
    assert all(entry.max_relative_error < 1e-9 for entry in report.entries)


def test_all_rules_are_checked_one_line_for_each_equation(capsys):
    assert cli.main(["check"]) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["rule", "equation"]
    assert {line.split()[0] for line in lines} == set(ops.__all__)
    assert all(line.endswith("agrees") for line in lines)
    assert [line.split()[1] for line in lines if line.startswith("affine ")] == [
        "∂C/∂a", "∂C/∂W", "∂C/∂b",
    ]  # fmt: skip
    assert last == f"{len(lines)} equations tried, none wrong"


def test_a_wrong_rule_is_reported_with_its_diagnosis_and_exit_code_1(capsys, monkeypatch):
    @sg.differentiable
    def tanh(z):
        return np.tanh(z), (lambda delta: -delta * (1 - np.tanh(z) ** 2),)

    monkeypatch.setattr(ops, "tanh", tanh)
    assert cli.main(["check", "tanh"]) == 1
    printed = capsys.readouterr().out
    assert "the sign is wrong" in printed
    assert "1 equation tried, 1 wrong" in printed


def test_an_unknown_rule_is_one_line_with_what_was_meant_and_exit_code_2(capsys):
    assert cli.main(["check", "afine"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "scratchgen: no rule is called 'afine': did you mean affine?\n"


def test_a_file_is_checked_by_the_functions_that_it_declares(file, capsys):
    assert cli.main(["check", str(file(GOOD_AND_BAD))]) == 1
    printed = capsys.readouterr().out
    assert "check_right: agrees" in printed
    assert "check_wrong: DISAGREES" in printed
    assert "σ′ is missing" in printed
    assert printed.endswith("failed: check_wrong\n")
    assert cli.main(["check", str(file(GOOD_AND_BAD.partition("def check_wrong")[0]))]) == 0
    assert capsys.readouterr().out.endswith("every check agrees\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "declares no check"),
        ("from scratchgen import check_gradient\n", "declares no check"),
        ("def check_it(:\n", "SyntaxError"),
        ("import no_such_module\n", "line 1: ModuleNotFoundError: No module named"),
    ],
)
def test_a_file_that_cannot_be_checked_is_one_line_and_exit_code_2(file, capsys, text, said):
    assert cli.main(["check", str(file(text))]) == 2
    _, err = capsys.readouterr()
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return True", "line 1: check_broken returns bool, expected the report"),
        ("pass", "check_broken returns NoneType, expected the report"),
        ("return []", "check_broken returns list of nothing, expected the report"),
        ("return [1, 2]", "check_broken returns list of int, expected the report"),
        ("raise AssertionError('no\\nno')", "line 2: AssertionError: no no"),
        ("return 1 / 0", "line 2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_check_that_gives_no_report_fails_and_the_others_go_on(file, capsys, body, said):
    broken = f"def check_broken():\n    {body}\n"
    path = file(broken + GOOD_AND_BAD.partition("def check_wrong")[0])
    assert cli.main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("check_broken: NOT RUN\n✗ no report came: ")
    assert said in " ".join(out.split())
    assert "check_right: agrees" in out
    assert out.endswith("failed: check_broken\n")


def test_a_missing_file_is_one_line_and_exit_code_2(capsys):
    assert cli.main(["check", "no_such_file.py"]) == 2
    assert capsys.readouterr().err == "scratchgen: no_such_file.py is no file\n"


def test_modules_beside_the_file_can_be_imported(file, tmp_path):
    (tmp_path / "beside.py").write_text("NUMBER = 3\n")
    path = file(GOOD_AND_BAD.replace("import numpy as np", "import beside\nimport numpy as np", 1))
    assert [name for name, _ in gradcheck.check_file(path)] == ["check_right", "check_wrong"]


SEVERAL = """
import numpy as np
import scratchgen as sg


def report(factor, size=2):
    return sg.check_gradient(lambda w: (w**2).sum(), lambda w: factor * w, np.ones(size))


def check_list():
    return [report(2, size) for size in (1, 2)]


def check_dict():
    return {"small": report(2, 1), "large": report(1, 5)}


def check_yields():
    for size in (1, 2):
        yield report(2, size)


def check_asserts():
    sg.assert_gradient(lambda w: (w**2).sum(), lambda w: w, np.ones(2))
"""


def test_a_check_may_return_several_reports_yield_them_or_raise_one(file, capsys):
    path = file(SEVERAL)
    reports = dict(gradcheck.check_file(path))
    assert {name: report.verdict for name, report in reports.items()} == {
        "check_list[0]": "agrees",
        "check_list[1]": "agrees",
        "check_dict[small]": "agrees",
        "check_dict[large]": "DISAGREES",
        "check_yields[0]": "agrees",
        "check_yields[1]": "agrees",
        "check_asserts": "DISAGREES",
    }
    assert cli.main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"check_asserts: DISAGREES\n{reports['check_asserts']}\n" in out
    assert out.endswith("failed: check_dict[large], check_asserts\n")


def test_a_module_is_checked_by_its_name(tmp_path, capsys, monkeypatch):
    package = tmp_path / "package_of_checks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(GOOD_AND_BAD)
    (tmp_path / "module_of_checks.py").write_text(GOOD_AND_BAD.partition("def check_wrong")[0])
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "module_of_checks"]) == 0
    assert capsys.readouterr().out.endswith("every check agrees\n")
    assert cli.main(["check", "package_of_checks.mine"]) == 1
    assert capsys.readouterr().out.endswith("failed: check_wrong\n")
    assert cli.main(["check", "package_of_checks.yours"]) == 2
    assert "no module is called 'package_of_checks.yours'" in capsys.readouterr().err


def test_the_cost_of_the_first_check_that_fails_is_traced_with_its_fault(file, tmp_path, capsys):
    page = tmp_path / "trace.html"
    assert cli.main(["trace", str(file(GOOD_AND_BAD)), "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("check_wrong: DISAGREES\n")
    assert "✗ ∂C/∂z = δ σ′" in out
    assert "σ′ is missing" in page.read_text("utf-8")
    assert cli.main(["trace", "tanh"]) == 2
    assert "'tanh' is no file FILE.py and no module" in capsys.readouterr().err
