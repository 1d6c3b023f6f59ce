"""What distance and classifier say of samples, beside held-out data and noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgen.recipes import Data, recognised, recognition
from scratchgen.recipes.recognition import evenness

RECOGNISED = "recognised by a classifier, confidence from 0.9"


@pytest.fixture(scope="module")
def data():
    return Data.named("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the classifier of the digits is kept, for all tests."""
    return tmp_path_factory.mktemp("run")


def judged(samples, data, folder):
    """The three numbers of each line: of the samples, of held-out data, of noise."""
    said = recognised(samples, data, folder)
    (name,) = [name for name in said if name.startswith("MMD²")]
    lines = {"MMD²": said[name], "share": said[RECOGNISED].split(", ", 1)[1]}
    lines["evenness"] = said["  evenness over the classes"]
    lines["p"] = said["  probability of as large a value by chance"].split(", ")[0]
    lines["neighbours"] = said["  precision, recall, density, coverage"].replace(";", ",")
    cut = {key: text.replace(";", ",").replace("%", "").split(",") for key, text in lines.items()}
    return {key: [float(part.split()[-1]) for part in parts] for key, parts in cut.items()}


@given(st.integers(2, 20), st.integers(1, 50))
def test_the_evenness_is_1_for_equal_counts_and_0_for_one_class(K, n):
    assert evenness(np.full(K, n)) == pytest.approx(1)
    assert evenness(np.eye(K, dtype=int)[0] * n) == 0
    assert evenness(np.zeros(K, int)) == 0
    assert evenness(np.array([n])) == 0


def test_k_classes_of_ten_that_come_equally_often_have_the_evenness_log_k_over_log_ten():
    assert evenness(np.array([5] * 4 + [0] * 6)) == pytest.approx(np.log(4) / np.log(10))


@pytest.mark.rounding
def test_real_images_are_recognised_as_what_they_are(data, folder):
    zeros = data.test[data.test_labels == 0]
    said = recognised(zeros, data, folder)
    counts = dict(part.split() for part in said["  as"].split(", "))
    assert [*counts] == [*data.classes]
    assert int(counts["0"]) >= 0.9 * len(zeros)
    assert sum(map(int, counts.values())) == int(counts["0"])
    assert said[RECOGNISED].startswith(f"{counts['0']} of {len(zeros)}, ")


def test_held_out_data_stand_beside_themselves(data, folder):
    share, evenness = (judged(data.test, data, folder)[name] for name in ("share", "evenness"))
    assert share[0] == share[1] > 90
    assert evenness[0] == evenness[1] > 0.99


def test_noise_scores_as_noise_in_every_line(data, folder):
    noise = np.random.default_rng(1).random((1000, 1, 8, 8), np.float32)
    scores = judged(noise, data, folder)
    assert scores["share"][0] == pytest.approx(scores["share"][2], abs=7)  # 4√(½ · ½ / 1000)
    assert scores["MMD²"][0] == pytest.approx(scores["MMD²"][2], rel=0.05)
    assert scores["MMD²"][0] > 100 * abs(scores["MMD²"][1])


def test_held_out_data_are_told_from_the_others_by_no_measure(data, folder):
    # The floor is of the first half of the order in which the held-out data are split.
    first = np.random.default_rng(0).permutation(len(data.test))[: len(data.test) // 2]
    scores = judged(data.test[first], data, folder)
    assert scores["MMD²"][0] == scores["MMD²"][1]
    assert scores["neighbours"][:4] == scores["neighbours"][4:8]
    assert scores["p"][0] > 0.01


def test_copies_of_one_image_are_all_recognised_but_neither_even_nor_near(data, folder):
    scores = judged(np.repeat(data.test[:1], 200, axis=0), data, folder)
    precision, recall, _, coverage = scores["neighbours"][:4]
    assert precision in (0, 1)
    assert recall == 0
    assert coverage < 0.1
    assert scores["p"] == [0.005]
    assert scores["share"][0] == 100
    assert scores["evenness"][0] == 0
    assert scores["MMD²"][0] > 100 * abs(scores["MMD²"][1])


def test_the_classifier_is_trained_once(data, folder, monkeypatch, capsys):
    first = recognised(data.test, data, folder)
    monkeypatch.setattr(recognition.FFNNRecipe, "epochs", None)  # no more training
    capsys.readouterr()
    assert recognised(data.test, data, folder) == first
    assert capsys.readouterr().err == ""


def few(labels):
    """Images of two levels, each with its class."""
    y = np.asarray(labels)
    x = np.repeat(0.2 + 0.3 * y, 16).reshape(-1, 16).astype(np.float32)
    return x + np.random.default_rng(0).random(x.shape, np.float32) / 10, y


def test_a_damaged_classifier_and_one_of_other_data_are_trained_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recognition, "STEPS", 1)
    x, y = few(np.arange(60) % 2)
    data = Data(x[:50], y[:50], x[50:], y[50:], ("a", "b"))
    first = recognised(x, data, tmp_path)
    (path,) = tmp_path.glob("classifier-*.safetensors")
    assert f"trained, once: {path}" in capsys.readouterr().err
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:-1] + b"\0"):
        path.write_bytes(content)
        assert recognised(x, data, tmp_path) == first
        assert "is trained anew" in capsys.readouterr().err
        assert recognised(x, data, tmp_path) == first
        assert capsys.readouterr().err == ""
    recognised(x, Data(x[:50], y[:50], x[50:], y[50:], ("b", "a")), tmp_path)
    assert len([*tmp_path.glob("classifier-*.safetensors")]) == 2


def test_a_folder_that_cannot_be_written_to_does_without(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recognition, "STEPS", 1)
    x, y = few(np.arange(60) % 2)
    said = recognised(x, Data(x[:50], y[:50], x[50:], y[50:], ("a", "b")), tmp_path / "missing")
    assert RECOGNISED in said
    assert "could not be kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "classes", "reason"),
    [(None, (), "no labels"), (np.zeros(24, int), ("owl",), "one label alone, 'owl'")],
)
def test_without_classes_there_is_the_distance_alone(tmp_path, labels, classes, reason):
    x, _ = few(np.arange(24) % 2)
    parts = (None, None) if labels is None else (labels[:16], labels[16:])
    said = recognised(x, Data(x[:16], parts[0], x[16:], parts[1], classes), tmp_path)
    assert reason in said[RECOGNISED]
    assert "of uniform noise" in next(iter(said.values()))


def test_of_a_toy_the_share_near_its_skeleton_stands_in_place_of_a_classifier(tmp_path):
    ring = Data.named("ring")
    one_mode = ring.test[ring.test_labels == 0]
    said = recognised(one_mode, ring, tmp_path)
    share, even = (
        said["within 3 standard deviations of a mode"],
        said["  evenness over the 8 parts"],
    )
    numbers = [float(part.split()[-2]) for part in share.replace(";", ",").split(",")]
    # Two normal numbers lie within three deviations with the probability 1 − e^{−4.5}.
    assert numbers[0] == pytest.approx(98.9, abs=2)
    assert numbers[1] == pytest.approx(98.9, abs=0.7)
    assert numbers[2] < 50
    assert even.startswith("0.000; of held-out data 1.000")
    assert not [*tmp_path.iterdir()]
    laplace = Data.named("laplace")
    said = recognised(laplace.test, laplace, tmp_path)
    assert not any("standard deviations" in name or "evenness" in name for name in said)


@pytest.mark.parametrize(
    ("test", "samples", "reason"),
    [
        (
            np.ones((3, 4), np.float32),
            np.ones((9, 4), np.float32),
            "it takes 4 held-out samples, these are 3",
        ),
        (np.repeat([[0.0], [1.0]], [11, 1], 0), np.ones((9, 1), np.float32), "most held-out"),
        (
            np.ones((8, 4), np.float32),
            np.ones((9, 4), np.float32),
            "most held-out samples are equal",
        ),
        (np.eye(8, 4, dtype=np.float32), np.full((9, 4), np.nan, np.float32), "NaN or infinity"),
    ],
)
def test_a_distance_that_cannot_be_had_is_said_in_its_place(tmp_path, test, samples, reason):
    said = recognised(samples, Data(np.eye(9, 4), None, test, None), tmp_path)
    assert reason in said["MMD² from held-out data"]
