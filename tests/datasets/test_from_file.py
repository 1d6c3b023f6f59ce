import io
import re
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from scratchgen.datasets import DataWarning, from_file

SHAPES = array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all: each test writes its file anew."""
    return tmp_path_factory.mktemp("data")


def npy(folder, array, **settings):
    path = folder / "data.npy"
    np.save(path, array, **settings)
    return path


def npz(folder, **arrays):
    path = folder / "data.npz"
    np.savez_compressed(path, **arrays)
    return path


@given(
    array=st.sampled_from([np.float16, np.float32]).flatmap(
        lambda dtype: arrays(dtype, SHAPES, elements={"allow_nan": False, "allow_infinity": False})
    )
)
def test_finite_floats_keep_their_value_and_have_no_labels(folder, array):
    images, labels = from_file(npy(folder, array))
    assert images.dtype == np.float32
    assert labels is None
    np.testing.assert_array_equal(images, array)


@given(array=arrays(np.uint8, SHAPES))
def test_uint8_pixels_are_divided_by_255(folder, array):
    array.flat[0] = 255
    images, _ = from_file(npy(folder, array))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, array.astype(np.float32) / np.float32(255))


def test_what_is_assumed_is_a_warning_that_names_the_file(folder):
    path = npy(folder, np.array([[0, 1], [1, 1]], np.uint8))
    with pytest.warns(DataWarning, match=r"data\.npy: .* taken as off and on") as warned:
        images, _ = from_file(path)
    assert images.tolist() == [[0, 1], [1, 1]]
    assert warned[0].filename == __file__


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_that_are_last_are_moved_and_those_that_are_first_stay(folder, channels):
    array = np.random.default_rng(0).random((2, 6, 9, channels), np.float32)
    with pytest.warns(DataWarning, match=r"last: images\.transpose\(0, 3, 1, 2\) is taken"):
        moved, _ = from_file(npy(folder, array))
    np.testing.assert_array_equal(moved, array.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(from_file(npy(folder, moved))[0], moved)


@pytest.mark.parametrize("shape", [(2, 3, 8, 3), (2, 4, 32, 4), (2, 1, 28, 1)])
def test_images_that_may_be_read_either_way_are_refused_until_the_file_says_which(folder, shape):
    array = np.random.default_rng(0).random(shape, np.float32)
    with pytest.raises(ValueError, match=r'images=images, channels="first"\), or "last"'):
        from_file(npy(folder, array))
    first, _ = from_file(npz(folder, images=array, channels="first"))
    np.testing.assert_array_equal(first, array)
    last, _ = from_file(npz(folder, images=array, channels="last"))
    np.testing.assert_array_equal(last, array.transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match='channels is middle, expected "first" or "last"'):
        from_file(npz(folder, images=array, channels="middle"))


def test_an_alpha_channel_is_kept_unless_it_is_opaque_everywhere(folder):
    array = np.random.default_rng(0).random((3, 4, 6, 9), np.float32)
    np.testing.assert_array_equal(from_file(npy(folder, array))[0], array)
    array[:, 3] = 1
    with pytest.warns(DataWarning, match="alpha is opaque everywhere, and left out"):
        images, _ = from_file(npy(folder, array))
    np.testing.assert_array_equal(images, array[:, :3])


def test_booleans_become_zero_and_one(folder):
    images, _ = from_file(npy(folder, np.array([[True, False]])))
    assert images.dtype == np.float32
    assert images.tolist() == [[1, 0]]


@pytest.mark.parametrize("order", ["<f8", ">f8"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_byte_order_and_layout_of_the_file_do_not_matter(folder, order, layout):
    array = np.arange(6).reshape(2, 3).astype(order, order=layout)
    np.testing.assert_array_equal(from_file(npy(folder, array))[0], array)


@given(
    array=arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32)),
    dtype=st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.uint64]),
    data=st.data(),
)
def test_an_npz_returns_its_images_and_its_labels_as_int64(folder, array, dtype, data):
    given_labels = data.draw(arrays(dtype, len(array), elements=st.integers(0, 127)))
    images, labels = from_file(npz(folder, images=array, labels=given_labels))
    np.testing.assert_array_equal(images, array)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, given_labels)


def test_arrays_that_are_not_used_are_named(folder):
    with pytest.warns(DataWarning, match="not used: ids, y; images and labels alone are"):
        from_file(npz(folder, images=np.ones((2, 3)), y=[0, 1], ids=[3, 4]))


def test_an_npz_without_labels_returns_none_for_them(folder):
    images, labels = from_file(str(npz(folder, images=np.ones((2, 3)))))
    assert images.shape == (2, 3)
    assert labels is None


def test_a_missing_file_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"absent\.npy does not exist: .*check the path"):
        from_file(folder / "absent.npy")


def test_a_folder_is_refused(folder):
    with pytest.raises(ValueError, match=r"is a folder: expected a \.npy or \.npz file"):
        from_file(folder)


@pytest.mark.parametrize(("name", "came"), [("data.csv", ".csv"), ("data", "no suffix")])
def test_another_suffix_is_refused(folder, name, came):
    (folder / name).write_text("1,2")
    with pytest.raises(ValueError, match=rf"ends with {re.escape(came)}: expected \.npy or \.npz"):
        from_file(folder / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("content", [b"", b"not an array", b"\x80\x04pickle"])
def test_a_file_of_another_format_is_refused(folder, suffix, content):
    path = folder / f"other{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"cannot be read as \{suffix} .*write it again$"):
        from_file(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("write", [npy, lambda folder, array: npz(folder, images=array)])
def test_a_truncated_file_is_refused(folder, write, kept):
    path = write(folder, np.arange(400.0).reshape(20, 20))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"cannot be read as .*expected a whole file of numbers"):
        from_file(path)


@given(
    compressed=st.booleans(),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4),
)
def test_a_damaged_file_gives_images_or_one_sentence(folder, compressed, flips):
    array = np.linspace(0, 1, 12).reshape(3, 4)
    path = npz(folder, images=array, labels=[0, 1, 2]) if compressed else npy(folder, array)
    content = bytearray(path.read_bytes())
    for place, flip in flips:
        content[place % len(content)] ^= flip
    path.write_bytes(content)
    sentences = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DataWarning)
        try:
            assert np.isfinite(from_file(path)[0]).all()
        except ValueError as error:
            sentences.append(str(error))
    sentences += [str(warning.message) for warning in said]
    assert not any("\n" in sentence for sentence in sentences)


class Bomb:
    """An object whose unpickling would be seen."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("name", ["images", "labels"])
def test_objects_are_refused_and_never_unpickled(folder, name):
    bombs = np.array([[Bomb()]], dtype=object)
    contents = {"images": np.ones((1, 1)), name: bombs}
    for path in (npz(folder, **contents), npy(folder, bombs, allow_pickle=True)):
        with pytest.raises(ValueError, match=r"Object arrays cannot be loaded.*toarray\(\)"):
            from_file(path)


def test_an_npz_without_images_is_refused(folder):
    with pytest.raises(ValueError, match=r"no array named images, but x: .*numpy\.savez\(path, im"):
        from_file(npz(folder, x=np.ones((2, 3))))


def test_a_sparse_matrix_is_refused_with_what_to_save(folder):
    sparse = {"data": [1.0], "indices": [0], "indptr": [0, 1], "shape": (1, 1), "format": b"csr"}
    with pytest.raises(ValueError, match=r"a sparse matrix: .*images=matrix\.toarray\(\)"):
        from_file(npz(folder, **sparse))


@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (3, 0), (2, 0, 4)])
def test_images_that_are_empty_or_have_fewer_than_two_axes_are_refused(folder, shape):
    with pytest.raises(ValueError, match=rf"the shape {re.escape(str(shape))}, expected \(n, …\)"):
        from_file(npy(folder, np.ones(shape)))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64])
def test_integers_of_unknown_scale_are_refused(folder, dtype):
    with pytest.raises(ValueError, match=rf"are {np.dtype(dtype)} from 5 to 5, .*save images / 15"):
        from_file(npy(folder, np.full((2, 2), 5, dtype)))


@pytest.mark.parametrize("dtype", ["c16", "U3", "S3", "M8[s]", [("a", "f4"), ("b", "f4")]])
def test_what_is_not_real_is_refused(folder, dtype):
    with pytest.raises(ValueError, match="expected real numbers; save them as float32"):
        from_file(npy(folder, np.zeros((2, 2), dtype)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_not_finite_in_float32_are_counted_and_the_first_is_located(folder, bad):
    array = np.zeros((4, 3, 2))
    array[1, 2, 0] = array[3, 0, 1] = bad
    message = rf"2 of 24 numbers are not finite in float32, the first is {re.escape(str(bad))} at "
    with pytest.raises(ValueError, match=message + r"\(1, 2, 0\); replace them"):
        from_file(npy(folder, array))


@pytest.mark.parametrize("shape", [(), (2,), (4,), (1, 3)])
def test_labels_that_are_not_one_per_image_are_refused(folder, shape):
    message = rf"data\.npz: labels have the shape {re.escape(str(shape))}, expected \(3,\), one"
    with pytest.raises(ValueError, match=message):
        from_file(npz(folder, images=np.ones((3, 2)), labels=np.zeros(shape, int)))


def test_labels_may_be_text(folder):
    _, labels = from_file(npz(folder, images=np.ones((2, 2)), labels=["owl", "cat"]))
    assert labels.tolist() == ["owl", "cat"]


def test_an_archive_whose_sum_is_wrong_is_refused(folder):
    buffer = io.BytesIO()
    np.savez(buffer, images=np.zeros((2, 2)))
    with zipfile.ZipFile(buffer) as archive:
        start = archive.getinfo("images.npy").header_offset
    content = bytearray(buffer.getvalue())
    content[start + 14] ^= 1
    # The directory at the end repeats the sum, and is what zipfile believes.
    content[content.rindex(b"PK\x01\x02") + 16] ^= 1
    path = folder / "sum.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Bad CRC-32"):
        from_file(path)
