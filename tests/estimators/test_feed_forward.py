"""The estimators: what scikit-learn asks of them, worked cases, early stopping, schedules."""

import functools
import importlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import optim, parallel
from scratchgen.estimators import FeedForwardClassifier, FeedForwardRegressor
from scratchgen.models.feed_forward import confusion_matrix, convolutional
from scratchgen.optim.by_name import OPTIMIZERS
from scratchgen.optim.schedules import Cosine, Exponential


@pytest.fixture
def sklearn():
    sklearn = pytest.importorskip(
        "sklearn", reason="scikit-learn takes the estimators: pip install '.[test]'"
    )
    for part in ("datasets", "model_selection", "pipeline", "preprocessing"):
        importlib.import_module(f"sklearn.{part}")
    parallel.threads._blas.cache_clear()  # SciPy has brought a BLAS of its own: look for them anew
    return sklearn


def rng(seed=0):
    return sg.generator(seed)


def blobs(n=120, classes=3, seed=1):
    labels = np.arange(n) % classes
    return 3 * np.eye(classes)[labels] + rng(seed).standard_normal((n, classes)), labels


XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


# Worked cases


@pytest.mark.rounding
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_xor_is_learned(activation):
    xor = FeedForwardClassifier((16,), activation, lr=0.05, epochs=400).fit(XOR, [0, 1, 1, 0])
    assert xor.predict(XOR).tolist() == [0, 1, 1, 0]
    assert xor.predict_proba(XOR).max(axis=1).min() > 0.9


def test_without_a_hidden_layer_xor_is_not_learned():
    line = FeedForwardClassifier((), lr=0.05, epochs=400).fit(XOR, [0, 1, 1, 0])
    assert line.score(XOR, [0, 1, 1, 0]) <= 0.75


@pytest.mark.rounding
def test_breast_cancer_is_recognised(sklearn):
    X, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
    train, test, y_train, y_test = sklearn.model_selection.train_test_split(
        X, y, test_size=0.3, random_state=0, stratify=y
    )
    pipeline = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(),
        FeedForwardClassifier((30,), l2=1e-3, epochs=60),
    )
    # Of 171 cases, over seeds, and so over roundings, 95.3 to 96.5 %.
    assert pipeline.fit(train, y_train).score(test, y_test) >= 0.92


@pytest.mark.rounding
def test_digits_are_recognised():
    X, y = sg.datasets.digits("train")
    network = FeedForwardClassifier((100,), lr=3e-3, schedule=Cosine(60), epochs=60).fit(X, y)
    assert network.score(*sg.datasets.digits("test")) >= 0.96


@pytest.mark.rounding
def test_digits_are_recognised_by_convolutions_from_images_and_from_rows():
    X, y = sg.datasets.digits("train")
    test, expected = sg.datasets.digits("test")
    small = functools.partial(convolutional, channels=(8, 16), hidden=32, dropout=0.0)
    settings = {"network": small, "lr": 3e-3, "batch_size": 32}
    trained = FeedForwardClassifier(**settings, epochs=15).fit(X, y)
    assert trained.score(test, expected) >= 0.95
    images = FeedForwardClassifier(**settings, epochs=0).fit(X, y)
    rows = FeedForwardClassifier(**settings, epochs=0).fit(X.reshape(-1, 64), y)
    np.testing.assert_allclose(
        rows.predict_proba(test.reshape(-1, 64)), images.predict_proba(test), atol=1e-5
    )


def polynomial(n=100):
    """y = x₀² + 3 x₀ x₁ + x₁² + 5 on n points of the unit square: the notes' case."""
    x = rng(3).random((n, 2))
    return x, x[:, 0] ** 2 + 3 * x[:, 0] * x[:, 1] + x[:, 1] ** 2 + 5


@pytest.mark.slow
def test_784_100_10_reads_mnist_to_97_5_percent(published, monkeypatch):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(next(iter(published.values())).parent))
    rows, labels = sg.datasets.mnist("train")
    network = FeedForwardClassifier((100,), schedule=optim.schedules.Cosine(15), epochs=15)
    network.fit(rows.reshape(len(rows), -1), labels)
    test, expected = sg.datasets.mnist("test")
    assert network.score(test.reshape(len(test), -1), expected) >= 0.975


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "lbfgs", "epochs": 300},
        {"optimizer": "adam", "lr": 1e-2, "epochs": 800, "batch_size": 20},
    ],
)
def test_the_notes_polynomial_is_fitted(settings):
    x, y = polynomial()
    fitted = FeedForwardRegressor((20,), "tanh", **settings).fit(x, y)
    assert fitted.score(x, y) > 0.99
    fresh = rng(9).random((200, 2))
    truth = fresh[:, 0] ** 2 + 3 * fresh[:, 0] * fresh[:, 1] + fresh[:, 1] ** 2 + 5
    assert fitted.score(fresh, truth) > 0.98


def test_predictions_have_the_shape_of_the_targets():
    x, y = polynomial()
    settings = {"hidden": (5,), "epochs": 2}
    assert FeedForwardRegressor(**settings).fit(x, y).predict(x).shape == (100,)
    assert FeedForwardRegressor(**settings).fit(x, y[:, None]).predict(x).shape == (100, 1)
    two = np.column_stack([y, -y])
    assert FeedForwardRegressor(**settings).fit(x, two).predict(x).shape == (100, 2)


@pytest.mark.parametrize("y", [["a"] * 6, np.zeros((6, 1, 1))])
def test_the_estimator_refuses_what_are_no_numbers(y):
    with pytest.raises(ValueError, match=r"real numbers of shape \(n,\) or \(n, m\)"):
        FeedForwardRegressor().fit(np.zeros((6, 2)), y)


@pytest.mark.rounding
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_cost(name):
    X, y = blobs()
    lr = {"sgd": 0.1, "momentum": 0.05}.get(name)
    history = FeedForwardClassifier((8,), "tanh", optimizer=name, lr=lr, epochs=30).fit(X, y)
    costs = history.history_.curves()["cost"]
    assert costs[-1] < 0.8 * costs[0]


def test_l_bfgs_takes_all_samples_at_once_and_refuses_parts():
    X, y = blobs()
    FeedForwardClassifier((4,), "tanh", optimizer="lbfgs", epochs=2, batch_size=120).fit(X, y)
    with pytest.raises(ValueError, match="all 120 samples"):
        FeedForwardClassifier((4,), optimizer="lbfgs", batch_size=50).fit(X, y)


# scikit-learn


def test_the_library_imports_without_scikit_learn():
    code = "import sys, scratchgen; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", [FeedForwardClassifier, FeedForwardRegressor])
def test_settings_come_back_as_they_were_given(kind):
    hidden, schedule = [4, 5], Cosine(3)
    estimator = kind(hidden, schedule=schedule, lr=0.1)
    settings = estimator.get_params()
    assert settings["hidden"] is hidden
    assert settings["schedule"] is schedule
    assert kind(**settings).get_params() == settings
    assert estimator.set_params(lr=0.2, epochs=7) is estimator
    assert (estimator.lr, estimator.epochs) == (0.2, 7)
    assert repr(kind((5,), lr=0.1)) == f"{kind.__name__}(hidden=(5,), lr=0.1)"
    with pytest.raises(ValueError, match=r"no setting depth: it has hidden, activation"):
        estimator.set_params(depth=3)


@pytest.mark.parametrize("kind", [FeedForwardClassifier, FeedForwardRegressor])
def test_a_clone_has_the_settings_and_nothing_learned(sklearn, kind):
    X, y = blobs()
    fitted = kind((4,), epochs=2, schedule=Cosine(2)).fit(X, y)
    twin = sklearn.base.clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert not hasattr(twin, "model_")
    with pytest.raises(sklearn.exceptions.NotFittedError):
        twin.predict(X)


def test_a_pipeline_a_grid_and_cross_validation_take_the_classifier(sklearn):
    X, y = blobs()
    names = np.array(["red", "green", "blue"])[y]
    pipeline = sklearn.pipeline.Pipeline(
        [
            ("scale", sklearn.preprocessing.StandardScaler()),
            ("net", FeedForwardClassifier((8,), lr=1e-2, epochs=15)),
        ]
    )
    assert sklearn.model_selection.cross_val_score(pipeline, X, names, cv=3).min() > 0.8
    grid = sklearn.model_selection.GridSearchCV(
        pipeline, {"net__hidden": [(), (8,)], "net__lr": [1e-4, 1e-2]}, cv=3
    ).fit(X, names)
    assert grid.best_params_["net__lr"] == 1e-2
    assert list(grid.classes_) == ["blue", "green", "red"]
    scores = sklearn.model_selection.cross_val_score(
        pipeline, X, names, cv=3, scoring="neg_log_loss"
    )
    assert scores.min() > -1


def test_a_grid_takes_the_regressor(sklearn):
    X = rng(1).standard_normal((60, 2))
    grid = sklearn.model_selection.GridSearchCV(
        FeedForwardRegressor((8,), "tanh", optimizer="lbfgs", epochs=40), {"l2": [1e-4, 10.0]}, cv=3
    ).fit(X, X[:, 0] - X[:, 1])
    assert grid.best_params_ == {"l2": 1e-4}
    assert grid.best_score_ > 0.9


def test_scikit_learn_knows_which_is_which(sklearn):
    assert sklearn.base.is_classifier(FeedForwardClassifier())
    assert sklearn.base.is_regressor(FeedForwardRegressor())


@pytest.mark.rounding
def test_scores_are_those_of_scikit_learn(sklearn):
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.metrics import confusion_matrix as counted

    X, y = blobs()
    net = FeedForwardClassifier((4,), epochs=2).fit(X, y)
    assert net.score(X, y) == pytest.approx(accuracy_score(y, net.predict(X)))
    counts = confusion_matrix(y, net.predict(X), 3)
    np.testing.assert_array_equal(counts, counted(y, net.predict(X)))
    line = FeedForwardRegressor((4,), epochs=2).fit(X, X[:, 0])
    both = FeedForwardRegressor((4,), epochs=2).fit(X, X * [1, 5, 9])
    for net, y in ((line, X[:, 0]), (both, X * [1, 5, 9])):
        # 1 − R² is a quotient of two sums of 120 squares in float32.
        left = 1 - r2_score(y, net.predict(X))
        assert 1 - net.score(X, y) == pytest.approx(left, rel=3 * 120 * 2.0**-23)


# Labels, samples, settings


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [10, -3, 7], [2.0, 1.0, 3.0]], ids=["str", "int", "float"]
)
def test_labels_of_any_kind_come_back(labels):
    X, y = blobs()
    names = np.array(labels)[y]
    net = FeedForwardClassifier((8,), lr=1e-2, epochs=20).fit(X, names)
    assert list(net.classes_) == sorted(labels)
    assert net.score(X, names) > 0.9
    np.testing.assert_array_equal(net.predict(X), net.classes_[net.predict_proba(X).argmax(axis=1)])


@pytest.mark.parametrize("dtype", [str, object])
def test_26_letters_are_labels_wherever_classes_are_used(dtype):
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz"], dtype)[np.arange(260) % 26]
    X = np.eye(26)[np.arange(260) % 26]
    net = FeedForwardClassifier((), lr=0.1, epochs=60, early_stopping=True, patience=60)
    net.fit(X, letters, validation=(X, letters.tolist()))
    assert net.history_.curves()["validation accuracy"][-1] == 1
    assert net.score(X, letters) == 1
    assert net.predict(X).tolist() == letters.tolist()
    assert net.predict_proba(X).shape == (260, 26)
    with pytest.raises(ValueError, match=r"labels \['A', 'ä'\] were not met in fit: \['a', 'b'"):
        net.score(X[:4], ["a", "A", "ä", "A"])
    with pytest.raises(ValueError, match=r"labels \[1, 2\] were not met in fit: \['a', 'b'"):
        net.score(X[:2], [1, 2])


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ([1, "a"], "int, str"),
        (["a", np.nan], "float, str"),
        (np.array([1, None], object), "NoneType, int"),
        (np.array([{}, ()], object), "dict, tuple"),
        (np.array([1j, 2j]), "complex"),
    ],
    ids=str,
)
def test_labels_of_several_kinds_are_refused_and_not_made_strings_of(labels, kinds):
    X, y = blobs(classes=2)
    mixed = [labels[k] for k in y] if isinstance(labels, list) else labels[y]
    with pytest.raises(ValueError, match=f"Unknown label type: y holds {kinds}, expected strings"):
        FeedForwardClassifier().fit(X, mixed)


def test_numbers_as_objects_are_numbers():
    X, y = blobs()
    net = FeedForwardClassifier((4,), epochs=2).fit(X, y.astype(object))
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.score(X, y) == net.score(X, y.astype(float))
    line = FeedForwardRegressor((4,), epochs=2).fit(X, X[:, 0].astype(object))
    expected = FeedForwardRegressor((4,), epochs=2).fit(X, X[:, 0])
    np.testing.assert_array_equal(line.predict(X), expected.predict(X))
    with pytest.raises(ValueError, match="y holds objects that are no real numbers: could not"):
        line.fit(X, np.array(["a"] * 120, object))


def test_a_column_of_labels_is_a_vector_of_them_with_a_warning():
    X, y = blobs()
    expected = FeedForwardClassifier((4,), epochs=2).fit(X, y)
    with pytest.warns(UserWarning, match=r"A column-vector y was passed .*: take y\.ravel\(\)"):
        column = FeedForwardClassifier((4,), epochs=2).fit(X, y[:, None])
    np.testing.assert_array_equal(column.predict_proba(X), expected.predict_proba(X))


def test_predictions_of_a_regressor_have_shape_and_precision_of_its_targets():
    X, _ = blobs()
    for y in (X[:, 0], X[:, :2], X[:, :1].astype(np.float32)):
        predicted = FeedForwardRegressor((4,), epochs=1).fit(X, y).predict(X)
        assert (predicted.shape, predicted.dtype) == (y.shape, y.dtype)


def test_two_classes_have_one_logit():
    X, y = blobs(classes=2)
    net = FeedForwardClassifier((8,), lr=1e-2, epochs=20).fit(X, np.array([True, False])[y])
    assert net.model_.parameters()[-1].shape == (1,)
    assert net.predict_proba(X).shape == (120, 2)
    assert net.score(X, np.array([True, False])[y]) > 0.9


def test_the_same_seed_gives_the_same_network_and_another_one_another():
    X, y = blobs()
    a, b, c = (FeedForwardClassifier((4,), epochs=3, seed=s).fit(X, y) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    assert np.abs(a.predict_proba(X) - c.predict_proba(X)).max() > 1e-3


def test_a_pickled_estimator_predicts_the_same():
    X, y = blobs()
    net = FeedForwardClassifier((4,), epochs=3, schedule=Cosine(3)).fit(X, y)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))


def test_an_estimator_on_the_device_predicts_on_the_host(device):
    X, y = blobs()
    early = {"early_stopping": True, "validation_fraction": 0.2}
    net = FeedForwardClassifier((4,), epochs=2, device=device, **early).fit(X, y)
    assert type(net.predict(X)) is type(net.predict_proba(X)) is np.ndarray
    assert 0 <= net.score(X, y) <= 1


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda X, y: FeedForwardClassifier().fit(X[:, 0], y), "Reshape your data"),
        (lambda X, y: FeedForwardClassifier().fit(X, y[:-1]), "120 samples X, but 119 targets"),
        (lambda X, y: FeedForwardClassifier().fit(X, X), "one label for each sample"),
        (lambda X, y: FeedForwardClassifier().fit(X, 0 * y), "holds one class, 0, expected at"),
        (lambda X, y: FeedForwardClassifier().fit(X, ["b"] * 120), "holds one class, 'b', exp"),
        (lambda X, y: FeedForwardClassifier().fit(X, y + 0.5), "Unknown label type"),
        (lambda X, y: FeedForwardClassifier().fit(X, np.where(y, y, np.inf)), "Unknown label"),
        (lambda X, y: FeedForwardClassifier(batch_size=0).fit(X, y), "batch_size"),
        (lambda X, y: FeedForwardClassifier(patience=0, early_stopping=True).fit(X, y),
         "an integer from 1, got 0"),
        (lambda X, y: FeedForwardClassifier(patience=-1).fit(X, y), "an integer from 1, got -1"),
        (lambda X, y: FeedForwardClassifier().fit(X * np.nan, y), "NaN or infinity"),
        (lambda X, y: FeedForwardClassifier(activation="relux").fit(X, y), "sigmoid, tanh, relu"),
        (lambda X, y: FeedForwardClassifier(optimizer="adamm").fit(X, y), "sgd, momentum, adagrad"),
        (lambda X, y: FeedForwardClassifier(optimizer="sgd").fit(X, y), "give lr"),
        (lambda X, y: FeedForwardClassifier(l2=-1).fit(X, y), "l2"),
        (lambda X, y: FeedForwardClassifier().predict(X), "is not fitted"),
        (lambda X, y: FeedForwardClassifier((2,), epochs=1).fit(X, y).predict(X[:, :2]),
         "is expecting 3 features"),
        (lambda X, y: FeedForwardClassifier((2,), epochs=1).fit(X, y).score(X, y + 1),
         "were not met in fit"),
        (lambda X, y: FeedForwardClassifier(early_stopping=True, validation_fraction=0).fit(X, y),
         "validation_fraction"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_with_what_to_do(fit, message):
    with pytest.raises(ValueError, match=message):
        fit(*blobs())


# Schedules and early stopping


def test_the_schedule_sets_the_rate_of_every_epoch():
    rates = []

    class Recorded(optim.SGD):
        def apply(self, gradients):
            rates.append(self.lr)
            super().apply(gradients)

    X, y = blobs()
    FeedForwardClassifier(
        (4,), optimizer=functools.partial(Recorded, lr=1.0), lr=0.5,
        schedule=Exponential(0.5), epochs=4, batch_size=120,
    ).fit(X, y)  # fmt: skip
    assert rates == pytest.approx([0.5, 0.25, 0.125, 0.0625])


def test_the_validation_is_scored_after_each_epoch():
    X, y = blobs()
    held_out = blobs(seed=5)
    net = FeedForwardClassifier((8,), epochs=5).fit(X, y, validation=held_out)
    curves = net.history_.curves()
    assert len(curves["validation cost"]) == len(curves["validation accuracy"]) == 5
    assert curves["validation accuracy"][-1] == pytest.approx(net.score(*held_out))
    assert net.best_epoch_ == 5


def test_early_stopping_ends_after_its_patience_and_restores_the_best_weights():
    X = rng(1).standard_normal((60, 5))
    y = rng(2).integers(0, 2, 60)  # nothing but noise: what is held out gets worse
    held_out = rng(3).standard_normal((200, 5)), rng(4).integers(0, 2, 200)
    net = FeedForwardClassifier((50,), lr=1e-2, epochs=500, early_stopping=True, patience=4)
    net.fit(X, y, validation=held_out)
    costs = net.history_.curves()["validation cost"]
    assert net.best_epoch_ == int(np.argmin(costs)) + 1
    assert len(costs) == net.best_epoch_ + 4 < 500
    restored = net.model_.data_cost(held_out[0].astype(np.float32), held_out[1])
    assert restored == pytest.approx(min(costs), rel=1e-6)


def test_what_is_held_out_is_spread_over_the_classes_and_not_trained_on():
    y = np.repeat([0, 1, 2], [100, 40, 20])
    net = FeedForwardClassifier(validation_fraction=0.25)
    kept, chosen = net._split(y, rng())
    np.testing.assert_array_equal(np.bincount(y[chosen]), [25, 10, 5])
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, chosen])), np.arange(160))


def test_what_is_held_out_is_spread_over_the_targets_of_a_regression():
    y = rng().standard_normal(60)
    _, chosen = FeedForwardRegressor(validation_fraction=0.2)._split(y, rng())
    rank = np.argsort(np.argsort(y))[chosen]
    np.testing.assert_array_equal(np.sort(rank // 5), np.arange(12))


def test_classes_of_one_sample_each_leave_nothing_to_hold_out():
    net = FeedForwardClassifier(early_stopping=True, validation_fraction=0.5)
    with pytest.raises(ValueError, match="a class of two or more"):
        net.fit(np.eye(4), [1, 2, 3, 4])
