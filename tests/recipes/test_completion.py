"""Completions on the command line: what is hidden, what is drawn, and how it is judged."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli
from scratchgen.models import DDPM
from scratchgen.recipes import Data, completion
from tests import strict

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a small model, hardly trained, with its classifier."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["--width", "8", "--T", "6", "--epochs", "1", "--out", str(folder)]
    assert cli.main(["train", "ddpm", *words]) == 0
    return folder


def model(T=4):
    return DDPM(lambda x, time: 0.5 * x, SHAPE, T, "cosine", clip=(-1, 1))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("left", np.s_[:, :4]),
        ("right", np.s_[:, 4:]),
        ("top", np.s_[:4]),
        ("bottom", np.s_[4:]),
        ("2,1,4,3", np.s_[2:6, 1:4]),
        ("7,7,1,1", np.s_[7, 7]),
    ],
)
def test_a_mask_is_true_but_for_the_part_that_is_hidden(text, hidden):
    mask = completion.mask_of(text, SHAPE)
    expected = np.ones(SHAPE, dtype=bool)
    expected[0][hidden] = False
    np.testing.assert_array_equal(mask, expected)


def test_a_mask_from_a_file_is_true_where_pixels_are_known(tmp_path):
    mask = np.arange(64).reshape(8, 8) % 3 > 0
    np.save(tmp_path / "mask.npy", mask)
    np.testing.assert_array_equal(completion.mask_of(f"{tmp_path / 'mask.npy'}", SHAPE)[0], mask)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("middle", "--mask is left, right, top, bottom, TOP,LEFT,HEIGHT,WIDTH or a file"),
        ("1,2,3", "--mask is left, right, .* got '1,2,3'"),
        ("5,0,4,4", "--mask 5,0,4,4 does not lie inside images of 8 × 8 pixels"),
        ("0,0,0,4", "does not lie inside"),
        ("-1,0,4,4", "does not lie inside"),
        ("0,0,8,8", "--mask 0,0,8,8 hides every pixel: some pixels are hidden, and some"),
    ],
)
def test_a_mask_that_hides_no_part_of_an_image_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        completion.mask_of(text, SHAPE)


@pytest.mark.parametrize("mask", [np.ones((8, 8)), np.ones((4, 4), bool), np.ones((8, 8), bool)])
def test_a_file_that_holds_no_such_mask_is_refused(tmp_path, mask):
    np.save(tmp_path / "mask.npy", mask)
    with pytest.raises(ValueError, match=r"a mask holds booleans of shape \(8, 8\)|hides no pixel"):
        completion.mask_of(f"{tmp_path / 'mask.npy'}", SHAPE)


@pytest.mark.parametrize("method", ["gradient", "replacement"])
def test_completions_keep_what_is_known_and_the_floor_is_the_mean_of_the_training_images(method):
    data = Data.named("digits")
    x, train = 2 * data.test[:12].reshape(-1, *SHAPE) - 1, 2 * data.train.reshape(-1, *SHAPE) - 1
    asked = completion.Inpainting(mask="2,2,4,4", method=method)
    done = completion.complete(model(), x, train, data.test_labels[:12], asked, sg.generator(0))
    mask = completion.mask_of("2,2,4,4", SHAPE)
    assert done.drawn.shape == (12 + 2 * 10, *SHAPE)  # three completions of the first ten
    of_all = np.concatenate([x, x[:10], x[:10]])
    np.testing.assert_allclose(done.drawn[:, mask], 0.5 * (of_all[:, mask] + 1), atol=1e-6)
    mean = data.train.mean(axis=0).reshape(SHAPE)
    for floor in done.floor:
        np.testing.assert_allclose(floor[~mask], mean[~mask], atol=1e-5)
    hole = ((done.floor - done.original) ** 2)[:, 0, 2:6, 2:6].reshape(12, -1).mean(axis=1)
    np.testing.assert_allclose(done.part.errors(done.floor, done.original), hole, rtol=1e-6)


def test_super_resolution_by_replacement_keeps_the_averages():
    data = Data.named("digits")
    x = 2 * data.test[:3].reshape(-1, *SHAPE) - 1
    asked = completion.SuperResolution(factor=4, method="replacement")
    part = asked.part(SHAPE)
    drawn = part.replaced(model(), part.measured(x), sg.generator(0), 2, None)
    np.testing.assert_allclose(part.measured(drawn), part.measured(x), atol=1e-5)
    assert part.said == "the averages of 4 × 4 pixels: 2 × 2 of 8 × 8"
    with pytest.raises(ValueError, match="--factor divides the sides of the images, 8 × 8, got 3"):
        completion.SuperResolution(factor=3).part(SHAPE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "replacement", "scale": 1.0}, "--scale is not for --method replacement"),
        ({"resample": 3}, "--resample is not for --method gradient: leave it out"),
        ({"method": "dps"}, "--method is one of gradient, replacement, got 'dps'"),
    ],
)
def test_a_number_of_the_other_method_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        completion.Inpainting(**settings)


def test_the_command_line_completes_held_out_images_and_judges_them(run, capsys):
    capsys.readouterr()
    assert cli.main(["inpaint", str(run), "--mask", "2,2,4,4", "--n", "5"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{run}: ddpm after 1 epoch, gradient, ζ = 1"
    assert "48 of 64 pixels; 16 are hidden, in rows 2 to 5 and columns 2 to 5" in printed[1]
    assert printed[2].startswith("  class kept")
    assert "of the mean of the training images" in printed[2]
    assert printed[3].startswith("  squared error of a hidden pixel")
    assert printed[4] == f"{run / 'inpainted-seed-0.png'}: 5 held-out images, inpainted"
    assert (run / "inpainted-seed-0.png").exists()
    out = run / "images.npy"
    words = ["--factor", "4", "--n", "3", "--method", "replacement", "--resample", "2"]
    assert cli.main(["super-resolve", str(run), *words, "--steps", "3", "--out", str(out)]) == 0
    images = np.load(out)
    assert images.shape == (3, 1, 8, 8)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inpaint", "RUN", "--mask", "9,9,2,2"], "does not lie inside images of 8 × 8"),
        (["inpaint", "RUN", "--steps", "7"], "--steps is at most T = 6, got 7"),
        (["inpaint", "RUN", "--out", "x.jpg"], "--out ends with .png or .npy, got x.jpg"),
        (["super-resolve", "RUN", "--factor", "1"], "--factor is a whole number from 2"),
        (["super-resolve", "none"], "none holds no run"),
    ],
    ids=["mask", "steps", "out", "factor", "run"],
)
def test_a_completion_that_cannot_be_drawn_is_refused_in_one_line(run, words, message, capsys):
    capsys.readouterr()
    assert cli.main([str(run) if word == "RUN" else word for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_run_of_another_model_is_refused():
    x, asked = np.zeros((2, *SHAPE), np.float32), completion.Inpainting()
    other = sg.models.vae.dense(64, 8, 2, sg.generator(0))
    with pytest.raises(ValueError, match="images are completed by a ddpm, this run is a VAE: take"):
        completion.complete(other, x, x, None, asked, sg.generator(0))


def test_completions_are_computed_on_the_device(run, monkeypatch, capsys):
    strict.install(monkeypatch)
    for words in (["inpaint"], ["super-resolve", "--method", "replacement"]):
        assert cli.main([words[0], str(run), *words[1:], "--n", "2", "--device", "cuda"]) == 0
    assert capsys.readouterr().out.count("class kept") == 2
