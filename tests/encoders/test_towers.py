import dataclasses

import pytest
import torch
from torch import Tensor
from tower_shapes import TRIGRAMS, WORDPIECE
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertLayer
from twinbert.encoders.config import CrossingConfig, TowerConfig, TwinConfig
from twinbert.encoders.serving.batches import pad
from twinbert.encoders.serving.trigrams import START, TrigramTokenizer
from twinbert.encoders.training.initialise import layer_weights
from twinbert.encoders.training.towers import Layer, MeanPooling, Tower, TwinTowers, WeightedAverage
from twinbert.errors import ModelError


def example(config: TowerConfig, batch: int, tokens: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    width = (20,) if config.tokenizer == "trigrams" else ()
    ids = torch.randint(1, config.vocab_size, (batch, tokens, *width))
    return ids, torch.ones(batch, tokens)


def test_the_paper_s_shape_has_its_34_7_million_parameters() -> None:
    tower = Tower(TowerConfig())
    encoder = sum(weight.numel() for name, weight in tower.named_parameters() if not name.startswith("pool"))
    assert encoder == 49_286 * 512 + 32 * 512 + 6 * 1_577_984
    assert round(encoder / 1e6, 1) == 34.7


def test_weighted_average_is_the_formula() -> None:
    pool = WeightedAverage(2)
    with torch.no_grad():
        pool.logit.weight.copy_(torch.tensor([[1.0, 0.0]]))
        pool.logit.bias.fill_(5.0)
    states = torch.tensor([[[0.0, 1.0], [1.0, 3.0], [9.0, 9.0]]])
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    first, second = 1 / (1 + torch.e), torch.e / (1 + torch.e)
    expected = torch.tensor([[second, first * 1.0 + second * 3.0]])
    torch.testing.assert_close(pool(states, mask), expected)


def test_a_layer_equals_transformers_own() -> None:
    torch.manual_seed(0)
    shape = BertConfig(
        hidden_size=32, num_attention_heads=4, intermediate_size=48, hidden_dropout_prob=0, attn_implementation="eager"
    )
    theirs = BertLayer(shape).eval()
    ours = Layer(TowerConfig(hidden_size=32, heads=4, ffn_size=48, dimension=32)).eval()
    ours.load_state_dict(layer_weights(theirs))
    states = torch.randn(3, 7, 32)
    hidden = torch.zeros(3, 1, 1, 7)
    hidden[1, ..., 4:] = -1e8
    expected = theirs(states, attention_mask=hidden)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(ours(states, hidden), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [TRIGRAMS, WORDPIECE], ids=["trigrams", "wordpiece"])
def test_vectors_are_unit_rows_of_the_dimension(config: TowerConfig) -> None:
    vectors = Tower(config).eval()(*example(config, 5, 9))
    assert vectors.shape == (5, config.dimension)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("config", [TRIGRAMS, WORDPIECE], ids=["trigrams", "wordpiece"])
def test_padding_does_not_change_a_vector(config: TowerConfig) -> None:
    tower = Tower(config).eval()
    ids, mask = example(config, 2, 6)
    longer = torch.cat([ids, torch.zeros_like(ids)], dim=1)
    masked = torch.cat([mask, torch.zeros_like(mask)], dim=1)
    torch.testing.assert_close(tower(longer, masked), tower(ids, mask), atol=1e-6, rtol=0)


def test_a_word_is_the_sum_of_its_trigrams() -> None:
    tower = Tower(TRIGRAMS)
    ids = torch.zeros(1, 1, 20, dtype=torch.int64)
    ids[0, 0, :3] = torch.tensor([7, 8, 9])
    expected = tower.tokens.table.weight[[7, 8, 9]].sum(0)
    torch.testing.assert_close(tower.tokens(ids)[0, 0], expected)


def test_an_unknown_trigram_adds_nothing() -> None:
    tower = Tower(TRIGRAMS)
    assert tower.tokens(torch.zeros(1, 1, 20, dtype=torch.int64)).abs().max() == 0


def test_shared_towers_are_one_and_separate_ones_two() -> None:
    shared = TwinTowers(TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12))
    separate = TwinTowers(TwinConfig(tower=TRIGRAMS, shared=False, query_tokens=8, document_tokens=12))
    assert shared.query is shared.document
    assert separate.query is not separate.document
    count = sum(weight.numel() for weight in shared.parameters())
    assert sum(weight.numel() for weight in separate.parameters()) == 2 * count


def test_mean_pooling_leaves_padding_out() -> None:
    states = torch.tensor([[[1.0, 5.0], [3.0, 1.0], [9.0, 9.0]]])
    torch.testing.assert_close(MeanPooling()(states, torch.tensor([[1.0, 1.0, 0.0]])), torch.tensor([[2.0, 3.0]]))


def test_cls_pooling_takes_the_mark_before_the_words() -> None:
    config = dataclasses.replace(TRIGRAMS, pooling="cls", vocab_size=START + 1)
    tower = Tower(config).eval()
    ids, mask = pad(TrigramTokenizer(12, marked=True).encode(["open the file", "read"]))
    states = torch.randn(2, 4, 32)
    assert ids[:, 0, 0].tolist() == [START, START]
    assert torch.equal(tower.pool(states, torch.from_numpy(mask)), states[:, 0])
    torch.testing.assert_close(tower(torch.from_numpy(ids), torch.from_numpy(mask)).norm(dim=1), torch.ones(2))


def test_a_tanh_projection_bounds_what_is_normalised() -> None:
    config = dataclasses.replace(TRIGRAMS, dimension=8, tanh=True)
    tower = Tower(config).eval()
    tower.project.weight.data.mul_(1e4)
    ids, mask = example(config, 3, 5)
    assert tower.pooled(ids, mask).abs().max() <= 1
    torch.testing.assert_close(tower(ids, mask).norm(dim=1), torch.ones(3))


def test_an_asymmetric_query_tower_is_shallower() -> None:
    config = TwinConfig(
        tower=TRIGRAMS,
        query_tower=dataclasses.replace(TRIGRAMS, layers=1),
        shared=False,
        query_tokens=8,
        document_tokens=12,
    )
    towers = TwinTowers(config)
    assert (len(towers.query.layers), len(towers.document.layers)) == (1, 2)
    assert config.towers == "asymmetric"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_tower": TRIGRAMS}, "cannot be shared"),
        ({"query_tower": dataclasses.replace(TRIGRAMS, dimension=16), "shared": False}, "gives 16 dimensions"),
        ({"query_tower": dataclasses.replace(WORDPIECE, max_tokens=4, dimension=32), "shared": False}, "max_tokens=4"),
    ],
)
def test_towers_that_cannot_stand_side_by_side_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12, **changes)


def test_concat_with_a_linear_residual_is_refused() -> None:
    with pytest.raises(ModelError, match="every query the same order of documents"):
        CrossingConfig(combination="concat", residual="linear")
