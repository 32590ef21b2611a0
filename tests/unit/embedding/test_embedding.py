from __future__ import annotations

import numpy as np
import pytest

from svc import embedding, errors


@pytest.fixture(scope="module")
def model() -> embedding.MiniLM:
    return embedding.load()


def test_related_sentences_are_closer_than_unrelated_ones(model: embedding.MiniLM) -> None:
    for anchor, related, unrelated in (
        ("Peter drinks beer at the bar.", "A man is having an ale in the pub.", "Plants live on sunlight."),
        ("How do I train my puppy?", "Teaching a young dog to behave.", "The stock market fell today."),
        ("Where does he work?", "What is his job?", "The soup is too salty."),
    ):
        a, b, c = model.embed([anchor, related, unrelated])
        assert a @ b > a @ c + 0.2


def test_every_text_has_its_own_row_of_length_one(model: embedding.MiniLM) -> None:
    texts = ["word " * (n * 37 % 60) + str(n) for n in range(2 * embedding.BATCH_TEXTS + 3)] + ["", "{x} {{"]
    vectors = model.embed(texts)
    assert vectors.shape == (len(texts), model.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    for row in (0, 7, 13, len(texts) - 1):
        assert vectors[row] @ model.embed([texts[row]])[0] > 0.99


def test_nothing_in_nothing_out(model: embedding.MiniLM) -> None:
    assert model.embed([]).shape == (0, model.dimensions)


def test_a_text_is_read_up_to_the_limit(model: embedding.MiniLM) -> None:
    beginning = "clam " * embedding.TOKENS_MAX
    np.testing.assert_allclose(model.embed([beginning]), model.embed([beginning + "typewriter"]), atol=1e-6)
    assert model.tokens(beginning) == embedding.TOKENS_MAX
    assert model.tokens("beer") == 3  # with its two markers


@pytest.mark.anyio
async def test_it_can_be_awaited(model: embedding.MiniLM) -> None:
    vectors = await embedding.embed_async(model, ["one", "two"])
    np.testing.assert_allclose(vectors, model.embed(["one", "two"]), atol=1e-6)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "WEIGHTS", ("no_such_wheel", "model.onnx"))
    with pytest.raises(errors.ConfigError, match=r"model\.onnx \(no_such_wheel\) is missing"):
        embedding.load()
