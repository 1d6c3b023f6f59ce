"""The IDX format of the MNIST files: a header, and exactly as many numbers as it promises.

============  ======================================================================
bytes         meaning
============  ======================================================================
0, 1          zero
2             type of the numbers: one of ``TYPES``
3             number of axes, d
4 … 3 + 4d    length of each axis, unsigned, four bytes, most significant byte first
4 + 4d …      the numbers, most significant byte first, last axis fastest
============  ======================================================================

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits",
section "The IDX file format".
"""

import gzip
import io
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

GZIP_MAGIC = b"\x1f\x8b"

# Deflate expands two bits to at most 258 bytes: no valid content exceeds this ratio.
DEFLATE_RATIO = 1032

# NumPy's own limit.
MOST_AXES = 64


def read_idx(source: bytes | str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array of an IDX file, with its shape and type, in native byte order.

    ``source``: the bytes of the file or its path; gzip is recognised by its first two bytes.

    Raises ValueError for any other format, an unknown type, a corrupt gzip, and for fewer or more
    bytes than the header promises; OSError for a file that cannot be read.
    """
    content = idx_content(source)
    dtype, shape = _header(content, "the content")
    numbers = np.frombuffer(content, dtype, offset=4 + 4 * len(shape))
    return numbers.reshape(shape).astype(dtype.newbyteorder("="))


def idx_content(source: bytes | str | os.PathLike[str]) -> bytes:
    """Return the bytes of an IDX file, decompressed, exactly as many as its header promises.

    Raises the errors of ``read_idx``. At most one byte more than promised is ever decompressed.
    """
    if isinstance(source, bytes):
        name, content = "the IDX data", source
    else:
        name, content = os.fspath(source), Path(source).read_bytes()
    if content.startswith(GZIP_MAGIC):
        content = _decompress(content, name)
    expected, came = _length(*_header(content, name)), len(content)
    if came < expected:
        raise _broken(name, f"is truncated: {came} bytes came, its header promises {expected}")
    if came > expected:
        more = f"more came than the {expected} that its header promises"
        raise _broken(name, f"has trailing bytes: {more}")
    return content


def _broken(name: str, what: str) -> ValueError:
    return ValueError(f"{name} {what}; fetch it again")


def _header(content: bytes, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type and the shape that the first bytes of ``content`` promise."""
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(
            f"{name} is no IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, "
            "expected two zero bytes, a type and a number of axes; check that it is the file meant"
        )
    code, axes = content[2], content[3]
    if code not in TYPES:
        known = ", ".join(f"{known:#04x}" for known in TYPES)
        raise _broken(name, f"has the unknown IDX type {code:#04x}, expected one of {known}")
    if not 1 <= axes <= MOST_AXES:
        raise _broken(name, f"has {axes} axes, expected 1 to {MOST_AXES}")
    if len(content) < 4 + 4 * axes:
        came = f"{len(content)} bytes came, the header alone has {4 + 4 * axes}"
        raise _broken(name, f"is truncated: {came}")
    dtype, shape = TYPES[code], struct.unpack_from(f">{axes}I", content, 4)
    # An axis of length 0 must not hide huge ones: NumPy's error would not name the file.
    if math.prod(max(length, 1) for length in shape) * dtype.itemsize > sys.maxsize:
        raise _broken(name, f"promises the shape {shape}, more than any memory can hold")
    return dtype, shape


def _length(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Return the bytes of a whole file, header included."""
    return 4 + 4 * len(shape) + dtype.itemsize * math.prod(shape)


def _decompress(compressed: bytes, name: str) -> bytes:
    """Return the content of a gzip, up to one byte beyond the length that its header promises."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(compressed)) as stream:
            content = stream.read(4)
            if len(content) == 4:
                content += stream.read(4 * content[3])
            expected = _length(*_header(content, name))
            if expected > DEFLATE_RATIO * len(compressed):
                more = f"more than {len(compressed)} compressed bytes can hold"
                raise _broken(name, f"is truncated: its header promises {expected} bytes, {more}")
            # Reading one byte more reaches the end of the file, where gzip checks its checksum.
            return content + stream.read(expected - len(content) + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(name, f"is a corrupt gzip ({error})") from error
