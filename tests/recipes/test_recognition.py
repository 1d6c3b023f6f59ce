"""What a classifier says of samples: real images are recognised, and their classes counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgen.recipes import Data, recognised
from scratchgen.recipes.recognition import evenness


@pytest.mark.rounding
@given(st.integers(2, 20), st.integers(1, 50))
def test_the_evenness_is_1_for_equal_counts_and_0_for_one_class(K, n):
    assert evenness(np.full(K, n)) == pytest.approx(1)
    assert evenness(np.eye(K, dtype=int)[0] * n) == 0
    assert evenness(np.zeros(K, int)) == 0


@pytest.mark.rounding
def test_k_classes_of_ten_that_come_equally_often_have_the_evenness_log_k_over_log_ten():
    assert evenness(np.array([5] * 4 + [0] * 6)) == pytest.approx(np.log(4) / np.log(10))


@pytest.mark.rounding
def test_real_images_are_recognised_as_what_they_are():
    data = Data.named("digits")
    zeros = data.test[data.test_labels == 0]
    shares, counts = recognised(zeros, data, "digits").values()
    assert [int(n) for n in counts.split()][1:] == [0] * 9
    of_zeros = int(counts.split()[0])
    assert shares.startswith(f"{of_zeros} of {len(zeros)} samples")
    assert of_zeros >= 0.9 * len(zeros)
    of_reals = float(shares.split()[-2])
    of_all = recognised(data.test, data, "digits")
    assert f"{of_reals:.1f} %; of held-out images {of_reals:.1f} %" in next(iter(of_all.values()))
