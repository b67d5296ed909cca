"""Long texts are tokenised as far as their tokens are kept: held to the library's own truncation of the whole text."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from twinbert.encoders import ModelFolder
from twinbert.encoders.folder import STARTER_FOLDER
from twinbert.encoders.serving.wordpiece import WordPieceTokenizer
from twinbert.errors import ModelError

STARTER = ModelFolder(STARTER_FOLDER).tokenizer
LONGEST = 8
OURS, WHOLE = WordPieceTokenizer(STARTER, LONGEST), Tokenizer.from_file(str(STARTER))
WHOLE.no_padding()
WHOLE.enable_truncation(LONGEST)
PIECES = st.sampled_from(
    ["a", "wordpiece", " ", "\u0301", "İ", "ΟΔΟΣ", "你", "🙂", "\0", "\n", "\u00a0", "[SEP]", "[", "x" * 101]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=300))
@example(["x" * 127, " ", "y"])
@example([" " * 200, "word"])
@example(["\u0301" * 127, " ", "\u0301", "a"])
@settings(max_examples=300, deadline=None)
def test_a_long_text_has_the_tokens_that_the_library_gives_the_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    for given_text in (text, text * 3):
        assert OURS.encode([given_text])[0].tolist() == WHOLE.encode(given_text).ids


def test_short_and_long_texts_keep_their_order() -> None:
    texts = ["a b", "word " * 100, " " * 500 + "last", "", "你" * 300]
    assert [row.tolist() for row in OURS.encode(texts)] == [WHOLE.encode(text).ids for text in texts]


def test_a_tokenizer_that_leaves_an_empty_text_without_tokens_is_refused(tmp_path: Path) -> None:
    bare = tmp_path / "tokenizer.json"
    bare.write_text(json.dumps(json.loads(STARTER.read_text(encoding="utf-8")) | {"post_processor": None}))
    with pytest.raises(ModelError, match="tokenizer.json puts no special tokens around a text"):
        WordPieceTokenizer(bare, LONGEST)


def test_a_length_that_leaves_a_text_no_room_is_refused() -> None:
    with pytest.raises(ModelError, match="puts 2 special tokens around a text: 2 tokens leave it no room"):
        WordPieceTokenizer(STARTER, 2)
    assert len(WordPieceTokenizer(STARTER, 3).encode(["several words here"])[0]) == 3
