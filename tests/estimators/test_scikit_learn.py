"""What scikit-learn asks of an estimator: its own checks, tables with named columns, odd input."""

import builtins
import functools

import numpy as np
import pytest

import scratchgen as sg
from scratchgen.estimators import (
    FeedForwardClassifier,
    FeedForwardRegressor,
    LassoRegressor,
    LinearRegressor,
    RBMFeatures,
    RidgeRegressor,
)

INVARIANCE = dict.fromkeys(
    ("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    "networks compute in float32, whose last digits depend on where in the batch a row stands, and "
    "the check allows 1e-7",
)
NO_SHARES = dict.fromkeys(
    (
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_estimators_dtypes",
        "check_estimators_fit_returns_self",
        "check_estimators_overwrite_params",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_pipeline_consistency",
        "check_positive_only_tag_during_fit",
        "check_readonly_memmap_input",
        "check_transformer_data_not_an_array",
        "check_transformer_general",
        "check_transformer_preserve_dtypes",
    ),
    "the data of the check are no shares between 0 and 1, which Bernoulli units take alone",
)
CHECKED = [
    (FeedForwardClassifier(epochs=30), INVARIANCE),
    (FeedForwardClassifier((), lr=0.1, epochs=20), INVARIANCE),
    (FeedForwardClassifier((8, 8), "tanh", optimizer="lbfgs", epochs=20), INVARIANCE),
    (FeedForwardClassifier(early_stopping=True, epochs=30), INVARIANCE),
    (FeedForwardRegressor(epochs=30), INVARIANCE),
    (FeedForwardRegressor((), lr=0.1, epochs=50), INVARIANCE),
    (FeedForwardRegressor((8, 8), "tanh", optimizer="lbfgs", epochs=20), INVARIANCE),
    (FeedForwardRegressor(early_stopping=True, epochs=30), INVARIANCE),
    (LinearRegressor(), {}),
    (RidgeRegressor(), {}),
    (LassoRegressor(1e-2), {}),
    (RBMFeatures(8, visible="gaussian", lr=0.01, epochs=2), INVARIANCE),
    (RBMFeatures(8, epochs=2), NO_SHARES),
]


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="its tables have names of columns")


@pytest.mark.filterwarnings("ignore")  # the checks warn, and are warned, on purpose
@pytest.mark.parametrize(("estimator", "expected"), CHECKED, ids=lambda value: str(value)[:60])
def test_scikit_learns_own_checks_are_passed_but_for_those_that_are_named(estimator, expected):
    checks = pytest.importorskip("sklearn.utils.estimator_checks", reason="pip install '.[test]'")
    results = checks.check_estimator(
        estimator, expected_failed_checks=expected, on_fail=None, on_skip=None
    )
    failed = [result for result in results if result["status"] == "failed"]
    assert not failed, [(result["check_name"], result["exception"]) for result in failed]
    assert sum(result["status"] == "passed" for result in results) > 15


# Tables with named columns


class Table:
    """As much of a table as the library looks at: an array, and the names of its columns."""

    def __init__(self, array, columns):
        self.array, self.columns = np.asarray(array), columns

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)

    def __getitem__(self, names):
        return Table(self.array[:, [self.columns.index(name) for name in names]], names)


X = sg.generator(1).random((40, 3))
Y = (X[:, 0] > 0.5).astype(int)
NAMES = ["length", "width", "height"]
KINDS = {
    "classifier": (functools.partial(FeedForwardClassifier, (4,), epochs=2), "predict_proba"),
    "regressor": (functools.partial(FeedForwardRegressor, (4,), epochs=2), "predict"),
    "features": (functools.partial(RBMFeatures, 4, epochs=2), "transform"),
}
every_kind = pytest.mark.parametrize(("kind", "method"), KINDS.values(), ids=KINDS.keys())


@every_kind
def test_a_table_is_known_by_the_names_of_its_columns_in_their_order(kind, method):
    table = Table(X, NAMES)
    fitted = kind().fit(table, Y)
    assert fitted.feature_names_in_.tolist() == NAMES
    assert fitted.feature_names_in_.dtype == object
    use = getattr(fitted, method)
    np.testing.assert_array_equal(use(table), getattr(kind().fit(X, Y), method)(X))
    for names, message in (
        (NAMES[::-1], "Feature names must be in the same order as they were in fit.\n"),
        (NAMES[:2], "Feature names seen at fit time, yet now missing:\n- height\n"),
    ):
        for call in (use, functools.partial(fitted.score, y=Y)):
            with pytest.raises(ValueError, match="The feature names should match") as caught:
                call(table[names])
            assert str(caught.value).endswith(message)
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- a\n.*now missing:\n- height\n"):
        use(Table(X[:, :2], ["width", "a"]))
    with pytest.raises(ValueError, match=r"- b4\n- \.\.\.\n"):
        use(Table(np.ones((2, 9)), [f"b{k}" for k in range(9)]))


@every_kind
def test_a_table_where_an_array_was_and_an_array_where_a_table_was_are_warned_of(kind, method):
    table = Table(X, NAMES)
    named, nameless = kind().fit(table, Y), kind().fit(X, Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but .* was fitted"):
        getattr(named, method)(X)
    with pytest.warns(UserWarning, match="X has feature names, but .* was fitted without"):
        getattr(nameless, method)(table)
    assert not hasattr(named.fit(X, Y), "feature_names_in_")


def test_names_that_are_no_strings_are_none_and_a_mixture_is_refused():
    numbered = FeedForwardClassifier((4,), epochs=1).fit(Table(X, [0, 1, 2]), Y)
    assert not hasattr(numbered, "feature_names_in_")
    with pytest.raises(TypeError, match="only supported if all input features have string names"):
        numbered.fit(Table(X, [0, "1", 2]), Y)


def test_samples_for_validation_are_held_against_the_names_too():
    with pytest.raises(ValueError, match="must be in the same order"):
        FeedForwardClassifier((4,), epochs=1).fit(
            Table(X, NAMES), Y, validation=(Table(X, NAMES[::-1]), Y)
        )


def test_a_table_of_pandas_is_taken_without_importing_pandas(pandas, monkeypatch):
    table = pandas.DataFrame(X, columns=NAMES)
    table["flag"] = X[:, 0] > 0.5  # numbers of two kinds: objects, as an array
    labels = pandas.Series(np.where(Y == 1, "yes", "no"))
    imported = builtins.__import__

    def no_pandas(name, *arguments, **keywords):
        assert (
            keywords or name.split(".")[0] != "pandas" or arguments[0]["__name__"] != "scratchgen"
        )
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", no_pandas)
    fitted = FeedForwardClassifier((4,), epochs=40, lr=0.1).fit(table, labels)
    assert fitted.score(table, labels) == 1
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(table[table.columns[::-1]])


# What samples may be


class Sparse:
    """As much of a sparse matrix as the library looks at."""

    shape = (40, 300)

    def tocsr(self):
        raise AssertionError


@every_kind
@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (Sparse(), TypeError, r"sparse input is not supported: X\.toarray\(\) makes an array of "
         "all 12,000 numbers"),
        (np.empty((0, 3)), ValueError, r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is"),
        (np.empty((40, 0)), ValueError, r"0 feature\(s\) \(shape=\(40, 0\)\) while a minimum of 1"),
        (X[:, 0], ValueError, r"got shape \(40,\). Reshape your data: X.reshape\(-1, 1\)"),
        (X + 1j, ValueError, "Complex data not supported: X is complex128"),
        (np.ma.masked_array(X), TypeError, r"a masked array, .*: pass x\.filled\(value\)"),
        (X.astype(str), ValueError, "X is real numbers, got <U"),
        (np.array([["a", 1.0]] * 40, object), ValueError, "no real numbers: could not convert"),
        (np.array([[{}, 1.0]] * 40, object), TypeError, "no real numbers: float"),
        (X * np.nan, ValueError, "X contains 120 numbers that are NaN or infinity"),
    ],
)  # fmt: skip
def test_samples_that_cannot_be_are_refused_with_what_to_do(kind, method, samples, error, message):
    with pytest.raises(error, match=message):
        kind().fit(samples, Y)


@every_kind
def test_numbers_in_any_container_are_the_same_samples(kind, method):
    expected = getattr(kind().fit(X, Y), method)(X)
    for samples in (X.tolist(), X.astype(object), np.asfortranarray(X), Table(X, [0, 1, 2])):
        np.testing.assert_array_equal(getattr(kind().fit(samples, Y), method)(samples), expected)


@every_kind
def test_samples_of_another_shape_than_in_fit_are_refused(kind, method):
    fitted = kind().fit(X, Y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3 features as"):
        getattr(fitted, method)(X[:, :2])
    with pytest.raises(ValueError, match=r"has shape \(3, 1\) here, and had \(3,\) in fit"):
        getattr(fitted, method)(X[:, :, None])


@pytest.mark.parametrize("kind", [FeedForwardClassifier, FeedForwardRegressor])
def test_targets_are_asked_for(kind):
    with pytest.raises(ValueError, match=r"requires y to be passed, but the target y is None"):
        kind().fit(X, None)
    with pytest.raises(TypeError, match=r"sparse input is not supported: y\.toarray"):
        kind().fit(X, Sparse())
    with pytest.raises(TypeError, match="a masked array"):
        kind().fit(X, np.ma.masked_array(Y, mask=Y))
