import pytest


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
