"""Writes files beside a good one that Facet must refuse: hostile_keras.py GOOD.h5 FOLDER."""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

good, folder = Path(sys.argv[1]), Path(sys.argv[2])


def case(name):
    def write(body):
        path = folder / f"{name}.h5"
        shutil.copy(good, path)
        with h5py.File(path, "r+") as file:
            body(file)

    return write


def replace(file, layer, weight, make):
    """Puts another dataset in the place of a layer's weight."""
    path = f"{layer}/{layer}/{weight}:0"
    old = file[path][...]
    del file[path]
    make(path, old)


@case("shape")
def _(file):
    replace(file, "conv2d_13", "kernel", lambda path, old: file.create_dataset(path, data=old[..., :-1]))


@case("transposed")
def _(file):
    replace(file, "conv2d_transpose_2", "kernel", lambda path, old: file.create_dataset(path, data=old.swapaxes(2, 3)))


@case("statistics")
def _(file):
    file["batch_normalization_20/batch_normalization_20/moving_variance:0"][0] = -1


@case("nan")
def _(file):
    file["dense/dense/kernel:0"][0, 0] = np.nan


@case("missing-layer")
def _(file):
    names = [name for name in file.attrs["layer_names"] if name not in ("conv2d_5", b"conv2d_5")]
    file.attrs["layer_names"] = names


@case("missing-weight")
def _(file):
    del file["conv2d_5/conv2d_5/bias:0"]


@case("unlisted-weight")
def _(file):
    file["conv2d_5"].attrs["weight_names"] = ["conv2d_5/kernel:0"]


@case("renamed")
def _(file):
    file.move("conv2d_5", "hairline")
    file["hairline"].move("conv2d_5", "hairline")
    names = ["hairline" if name in ("conv2d_5", b"conv2d_5") else name for name in file.attrs["layer_names"]]
    file.attrs["layer_names"] = names
    file["hairline"].attrs["weight_names"] = ["hairline/kernel:0", "hairline/bias:0"]


@case("two-images")
def _(file):
    replace(
        file, "out_mask", "kernel", lambda path, old: file.create_dataset(path, data=np.repeat(old, 3, axis=3)))


@case("soft-loop")
def _(file):
    del file["conv2d"]
    file["conv2d"] = h5py.SoftLink("/conv2d")


@case("other-file")
def _(file):
    del file["conv2d"]
    file["conv2d"] = h5py.ExternalLink("/etc/passwd", "/")


@case("outside-storage")
def _(file):
    def make(path, old):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_external(b"/etc/passwd", 0, 4 * old.size)
        parent, name = path.rsplit("/", 1)
        space = h5py.h5s.create_simple(old.shape)
        h5py.h5d.create(file[parent].id, name.encode(), h5py.h5t.IEEE_F32LE, space, plist)

    replace(file, "conv2d", "kernel", make)


@case("virtual")
def _(file):
    def make(path, old):
        layout = h5py.VirtualLayout(old.shape, "f4")
        layout[...] = h5py.VirtualSource("elsewhere.h5", "values", old.shape)
        file.create_virtual_dataset(path, layout)

    replace(file, "conv2d", "kernel", make)


@case("filter")
def _(file):
    replace(file, "conv2d", "kernel", lambda path, old: file.create_dataset(path, data=old, compression="lzf"))


@case("huge")
def _(file):
    replace(file, "conv2d", "kernel", lambda path, old: file.create_dataset(path, (1 << 20,) * 3, "f4", chunks=(8,) * 3))


@case("huge-sparse")
def _(file):
    # No bytes on disk, and few enough numbers to be let in.
    replace(file, "conv2d", "kernel", lambda path, old: file.create_dataset(path, (1 << 24,), "f4", chunks=(1 << 12,)))


@case("huge-chunk")
def _(file):
    def make(path, old):
        file.create_dataset(path, (1 << 24,), "f4", chunks=(1 << 24,), compression="gzip")[...] = 0

    replace(file, "conv2d", "kernel", make)


@case("no-floats")
def _(file):
    replace(file, "conv2d", "kernel", lambda path, old: file.create_dataset(path, data=np.zeros(old.shape, "i8")))


@case("objects")
def _(file):
    texts = h5py.string_dtype()
    replace(file, "conv2d", "kernel", lambda path, old: file.create_dataset(path, old.shape, texts))


@case("long-names")
def _(file):
    file["conv2d"].attrs["weight_names"] = ["k" * 5000, "b"]


@case("many-names")
def _(file):
    del file.attrs["layer_names"]
    for part in range(10):
        file.attrs[f"layer_names{part}"] = np.array([b"conv2d"] * 1000)


@case("no-keras")
def _(file):
    del file.attrs["layer_names"]


# And two that are as good as the first: lists in parts, and values packed by gzip.
@case("good-parts")
def _(file):
    names = list(file.attrs["layer_names"])
    del file.attrs["layer_names"]
    file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:50], names[50:]


@case("good-packed")
def _(file):
    def make(path, old):
        file.create_dataset(path, data=old, compression="gzip", shuffle=True)

    replace(file, "conv2d_13", "kernel", make)


with h5py.File(good) as file, h5py.File(folder / "good-whole-model.h5", "w") as whole:
    file.copy("/", whole, "model_weights")
