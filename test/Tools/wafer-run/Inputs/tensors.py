"""Tensors for tests, without NumPy: `npy FILE SHAPE VALUES`, `safetensors FILE NAME SHAPE VALUES`, `print FILE.npy`.

A shape is 4x2, values are f32, separated by blanks.
"""

import ast
import json
import struct
import sys


def shape_of(text):
    return [int(size) for size in text.split("x")]


def main(action, path, *rest):
    if action == "print":
        data = open(path, "rb").read()
        header_bytes = struct.unpack_from("<H", data, 8)[0]
        header = ast.literal_eval(data[10 : 10 + header_bytes].decode())
        values = struct.unpack_from("<" + str((len(data) - 10 - header_bytes) // 4) + "f", data, 10 + header_bytes)
        print(header["descr"], header["shape"], *values)
        return
    name = [] if action == "npy" else [rest[0]]
    shape, values = shape_of(rest[len(name)]), [float(value) for value in rest[len(name) + 1 :]]
    payload = struct.pack("<" + str(len(values)) + "f", *values)
    if action == "npy":
        header = repr({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}) + "\n"
        payload = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + payload
    else:
        header = json.dumps({name[0]: {"dtype": "F32", "shape": shape, "data_offsets": [0, len(payload)]}})
        payload = struct.pack("<Q", len(header)) + header.encode() + payload
    with open(path, "wb") as file:
        file.write(payload)


main(*sys.argv[1:])
