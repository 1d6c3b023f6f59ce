"""What a person types, and what they see: each command, its files, its exit code, its one line."""

import csv
import json
import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from tests import strict

QUICK = ["train", "vae", "--epochs", "2", "--hidden", "16"]
PICTURES = {
    f"{name}.png"
    for name in ["curves", "samples", "reconstructions", "latents", "interpolation", "epochs"]
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "scratchgen", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **settings,
    )


def test_train_leaves_a_folder_with_model_history_config_and_pictures(elsewhere, capsys):
    assert cli.main(QUICK) == 0
    run = elsewhere / "runs" / "vae-digits"
    assert {p.name for p in run.iterdir()} == {
        *("config.json", "model.safetensors", "history.csv", "epochs.npz", "epochs.gif"),
        *("manifold.png", "traversals.png", "editing.png", *PICTURES),
    }  # fmt: skip
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["cost"]) < float(rows[0]["cost"])
    assert json.loads((run / "config.json").read_text())["hidden"] == 16
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == [
        "digits: 1797 grey images of 8 × 8 pixels, numbers from 0 to 1",
        "  1438 samples to train on, 359 held out",
        "  10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ]
    assert [line[:9] for line in printed[3:5]] == ["epoch   1", "epoch   2"]
    assert printed[-4].startswith("left in runs/vae-digits/: ")
    assert printed[-3] == "look at runs/vae-digits/samples.png"


def arrays_of(path):
    """The arrays of an .npz file, which is closed."""
    with np.load(path) as file:
        return dict(file)


def test_samples_of_the_epochs_are_kept_through_a_resume(elsewhere):
    whole = [*QUICK, "--out", "whole", "--epochs", "4"]
    assert cli.main(whole) == 0
    assert cli.main([*QUICK, "--out", "run", "--epochs", "2"]) == 0
    assert cli.main([*QUICK, "--out", "run", "--epochs", "4", "--resume"]) == 0
    kept, expected = arrays_of("run/epochs.npz"), arrays_of("whole/epochs.npz")
    assert list(kept) == ["1", "2", "4"]
    for epoch in kept:
        assert kept[epoch].shape == (5, 64)
        np.testing.assert_array_equal(kept[epoch], expected[epoch])


def test_every_run_has_a_folder_of_its_own(elsewhere):
    assert [cli.main(QUICK) for _ in range(3)] == [0, 0, 0]
    names = {p.name for p in (elsewhere / "runs").iterdir()}
    assert names == {"vae-digits", "vae-digits-2", "vae-digits-3"}


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert cli.main([*QUICK, "--out", name, "--seed", str(seed)]) == 0
    a, b, c = (sg.load(f"{name}/model.safetensors").model.state_dict() for name in "abc")
    assert all((a[k] == b[k]).all() for k in a)
    assert not (a["encoder.0.weight"] == c["encoder.0.weight"]).all()


def test_sample_draws_pictures_and_arrays_from_a_run(elsewhere, capsys):
    cli.main([*QUICK, "--out", "run"])
    assert cli.main(["sample", "run", "--n", "7", "--out", "seven.npy"]) == 0
    assert np.load("seven.npy").shape == (7, 1, 8, 8)
    assert cli.main(["sample", "run", "--n", "9", "--out", "nine.png"]) == 0
    assert (elsewhere / "nine.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "seven.npy: 7 means E[x|h], after 2 epochs",
        "nine.png: 9 means E[x|h], after 2 epochs",
    ]


def test_evaluate_says_how_good_a_run_is(capsys):
    cli.main([*QUICK, "--out", "run"])
    capsys.readouterr()
    assert cli.main(["evaluate", "run"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("run: vae after 2 epochs")
    parts = dict(line.strip().split("  ", 1) for line in printed.splitlines()[1:])
    elbo = float(parts["−ELBO"].split()[0])
    assert 30 < elbo < 45
    bound = next(v for k, v in parts.items() if k.startswith("−log p(x)"))
    assert float(bound.split()[0]) < elbo


def test_evaluate_says_the_same_each_time(capsys):
    cli.main([*QUICK, "--out", "run"])
    capsys.readouterr()
    assert cli.main(["evaluate", "run"]) == cli.main(["evaluate", "run"]) == 0
    printed = capsys.readouterr().out
    assert printed[: len(printed) // 2] == printed[len(printed) // 2 :]


def test_info_names_versions_devices_and_data(capsys):
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    for word in ("scratchgen", "NumPy", "BLAS", "cuda", "mnist"):
        assert word in printed


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_file_of_ones_own_is_trained_on(elsewhere, likelihood):
    x = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    np.save("vectors.npy", x)
    assert cli.main([*QUICK, "--data", "vectors.npy", "--likelihood", likelihood]) == 0
    run = elsewhere / "runs" / "vae-vectors"
    assert {p.name for p in run.glob("*.png")} == {"curves.png", "latents.png"}


def test_gaussian_data_beyond_0_and_1_are_drawn_in_their_own_range(elsewhere):
    rng = np.random.default_rng(0)
    np.savez("own.npz", images=rng.normal(size=(60, 3, 4, 4)), labels=rng.integers(0, 10, 60))
    arguments = [*QUICK, "--data", "own.npz", "--likelihood", "gaussian", "--out", "run"]
    assert cli.main(arguments) == 0
    assert cli.main(["sample", "run"]) == 0
    low, high = json.loads((elsewhere / "run" / "config.json").read_text())["value_range"]
    assert low < -1
    assert high > 1


def test_the_whole_command_line_runs_on_a_device(elsewhere, monkeypatch):
    strict.install(monkeypatch)
    assert cli.main([*QUICK, "--device", "cuda", "--out", "there"]) == 0
    assert cli.main([*QUICK, "--device", "cpu", "--out", "here"]) == 0
    # Trainings in float32 part by rounding: few steps leave three digits of their costs.
    here, there = (sg.load(f"{name}/model.safetensors").history for name in ("here", "there"))
    for a, b in zip(here, there, strict=True):
        assert a.values() == pytest.approx(b.values(), rel=1e-3)
    assert cli.main(["evaluate", "there", "--device", "cuda"]) == 0
    assert cli.main(["sample", "there", "--device", "cuda"]) == 0
    more = ["--out", "there", "--epochs", "3", "--resume"]
    assert cli.main(["train", "vae", *more]) == 0


# Resuming


def test_a_resumed_run_has_the_bits_of_one_that_was_not_interrupted():
    assert cli.main([*QUICK, "--out", "whole", "--epochs", "4"]) == 0
    assert cli.main([*QUICK, "--out", "parts"]) == 0
    assert cli.main(["train", "vae", "--out", "parts", "--epochs", "4", "--resume"]) == 0
    whole, parts = (sg.load(f"{name}/model.safetensors") for name in ("whole", "parts"))
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert [e.values() for e in whole.history] == [e.values() for e in parts.history]


def test_a_run_killed_at_ten_random_moments_and_resumed_has_the_bits_of_one_that_was_not(elsewhere):
    epochs, moments, killed = 100, random.Random(0), 0
    arguments = ["train", "vae", "--hidden", "64", "--batch-size", "16", "--epochs"]
    while killed < 10:
        process = command(*arguments, epochs, "--out", "killed", "--resume")
        try:
            _, errors = process.communicate(timeout=moments.uniform(0.2, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        else:  # it came to its end before it was killed: let it go on for longer
            assert process.returncode == 0, errors
            epochs += 100
    for run in ("killed", "whole"):
        process = command(*arguments, epochs, "--out", run, "--resume")
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    killed_run, whole = (sg.load(f"{run}/model.safetensors") for run in ("killed", "whole"))
    for a, b in zip(whole.model.parameters(), killed_run.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert [e.values() for e in whole.history] == [e.values() for e in killed_run.history]


def test_ctrl_c_saves_the_last_epoch_says_how_to_go_on_and_exits_130():
    process = command("train", "vae", "--epochs", "100000", "--out", "run")
    for line in process.stdout:
        if line.startswith("epoch   1 "):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert errors.count("\n") == 1
    assert "scratchgen train vae --out run --resume" in errors
    history = sg.load("run/model.safetensors").history
    assert len(history) >= 1
    assert (
        cli.main(["train", "vae", "--out", "run", "--resume", "--epochs", str(len(history))]) == 0
    )


# Bad input: one line on standard error, exit code 2, and nothing begun


def saved(name, **arrays):
    np.savez(name, **arrays)
    return name


IMAGES = np.full((20, 1, 4, 4), 0.5, np.float32)
NAN = np.where(np.arange(20)[:, None, None, None] == 3, np.nan, IMAGES)

REFUSED = {
    "an unknown model": (["train", "transformer"], "invalid choice: 'transformer'"),
    "no command": ([], "the following arguments are required"),
    "an unknown option": (["train", "vae", "--speed", "9"], "unrecognized arguments: --speed 9"),
    "a missing file": (["train", "vae", "--data", "no.npy"], "no.npy does not exist"),
    "unknown data": (["train", "vae", "--data", "cifar"], "got 'cifar'"),
    "another size": (["train", "vae", "--preset", "lecture", "--data", "digits"], "784 pixels"),
    "a negative rate": (["train", "vae", "--lr", "-1"], "--lr is a number above 0"),
    "a rate of NaN": (["train", "vae", "--lr", "nan"], "--lr is a number above 0"),
    "a fraction of an epoch": (["train", "vae", "--epochs", "1.5"], "0 to 1000000, got '1.5'"),
    "negative epochs": (["train", "vae", "--epochs", "-1"], "--epochs is a whole number from 0"),
    "an empty batch": (["train", "vae", "--batch-size", "0"], "--batch-size is a whole"),
    "a negative seed": (["train", "vae", "--seed", "-3"], "from 0 to 18446744073709551615, got -3"),
    "no latents": (["train", "vae", "--latent", "0"], "--latent is a whole number from 1"),
    "an unknown device": (["train", "vae", "--device", "tpu"], "one of cpu, cuda, got 'tpu'"),
    "resuming nothing": (["train", "vae", "--resume"], "name its folder with --out"),
    "a folder below a file": (["train", "vae", "--epochs", "1", "--out", "file/run"], "file"),
    "no run": (["sample", "nowhere"], "nowhere holds no run"),
    "no run to judge": (["evaluate", "nowhere"], "nowhere holds no run"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_with_exit_code_2(elsewhere, name, capsys):
    (elsewhere / "file").write_text("")
    arguments, words = REFUSED[name]
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("scratchgen: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert not (elsewhere / "runs").exists()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": NAN}, "not finite"),
        ({"images": IMAGES[:, 0, 0, 0]}, "expected"),
        ({"images": IMAGES * 3}, "a Bernoulli likelihood takes data in [0, 1], got 1.5 to 1.5"),
        ({"images": IMAGES, "labels": np.full(20, 0.5)}, "label 0 is 0.5"),
        ({"images": IMAGES, "labels": np.zeros(19, int)}, "labels"),
        ({"images": IMAGES[:5]}, "5 samples, at least 20"),
    ],
)
def test_data_that_are_no_samples_are_refused(elsewhere, arrays, words, capsys):
    assert cli.main(["train", "vae", "--data", saved("own.npz", **arrays)]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert words in printed
    assert not (elsewhere / "runs").exists()


def test_cuda_without_cupy_is_refused(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cli.main([*QUICK, "--device", "cuda"]) == 2
    assert "needs CuPy, which is not installed" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused(monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "runs")

    monkeypatch.setattr(cli.Path, "mkdir", refuse)
    assert cli.main(QUICK) == 2
    assert capsys.readouterr().err == "scratchgen: [Errno 13] Permission denied: 'runs'\n"


def test_a_corrupt_cache_is_refused(elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(elsewhere))
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (elsewhere / name).write_bytes(b"not MNIST")
    assert cli.main(["train", "vae", "--data", "mnist"]) == 2
    printed = capsys.readouterr().err
    assert "train-images-idx3-ubyte" in printed
    assert printed.count("\n") == 1


def test_a_folder_that_holds_a_run_is_not_overwritten(capsys):
    assert cli.main([*QUICK, "--out", "run"]) == 0
    assert cli.main([*QUICK, "--out", "run"]) == 2
    assert "run holds a run: go on with --resume" in capsys.readouterr().err


def test_a_run_is_resumed_as_it_was_begun(capsys):
    assert cli.main([*QUICK, "--out", "run"]) == 0
    assert cli.main(["train", "vae", "--out", "run", "--resume", "--seed", "5"]) == 2
    assert "begun with --seed 0, not 5" in capsys.readouterr().err


def test_a_damaged_run_is_named(elsewhere, capsys):
    assert cli.main([*QUICK, "--out", "run"]) == 0
    (elsewhere / "run" / "model.safetensors").write_bytes(b"0" * 1000)
    assert cli.main(["sample", "run"]) == 2
    assert "model.safetensors is no intact checkpoint" in capsys.readouterr().err
    (elsewhere / "run" / "config.json").write_text("{")
    assert cli.main(["sample", "run"]) == 2
    assert "config.json is damaged" in capsys.readouterr().err


def test_trace_prints_the_nine_derivatives_of_the_notes_and_the_equations_used(capsys):
    assert cli.main(["trace"]) == 0
    printed = capsys.readouterr().out
    assert "∂C/∂w₀₀⁽¹⁾ = δ₀⁽¹⁾ a₀⁽⁰⁾ = −0.013684" in printed
    assert sum(line.startswith("  ∂C/∂") for line in printed.splitlines()) == 9
    assert sum("∂C/∂W = δᵀ a" in line for line in printed.splitlines()) == 2


def test_trace_leaves_a_page_and_a_picture(elsewhere, capsys):
    assert cli.main(["trace", "--html", "trace.html", "--plot", "deltas.png"]) == 0
    assert (elsewhere / "trace.html").read_text("utf-8").startswith("<!doctype html>")
    assert (elsewhere / "deltas.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "to step through in a browser: trace.html",
        "‖δ‖ by layer: deltas.png",
    ]


@pytest.mark.parametrize("arguments", [
    ["--html", "missing/trace.html"], ["--html", "."], ["--plot", "deltas.pdf"],
    ["--plot", "missing/deltas.png"],
])  # fmt: skip
def test_trace_says_in_one_line_what_it_cannot_write(arguments, elsewhere, capsys):
    assert cli.main(["trace", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "vae", "--help"], ["--version"]])
def test_help_exits_with_0(arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0


# What is said at the end can be typed


@pytest.mark.parametrize(
    ("started", "interpreter", "found", "command"),
    [
        ("/v/bin/scratchgen", "/v/bin/python", {"scratchgen": "/v/bin/scratchgen"}, "scratchgen"),
        ("{here}/.venv/bin/scratchgen", "/v/bin/python", {}, ".venv/bin/scratchgen"),
        ("/x/__main__.py", "/v/bin/python", {"python": "/v/bin/python"}, "python -m scratchgen"),
        (
            *("/x/__main__.py", "{here}/.venv/bin/python", {"python": "/usr/bin/python"}),
            ".venv/bin/python -m scratchgen",
        ),
        ("/x/__main__.py", "/my env/python", {}, "'/my env/python' -m scratchgen"),
    ],
)
def test_the_commands_that_are_named_at_the_end_are_those_that_work_here(
    elsewhere, monkeypatch, capsys, started, interpreter, found, command
):
    monkeypatch.setattr(sys, "argv", [started.format(here=elsewhere)])
    monkeypatch.setattr(sys, "executable", interpreter.format(here=elsewhere))
    monkeypatch.setattr(cli.shutil, "which", found.get)
    monkeypatch.setattr(cli, "pictures", lambda *_: iter(()))
    assert cli.main([*QUICK, "--out", "my run"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"next: {command} evaluate 'my run'",
        f"      {command} sample 'my run' --n 100 --out hundred.npy",
    ]


def test_draws_of_a_vae_and_states_of_an_rbm_are_to_be_had(elsewhere, capsys):
    shown = {"vae": "draws x ~ p(x|h)", "rbm": "states v after 1000 steps from noise"}
    for model, what in shown.items():
        run = ["--out", model]
        assert cli.main(["train", model, "--hidden", "4", "--epochs", "1", *run]) == 0
        for more, said in ((["--draw"], what), ([], "means E[")):
            capsys.readouterr()
            assert cli.main(["sample", model, "--n", "9", "--out", "x.npy", *more]) == 0
            assert f"x.npy: 9 {said}" in capsys.readouterr().out
            values = np.unique(np.load("x.npy"))
            assert ([*values] == [0, 1]) is bool(more)


def test_samples_that_are_draws_in_any_case_say_so(elsewhere, capsys):
    assert cli.main(["train", "gan", "--hidden", "4", "--epochs", "1", "--out", "gan"]) == 0
    for more in ([], ["--draw"]):
        assert cli.main(["sample", "gan", "--n", "3", "--out", f"{len(more)}.npy", *more]) == 0
    assert "samples, which are draws in any case" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load("0.npy"), np.load("1.npy"))


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--steps", "3"], {"steps": 3}),
        (["--steps", "3", "--eta", "0.5"], {"steps": 3, "eta": 0.5}),
        (["--eta", "1"], {"eta": 1.0}),
    ],
)
def test_samples_by_ddim_are_those_of_the_model(elsewhere, capsys, options, settings):
    cli.main(["train", "ddpm", "--width", "8", "--T", "6", "--epochs", "0", "--out", "run"])
    capsys.readouterr()
    assert cli.main(["sample", "run", "--n", "2", *options, "--out", "two.npy"]) == 0
    eta = settings.get("eta", 0)
    steps = settings.get("steps", "all")
    expected = f"two.npy: 2 samples by DDIM in {steps} steps, η = {eta:g}, untrained"
    assert capsys.readouterr().out.startswith(expected)
    model = sg.load("run/model.safetensors").averaged_model
    samples = model.sample(2, sg.generator(0), **settings)
    np.testing.assert_array_equal(np.load("two.npy"), 0.5 * (samples + 1))


def test_what_ddim_cannot_do_is_said_in_one_line(elsewhere, capsys):
    cli.main(["train", "ddpm", "--width", "8", "--T", "6", "--epochs", "0", "--out", "run"])
    cli.main([*QUICK, "--epochs", "0", "--out", "other"])
    for arguments, words in (
        (["run", "--steps", "7"], "--steps is at most T = 6, the noising steps, got 7"),
        (["run", "--steps", "0"], "--steps is a whole number from 1"),
        (["run", "--eta", "1.5"], "--eta is a number from 0 to 1"),
        (["other", "--steps", "3"], "leave them out for a variational autoencoder"),
        (["other", "--eta", "0"], "leave them out for a variational autoencoder"),
    ):
        capsys.readouterr()
        assert cli.main(["sample", *arguments]) == 2
        errors = capsys.readouterr().err
        assert words in errors
        assert errors.count("\n") == 1


def test_the_clip_norm_of_the_command_line_bounds_every_step(elsewhere):
    """One batch of all samples, and plain descent: no step is longer than rate times clip norm."""
    once = ["--optimizer", "sgd", "--lr", "1", "--batch-size", "all", "--epochs", "1"]
    models = {}
    for name, options in (("start", ["--epochs", "0"]), ("end", ["--clip-norm", "0.01"])):
        assert cli.main(["train", "ffnn", *once, *options, "--out", name]) == 0
        models[name] = sg.load(f"{name}/model.safetensors").model
    steps = zip(models["end"].parameters(), models["start"].parameters(), strict=True)
    length = np.sqrt(sum(((p.data - q.data) ** 2).sum() for p, q in steps))
    assert length == pytest.approx(0.01, rel=1e-3)
    assert cli.main(["train", "ffnn", "--optimizer", "lbfgs", "--clip-norm", "1"]) == 2
