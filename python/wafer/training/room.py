"""Where arrays of a training run lie: in memory, or the large ones in files, so that a model may be larger than memory."""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy

from wafer.errors import RuntimeError  # noqa: A004

_SMALL = 1 << 16  # bytes that are not worth a file


class Room:
    """Makes arrays. With a folder, those that are not small lie in files there, which have no name and end with the array."""

    def __init__(self, folder: str | os.PathLike | None = None):
        self.folder = None if folder is None else os.fspath(folder)

    def empty(self, shape: tuple[int, ...], dtype: numpy.dtype) -> numpy.ndarray:
        size = int(numpy.prod(shape)) * numpy.dtype(dtype).itemsize
        if self.folder is None or size <= _SMALL:
            return numpy.empty(shape, dtype)
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                os.posix_fallocate(file.fileno(), 0, size)
                return numpy.memmap(file, dtype, "r+", shape=tuple(shape))
        except OSError as error:
            raise RuntimeError(f"{self.folder}: an array of {size} bytes cannot be made: {error.strerror}") from error

    def copy(self, array: numpy.ndarray) -> numpy.ndarray:
        made = self.empty(array.shape, array.dtype)
        numpy.copyto(made, array)
        return left(made)

    def sum(self, one: numpy.ndarray, other: numpy.ndarray) -> numpy.ndarray:
        if self.folder is None:
            return one + other
        return left(numpy.add(one, other, out=self.empty(numpy.shape(one), one.dtype)))


def left(array: numpy.ndarray) -> numpy.ndarray:
    """The array, of whose file nothing stays in this process's memory until it is read again."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
    return array
