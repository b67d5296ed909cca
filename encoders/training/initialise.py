"""Start a student from a BERT-family teacher: its layers copied, the rest fitted in closed form.

The token table starts from a joint principal-component analysis of what each token means alone (the teacher's vector
of the one-token text), of how the teacher's own input represents it, and of how rare it is; linear maps fitted by
ridge regression lead from the table back to each. Minutes of training are saved that way (docs/decisions/0005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ModelError
from .data import EncodedTexts, pad
from .teacher import BiEncoderTeacher
from .towers import Tower, WeightedAverage

RIDGE = 1e-3
"""Ridge penalty, relative to the mean variance of the inputs."""
SIF = 1e-4
"""Smoothing of the inverse-frequency weights (Arora et al. 2017, a / (a + p))."""
RARITY_SHARE = 0.05
"""Share of the table's variance that the tokens' rarity takes."""


@dataclass(frozen=True)
class TokenFacts:
    """What is known of each token before training, one row a token of the vocabulary.

    alone: ``(vocab, hidden)`` the teacher's mean-pooled states of the one-token text.
    inputs: ``(vocab, hidden)`` the teacher's own input embeddings.
    rarity: ``(vocab,)`` log of the smoothed inverse frequency.
    """

    alone: NDArray[np.float32]
    inputs: NDArray[np.float32]
    rarity: NDArray[np.float32]


def initialise(tower: Tower, teacher: BiEncoderTeacher, layers: Sequence[int], texts: EncodedTexts) -> None:
    """Make ``tower`` resemble ``teacher`` as far as copying and least squares go.

    layers: which of the teacher's layers become the student's, in order.
    texts: a sample whose token counts give rarity and whose vectors the output maps are fitted to.

    Raises ModelError when the teacher's shape does not fit the tower's.
    """
    _require_fit(tower, teacher, layers)
    bert = teacher.model
    with torch.no_grad():
        for ours, index in zip(tower.layers, layers, strict=True):
            ours.load_state_dict(layer_weights(bert.encoder.layer[index]))
        tower.norm.load_state_dict(bert.embeddings.LayerNorm.state_dict())
        segment = bert.embeddings.token_type_embeddings.weight[0]
        tower.positions.weight.copy_(bert.embeddings.position_embeddings.weight[: tower.config.max_tokens] + segment)
        fill_table(tower, token_facts(teacher, texts))
        fit_output(tower, texts)


def _require_fit(tower: Tower, teacher: BiEncoderTeacher, layers: Sequence[int]) -> None:
    ours, theirs = tower.config, teacher.model.config
    wanted = (theirs.hidden_size, theirs.num_attention_heads, theirs.intermediate_size, theirs.vocab_size)
    if (ours.hidden_size, ours.heads, ours.ffn_size, ours.vocab_size) != wanted:
        raise ModelError(f"a start from this teacher needs hidden size, heads, ffn size and vocabulary of {wanted}")
    if not (ours.skip and ours.embedding_norm and ours.dimension == theirs.hidden_size):
        raise ModelError("a start from a teacher needs skip and embedding_norm on and the teacher's dimension")
    if len(layers) != ours.layers or max(layers) >= theirs.num_hidden_layers:
        raise ModelError(f"name {ours.layers} of the teacher's {theirs.num_hidden_layers} layers, not {list(layers)}")


def layer_weights(bert: Any) -> dict[str, Tensor]:  # noqa: ANN401 - transformers' modules are untyped
    """The weights of one transformers ``BertLayer`` under the names of our ``Layer``."""
    attention = bert.attention.self
    parts = (attention.query, attention.key, attention.value)
    weights = {f"qkv.{kind}": torch.cat([getattr(part, kind) for part in parts]) for kind in ("weight", "bias")}
    modules = {
        "attention_output": bert.attention.output.dense,
        "attention_norm": bert.attention.output.LayerNorm,
        "up": bert.intermediate.dense,
        "down": bert.output.dense,
        "output_norm": bert.output.LayerNorm,
    }
    return weights | {
        f"{ours}.{kind}": getattr(theirs, kind) for ours, theirs in modules.items() for kind in ("weight", "bias")
    }


def token_facts(teacher: BiEncoderTeacher, texts: EncodedTexts) -> TokenFacts:
    """Ask the teacher about every token alone, and count the tokens of ``texts``."""
    vocab = teacher.model.config.vocab_size
    start, end = teacher.tokenizer.encode([""])[0].tolist()
    alone = []
    for tokens in torch.split(torch.arange(vocab), 1024):
        ids = torch.stack([torch.full_like(tokens, start), tokens, torch.full_like(tokens, end)], dim=1)
        alone.append(teacher.model(input_ids=ids).last_hidden_state.mean(1))
    counts = np.bincount(texts.flat, minlength=vocab).astype(np.float64)
    rarity = np.log(SIF / (SIF + counts / counts.sum())).astype(np.float32)
    inputs = teacher.model.embeddings.word_embeddings.weight.numpy()
    return TokenFacts(torch.cat(alone).numpy(), inputs, rarity)


def fill_table(tower: Tower, facts: TokenFacts) -> None:
    """Fill the token table and the maps that leave it."""
    views = [
        _scaled(facts.alone, 1.0),
        _scaled(facts.inputs, 1.0),
        _scaled(facts.rarity[:, None], RARITY_SHARE),
    ]
    joined = torch.from_numpy(np.concatenate(views, axis=1))
    _, _, axes = torch.linalg.svd(joined - joined.mean(0), full_matrices=False)
    table = (joined - joined.mean(0)) @ axes[: tower.config.embedding_size].T
    table = table / table.std() * 0.05
    table[0] = 0.0
    tower.tokens.table.weight.copy_(table)
    weight, bias = ridge(table, torch.from_numpy(facts.inputs))
    tower.widen.load_state_dict({"weight": weight, "bias": bias})
    if tower.skip_pool is not None:
        weight, bias = ridge(table, torch.from_numpy(facts.rarity[:, None]))
        tower.skip_pool.logit.load_state_dict({"weight": weight, "bias": bias})


def _scaled(view: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    centred = view - view.mean(axis=0)
    scaled: NDArray[np.float32] = centred * np.float32(share / np.sqrt((centred**2).sum(axis=1).mean()))
    return scaled


def fit_output(tower: Tower, texts: EncodedTexts) -> None:
    """Fit the two maps to the output by ridge regression on the teacher's vectors of ``texts``."""
    if isinstance(tower.pool, WeightedAverage):
        tower.pool.logit.weight.zero_()
        tower.pool.logit.bias.zero_()
    was_training = tower.training
    tower.eval()
    features = []
    for rows in np.array_split(np.argsort(texts.lengths, kind="stable"), max(1, len(texts) // 64)):
        ids, mask = pad(texts, rows)
        features.append((rows, torch.cat(tower.features(ids, mask), dim=1)))
    order = np.concatenate([rows for rows, _ in features])
    inputs = torch.cat([feature for _, feature in features])
    weight, bias = ridge(inputs, torch.from_numpy(texts.targets[order].astype(np.float32)))
    hidden = tower.config.hidden_size
    tower.project.load_state_dict({"weight": weight[:, :hidden], "bias": bias})
    if tower.skip_project is not None:
        tower.skip_project.load_state_dict({"weight": weight[:, hidden:]})
    tower.train(was_training)


def ridge(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares with a small penalty: weight ``(targets, inputs)`` and bias ``(targets,)`` of a linear map."""
    centre, aim = inputs.mean(0), targets.mean(0)
    x = (inputs - centre).double()
    gram = x.T @ x
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weight = torch.linalg.solve(gram, x.T @ (targets - aim).double()).T.float()
    return weight, aim - weight @ centre
