"""What every room's tests share: the real starter model, loaded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twinbert.encoders import TwinEncoder


@pytest.fixture(scope="session")
def starter() -> TwinEncoder:
    return TwinEncoder.from_pretrained("starter")


@pytest.fixture
def run_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """The help text of a command, as printed."""
    from twinbert.cli import main

    def call(command: list[str]) -> str:
        monkeypatch.setattr("sys.argv", ["twinbert", *command, "--help"])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out

    return call


WORDS = "[PAD] [UNK] [CLS] [SEP] open close read write file stream socket a the how do i"


@pytest.fixture(scope="session")
def bare_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of Hugging Face's, tiny, with its tokenizer and the pooling of sentence-transformers."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint")
    words = Tokenizer(models.WordPiece({word: row for row, word in enumerate(WORDS.split())}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=24, **special)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS.split()), max_position_embeddings=32, **shape)).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return folder


@pytest.fixture(scope="session")
def tiny_teacher(bare_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random sequence-pair classifier of one label."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(bare_checkpoint, num_labels=1)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(bare_checkpoint).save_pretrained(folder)
    return folder
