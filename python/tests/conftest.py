import pytest


@pytest.fixture
def check(tmp_path):
    """check(model, *inputs): the imported model verifies and computes what PyTorch computes; gives the imported model."""
    import native
    import torch
    from wafer.frontends.torch import import_model

    def run(model, *inputs, tolerance=1e-5):
        model = model.eval()
        imported = import_model(model, inputs)
        native.verify(imported.text)
        with torch.no_grad():
            wanted = model(*inputs)
        wanted = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted.values() if isinstance(wanted, dict) else wanted)
        found = native.call(imported, inputs, tmp_path)
        assert [tuple(t.shape) for t in found] == [tuple(t.shape) for t in wanted]
        for result, reference in zip(found, wanted, strict=True):
            torch.testing.assert_close(result.to(torch.float64), reference.to(torch.float64), rtol=tolerance, atol=tolerance, equal_nan=True)
        return imported

    return run
