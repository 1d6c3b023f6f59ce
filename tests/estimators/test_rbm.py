"""Hidden units as features: what scikit-learn's users expect of a transformer."""

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.estimators import RBMFeatures

sklearn = pytest.importorskip("sklearn", reason="pip install '.[test]'")


@pytest.fixture(scope="module")
def digits():
    images, labels = sg.datasets.digits()
    return images.reshape(len(images), -1), labels


def test_features_are_the_probabilities_of_the_hidden_units_the_same_at_every_call(digits):
    x, _ = digits
    features = RBMFeatures(20, epochs=2)
    assert features.fit(x) is features
    given = features.transform(x)
    np.testing.assert_array_equal(given, features.model_.frozen().prob_hidden(x))
    np.testing.assert_array_equal(given, features.transform(x))
    np.testing.assert_array_equal(given, RBMFeatures(20, epochs=2).fit_transform(x))
    assert given.shape == (len(x), 20)
    assert features.n_features_in_ == 64
    assert len(features.history_) == 2


@pytest.mark.rounding
def test_scores_are_pseudo_likelihoods_which_training_raises(digits):
    x, _ = digits
    scores = [RBMFeatures(30, epochs=epochs).fit(x).score(x) for epochs in (0, 5)]
    assert scores[1] > scores[0] + 1
    features = RBMFeatures(30, epochs=1).fit(x)
    expected = features.model_.pseudo_log_likelihood(x)
    np.testing.assert_array_equal(features.score_samples(x), expected)
    assert features.score(x) == pytest.approx(expected.mean())


@pytest.mark.rounding
def test_a_pipeline_of_features_and_a_linear_classifier_takes_them(digits):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x, y = digits
    pipeline = make_pipeline(RBMFeatures(100), LogisticRegression(max_iter=2000))
    pipeline.fit(x[:1400], y[:1400])
    assert pipeline.score(x[1400:], y[1400:]) > 0.85


def test_settings_are_found_cloned_and_searched(digits):
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    features = RBMFeatures(12, lr=0.1, epochs=1)
    copy = clone(features)
    assert copy.get_params() == features.get_params()
    assert repr(copy) == "RBMFeatures(n_hidden=12, lr=0.1, epochs=1)"
    assert copy.set_params(k=2).k == 2
    search = GridSearchCV(features, {"n_hidden": [2, 40]}, cv=2).fit(digits[0][:200])
    assert search.best_params_["n_hidden"] in (2, 40)


def test_what_cannot_be_is_refused(digits):
    x, _ = digits
    with pytest.raises(ValueError, match="call fit"):
        RBMFeatures().transform(x)
    with pytest.raises(ValueError, match="no setting hidden: it has n_hidden"):
        RBMFeatures().set_params(hidden=3)
    with pytest.raises(ValueError, match=r"Bernoulli units take data in \[0, 1\]"):
        RBMFeatures().fit(16 * x)
    with pytest.raises(ValueError, match=r"got shape \(3,\)"):
        RBMFeatures().fit(np.ones(3))
    with pytest.raises(ValueError, match="1 numbers that are NaN"):
        RBMFeatures().fit(np.array([[0.5, np.nan]]))
    with pytest.raises(
        ValueError, match="63 features, but RBMFeatures is expecting 64 features as input"
    ):
        RBMFeatures(3, epochs=0).fit(x).transform(x[:, :63])


@pytest.mark.parametrize("scale", [0.1, 1, 100])
@pytest.mark.parametrize("persistent", [True, False])
def test_gaussian_units_train_at_the_defaults_on_data_of_any_scale(scale, persistent):
    images, _ = sg.datasets.digits("train")
    x = scale * images.reshape(len(images), -1)[:300]
    features = RBMFeatures(20, visible="gaussian", persistent=persistent, epochs=3).fit(x)
    assert np.isfinite(features.transform(x)).all()
    costs = features.history_.curves()["cost"]
    assert costs[-1] < costs[0]
