import contextlib
import gzip
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from scratchgen.datasets.idx import TYPES, idx_content, read_idx


def idx_bytes(code, array):
    """The IDX file of an array, written from the definition of the format."""
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(TYPES[code]).tobytes()


@st.composite
def idx_files(draw, min_side=0):
    """A type code, an array of that type, and the array's IDX file."""
    code = draw(st.sampled_from(sorted(TYPES)))
    shape = draw(array_shapes(min_dims=1, max_dims=5, min_side=min_side, max_side=4))
    array = draw(arrays(TYPES[code].newbyteorder("="), shape))
    return code, array, idx_bytes(code, array)


@given(file=idx_files(), compressed=st.booleans())
def test_what_was_written_is_read_for_every_type_and_shape(file, compressed):
    _, array, content = file
    read = read_idx(gzip.compress(content) if compressed else content)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("code", "written", "number"),
    [
        (0x08, "ff", 255),
        (0x09, "ff", -1),
        (0x0B, "0102", 258),
        (0x0C, "00000102", 258),
        (0x0D, "3f800000", 1.0),
        (0x0E, "bff0000000000000", -1.0),
    ],
)
def test_numbers_are_big_endian_of_the_type_that_the_code_names(code, written, number):
    content = bytes([0, 0, code, 1, 0, 0, 0, 1]) + bytes.fromhex(written)
    assert read_idx(content).tolist() == [number]


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_path_is_read_as_its_bytes_are_whatever_its_name(tmp_path, compress):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path = tmp_path / "any-name"
    path.write_bytes(compress(idx_bytes(0x08, array)))
    for source in (path, str(path)):
        np.testing.assert_array_equal(read_idx(source), array)


def test_the_content_of_a_file_is_the_same_plain_and_compressed():
    content = idx_bytes(0x0C, np.arange(5))
    assert idx_content(content) == idx_content(gzip.compress(content)) == content


@given(file=idx_files(min_side=1), compressed=st.booleans(), data=st.data())
def test_every_truncation_is_refused(file, compressed, data):
    content = gzip.compress(file[2]) if compressed else file[2]
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match=r"truncated|no IDX file|corrupt gzip"):
        read_idx(content[:cut])


@given(file=idx_files(), trailing=st.binary(min_size=1), compressed=st.booleans())
def test_every_trailing_byte_is_refused(file, trailing, compressed):
    content = file[2] + trailing
    with pytest.raises(ValueError, match=f"trailing bytes: more came than the {len(file[2])}"):
        read_idx(gzip.compress(content) if compressed else content)


@given(file=idx_files(), compressed=st.booleans(), flips=st.binary(min_size=1, max_size=24))
def test_a_damaged_header_gives_an_array_or_a_value_error(file, compressed, flips):
    content = bytearray(gzip.compress(file[2]) if compressed else file[2])
    for k, flip in enumerate(flips[: len(content)]):
        content[k] ^= flip
    try:
        read = read_idx(bytes(content))
    except ValueError:
        return
    assert read.size <= len(file[2])


@given(header=st.binary(max_size=300), compressed=st.booleans())
def test_a_random_header_gives_an_array_or_a_value_error(header, compressed):
    content = b"\0\0" + header
    with contextlib.suppress(ValueError):
        assert read_idx(gzip.compress(content) if compressed else content).size <= len(content)


@given(file=idx_files(min_side=1), data=st.data())
def test_a_flipped_bit_anywhere_in_a_gzip_never_changes_the_numbers_unseen(file, data):
    content = bytearray(gzip.compress(file[2]))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = read_idx(bytes(content))
    except ValueError:
        return
    np.testing.assert_array_equal(read, file[1])


def test_an_unknown_type_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown IDX type 0x0a, expected one of 0x08, 0x09, 0x0b"):
        read_idx(bytes([0, 0, 0x0A, 1, 0, 0, 0, 1, 7]))


@pytest.mark.parametrize("axes", [0, 65, 255])
def test_a_number_of_axes_that_no_array_has_is_refused(axes):
    with pytest.raises(ValueError, match=f"has {axes} axes, expected 1 to 64"):
        read_idx(bytes([0, 0, 0x08, axes]) + bytes(4 * axes) + b"\0")


def test_what_is_no_idx_file_is_refused_with_its_first_bytes(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"page\.html is no IDX file: it begins with 3c 68 74 6d"):
        read_idx(path)
    with pytest.raises(ValueError, match="begins with nothing"):
        read_idx(b"")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(2**32 - 1,) * 2, (0, 2**32 - 1, 2**32 - 1)])
def test_a_shape_that_no_memory_can_hold_is_refused_before_anything_is_allocated(shape, compressed):
    content = bytes([0, 0, 0x0E, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    with pytest.raises(ValueError, match="more than any memory can hold"):
        read_idx(gzip.compress(content) if compressed else content)


def test_a_gzip_that_promises_more_than_deflate_can_hold_is_refused_before_decompression():
    content = bytes([0, 0, 0x08, 1]) + struct.pack(">I", 2**32 - 1) + bytes(1000)
    with pytest.raises(ValueError, match=r"promises 4294967303 bytes, more than \d+ compressed"):
        read_idx(gzip.compress(content))


def test_the_densest_gzip_is_still_read():
    array = np.zeros(10**6, np.uint8)
    np.testing.assert_array_equal(read_idx(gzip.compress(idx_bytes(0x08, array), 9)), array)


def test_a_bomb_is_decompressed_no_further_than_one_byte_beyond_its_header(monkeypatch):
    taken = []

    class Counting(gzip.GzipFile):
        def read(self, size=-1):
            data = super().read(size)
            taken.append(len(data))
            return data

    monkeypatch.setattr(gzip, "GzipFile", Counting)
    with pytest.raises(ValueError, match="trailing bytes: more came than the 11"):
        read_idx(gzip.compress(idx_bytes(0x08, np.zeros(3)) + bytes(10**6)))
    assert sum(taken) == 12


def test_a_gzip_whose_sum_is_wrong_is_refused():
    content = bytearray(gzip.compress(idx_bytes(0x08, np.arange(9))))
    content[-8] ^= 1
    with pytest.raises(ValueError, match=r"corrupt gzip \(CRC check failed.*\); fetch it again"):
        read_idx(bytes(content))


def test_a_gzip_whose_stream_is_damaged_is_refused():
    stream = b"\x1f\x8b\x08\0\0\0\0\0\0\0" + b"\xff" * 8
    with pytest.raises(ValueError, match="corrupt gzip") as caught:
        read_idx(stream)
    assert isinstance(caught.value.__cause__, zlib.error)


def test_a_missing_file_is_an_os_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")
