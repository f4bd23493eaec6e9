import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_weights import TEXTS, learn

from hybrid_batch import paths
from hybrid_batch.encoders import load, low_rank
from hybrid_batch.encoders.weights import parameters


@pytest.fixture
def trained(tmp_path):
    """(name of the encoder before training, the encoder after)."""
    encoder = tiny.encoder(tmp_path)
    learn(encoder)
    return str(tmp_path / "tiny-e5"), encoder


def test_a_difference_of_full_rank_gives_the_trained_weights_back(trained, tmp_path):
    base, encoder = trained
    load.save_difference(encoder, base, tmp_path / "kept", rank=99)
    again = load.load(tmp_path / "kept", device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=2e-3)
    assert np.abs(load.load(base, device="cpu").encode(TEXTS) - encoder.encode(TEXTS)).max() > 0.05
    assert again.prompts == encoder.prompts


def test_a_matrix_is_cut_to_its_largest_singular_values_and_the_rest_is_kept(tmp_path):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    before = {"w": draw(8, 6), "b": draw(8), "n": torch.tensor(3), "same": draw(4, 4)}
    low = draw(8, 2) @ draw(2, 6)
    after = before | {"w": before["w"] + low, "b": before["b"] + 1}
    low_rank.write(tmp_path, before, after, ("base", "base@1"), rank=2)
    name, identity, difference = low_rank.read(tmp_path)
    assert (name, identity) == ("base", "base@1") and set(difference) == {"w", "b"}
    assert torch.linalg.norm(difference["w"] - low) < 0.12 * torch.linalg.norm(low)
    torch.testing.assert_close(difference["b"], torch.ones(8))
    low_rank.write(tmp_path, before, after, ("base", "base@1"), rank=1)
    left, sizes, right = torch.linalg.svd(low)
    first = sizes[0] * torch.outer(left[:, 0], right[0])
    assert torch.linalg.norm(low_rank.read(tmp_path)[2]["w"] - first) < 0.12 * sizes[0]


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_packed_vectors_come_back_to_the_nearest_of_fifteen_values(n, rank, data):
    vectors = torch.tensor(data.draw(st.lists(st.lists(st.floats(-1, 1), min_size=rank, max_size=rank), min_size=n, max_size=n)))
    stored = low_rank.packed(vectors)
    assert stored.dtype == torch.uint8 and stored.ndim == 1
    assert (low_rank.unpacked(stored, rank) / 7 - vectors).abs().max() <= 1 / 14 + 1e-6


def test_vectors_that_are_mostly_small_take_less_than_four_bits_a_number():
    vectors = torch.linalg.svd(torch.randn(384, 384, generator=torch.manual_seed(0)))[0][:, :64]
    assert len(low_rank.packed(vectors / vectors.abs().amax(0))) < 0.85 * vectors.numel() / 2


def test_it_is_saved_as_a_plain_folder(trained, tmp_path):
    base, encoder = trained
    load.save_difference(encoder, base, tmp_path / "kept")
    load.save(load.load(tmp_path / "kept", device="cpu"), tmp_path / "plain")
    assert not (tmp_path / "plain" / low_rank.FILE).exists()
    np.testing.assert_allclose(load.load(tmp_path / "plain", device="cpu").encode(TEXTS), encoder.encode(TEXTS), atol=5e-3)


def test_what_models_holds_is_loaded_by_its_name(trained, tmp_path, monkeypatch):
    base, encoder = trained
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    load.save_difference(encoder, base, tmp_path / "models" / "mine", rank=99)
    np.testing.assert_allclose(load.load("mine", device="cpu").encode(TEXTS), encoder.encode(TEXTS), atol=2e-3)
    assert load.identity("mine").startswith("mine@sha256:")
    for name in ("models/mine", "other"):
        with pytest.raises(FileNotFoundError, match="is neither"):
            load.load(name)


def test_a_changed_file_another_base_and_another_architecture_are_refused(trained, tmp_path):
    base, encoder = trained
    load.save_difference(encoder, base, tmp_path / "kept")
    before = load.identity(tmp_path / "kept")
    (tmp_path / "other").mkdir()
    other = tiny.encoder(tmp_path / "other", seed=1)
    low_rank.write(tmp_path / "elsewhere", parameters(other), parameters(encoder), (base, "another"))
    with pytest.raises(ValueError, match="is a difference from another, but .* is sha256"):
        load.load(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="differs in architecture"):
        low_rank.write(tmp_path / "kept", {"w": torch.ones(2)}, {"w": torch.ones(3)}, (base, ""))
    content = bytearray((tmp_path / "kept" / low_rank.FILE).read_bytes())
    content[-1] ^= 1
    (tmp_path / "kept" / low_rank.FILE).write_bytes(content)
    assert load.identity(tmp_path / "kept") != before
    with pytest.raises(ValueError, match="is not the file that difference.sha256 vouches for"):
        load.load(tmp_path / "kept")
