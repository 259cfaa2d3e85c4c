import pathlib
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT / "examples"))


@pytest.fixture
def check(tmp_path):
    """check(model, *inputs): the imported model verifies and computes what PyTorch computes; gives the imported model."""
    import native
    import torch
    from torch.utils import _pytree as pytree
    from wafer.frontends.torch import import_model

    def run(model, *inputs, tolerance=1e-5):
        model = model.eval()
        imported = import_model(model, inputs)
        with torch.no_grad():
            wanted = model(*inputs)
        wanted = pytree.tree_leaves(wanted)
        found = native.call(imported, inputs, tmp_path)
        assert [tuple(t.shape) for t in found] == [tuple(t.shape) for t in wanted]
        for info, result, reference in zip(imported.outputs, found, wanted, strict=True):
            within = {"rtol": tolerance, "atol": tolerance, "equal_nan": True}
            torch.testing.assert_close(result.to(torch.float64), reference.to(torch.float64), **within, msg=lambda message: f"output '{info.name}': {message}")
        return imported

    return run


@pytest.fixture(scope="session")
def tools():
    """The folder of wafer-run and its relatives."""
    import wafer

    folder = pathlib.Path(wafer.__path__[0]).parents[1] / "bin"
    assert (folder / "wafer-run").exists(), f"no tools in {folder}; build them, or set PYTHONPATH to BUILD/python"
    return folder


class Saved:
    """A small model in all forms: `program` with weights, `mlir`, and the files `wexe`, `safetensors`, `npy` (input x) and `odd` (the machine)."""

    def __init__(self, folder: pathlib.Path):
        import numpy
        import torch
        import wafer
        from torch import nn

        torch.manual_seed(0)
        self.folder = folder
        self.model = nn.Sequential(nn.Linear(7, 13), nn.LayerNorm(13), nn.ReLU(), nn.Linear(13, 5)).eval()
        self.x = torch.randn(11, 7)
        self.program = wafer.compile(self.model, (self.x,), machine="odd")
        self.input = self.program.inputs[0].name
        self.mlir = self.program.mlir
        self.wexe, self.safetensors, self.npy, self.odd = (folder / name for name in ("m.wexe", "w.safetensors", "x.npy", "odd.json"))
        self.program.save(self.wexe)
        self.program.save_weights(self.safetensors)
        numpy.save(self.npy, self.x.numpy())
        self.odd.write_bytes((_ROOT / "machines" / "odd.json").read_bytes())


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    return Saved(tmp_path_factory.mktemp("saved"))
