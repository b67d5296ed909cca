"""A small corpus, an index of it, and variants of the starter model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from twinbert.encoders import TwinEncoder
from twinbert.encoders.config import read_config, write_config
from twinbert.encoders.folder import STARTER_FOLDER, ModelFolder
from twinbert.encoders.serving.crossing import LinearHead, ResidualCrossing, write_crossing
from twinbert.retrieval import Document, Retriever

sys.path.insert(0, str(Path(__file__).parent))

TEXTS = """
remove whitespace from both ends of a string|split a path into folder and file name|sort a list in place
run another program and read what it prints|wait until a thread has finished|parse a date from text
count how often each word occurs|open a file for reading bytes|copy a folder with all its files
send an email with an attachment|compute the square root of a number|choose a random element of a list
convert an object to JSON|measure how long a function takes|compress a file with gzip
read the lines of a CSV table|make a temporary folder|join strings with a separator
find all matches of a pattern|compare two floating point numbers|listen on a network port
encode bytes as base64|walk through a folder tree|format a number with thousands separators
call a function after a delay|cache the results of a function|hash a password safely
merge two dictionaries|reverse the order of a sequence|stop the program with an exit code
"""


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    texts = TEXTS.strip().replace("\n", "|").split("|")
    return [Document(f"d{n}", text, f"Part {n % 3}", {"n": n}) for n, text in enumerate(texts)]


@pytest.fixture(scope="session")
def shared(
    documents: list[Document], starter: TwinEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retriever]:
    """An index that no test changes."""
    with Retriever.build(tmp_path_factory.mktemp("shared") / "docs.index", documents, starter) as retriever:
        yield retriever


@pytest.fixture
def variant(tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the starter model in another vector space, without its head, or with another one."""
    return lambda **changes: make_variant(tmp_path / "variant", **changes)


@pytest.fixture(scope="session")
def reordering(documents: list[Document], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    """An index whose model has a head that puts nearly every candidate elsewhere."""
    folder = tmp_path_factory.mktemp("reordering")
    weights = np.random.default_rng(0).standard_normal(TwinEncoder.from_pretrained("starter").dimension)
    head = ResidualCrossing(np.float32(1), np.float32(0), LinearHead(3 * weights.astype(np.float32)))
    with Retriever.build(folder / "docs.index", documents, make_variant(folder / "model", head=head)) as retriever:
        yield retriever


def make_variant(
    folder: Path, space: str | None = None, head: ResidualCrossing | Literal["own", "none"] = "own"
) -> Path:
    model = ModelFolder(folder)
    shutil.copytree(STARTER_FOLDER, folder)
    config = read_config(model.config)
    if head != "own":
        model.head.unlink()
    if isinstance(head, ResidualCrossing):
        write_crossing(head, model.head)
    weights = config.weights if head == "own" else None
    write_config(replace(config, space=space or config.space, weights=weights, files=model.checksums()), model.config)
    return folder
