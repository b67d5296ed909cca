"""The model folder: which files it holds, where it comes from, whether it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..errors import ModelError
from .config import Side

Precision = Literal["int8", "fp32"]

STARTER = "starter"
"""Name of the model that ships in the package."""
STARTER_FOLDER = Path(__file__).parent / "starter"
SERVED_FILES = ("*.json", "*.toml", "*.safetensors", "onnx/*.onnx", "README.md")
"""What a model's hub repository is asked for."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The layout of a model on disk.

    config.json         shape, lengths, vector space, checksums
    model.safetensors   fp32 weights for further training; not needed to serve
    tokenizer.json      WordPiece only
    onnx/               ``tower.onnx`` when the towers are shared, else ``query.onnx`` and ``document.onnx``;
                        ``…_int8.onnx`` beside them
    head.safetensors    both crossings for NumPy; absent from a model that serves the cosine alone
    canaries.safetensors  a few texts' vectors at export, to notice a processor that computes otherwise; optional
    parity.json         what int8 keeps of fp32 and what it saves; not needed to serve
    README.md           the card
    """

    root: Path

    @property
    def config(self) -> Path:
        """Shape, lengths, vector space, checksums."""
        return self.root / "config.json"

    @property
    def weights(self) -> Path:
        """The fp32 weights of towers and crossings."""
        return self.root / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """WordPiece vocabulary and rules."""
        return self.root / "tokenizer.json"

    @property
    def head(self) -> Path:
        """Both crossings, folded."""
        return self.root / "head.safetensors"

    @property
    def canaries(self) -> Path:
        """A few texts' vectors at export."""
        return self.root / "canaries.safetensors"

    @property
    def parity(self) -> Path:
        """The report of the int8 export."""
        return self.root / "parity.json"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.root / "README.md"

    def graph(self, side: Side, precision: Precision, *, shared: bool) -> Path:
        """The ONNX graph of one tower."""
        name = "tower" if shared else side
        return self.root / "onnx" / (f"{name}_int8.onnx" if precision == "int8" else f"{name}.onnx")

    def name_of(self, path: Path) -> str:
        """A file's path inside the folder, as ``config.json`` names it."""
        return path.relative_to(self.root).as_posix()

    def checksums(self) -> dict[str, str]:
        """BLAKE2b of every file that serving reads, by its path inside the folder."""
        paths = [self.tokenizer, self.head, self.canaries, *sorted((self.root / "onnx").glob("*.onnx"))]
        return {self.name_of(path): checksum(path) for path in paths if path.exists()}

    def require_whole(self, path: Path, checksums: Mapping[str, str]) -> None:
        """Raise ModelError unless the file is named by ``config.json``, is there, and is the one that it names."""
        name = self.name_of(path)
        if name not in checksums:
            raise ModelError(f"{self.root} has no {name}: its config.json names {', '.join(sorted(checksums))}")
        if not path.is_file():
            raise ModelError(f"{path} is missing: copy the model folder whole, or export it again")
        if checksum(path) != checksums[name]:
            raise ModelError(f"{path} is not the file that this model's config.json names: copy the folder again")


def checksum(path: Path) -> str:
    """BLAKE2b of a file, 32 hex digits."""
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def fingerprint(parts: Iterable[bytes]) -> str:
    """The vector space's name: BLAKE2b of all that shapes a document vector, 32 hex digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def locate(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: Path | None = None,
    local_files_only: bool = False,
) -> ModelFolder:
    """Find a model by the name ``starter``, by its folder, or by its Hugging Face hub id (which is downloaded).

    Raises ModelError when there is none.
    """
    if str(source) == STARTER:
        return ModelFolder(STARTER_FOLDER)
    return ModelFolder(
        fetch(source, SERVED_FILES, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
    )


def fetch(
    source: str | Path,
    patterns: Sequence[str],
    *,
    revision: str | None = None,
    cache_dir: Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder at a path, or of a hub id, whose files that match ``patterns`` are downloaded unless cached.

    What can only be a path (a ``Path``, or text that starts with ``/``, ``./``, ``../`` or ``~`` or ends with a slash)
    never goes to the network.

    Raises ModelError when there is none, and for the revision of a folder, which has none.
    """
    if Path(source).is_dir():
        if revision is not None:
            raise ModelError(f"{source} is a folder and has no revision {revision}: name one of a hub id")
        return Path(source).resolve()
    if _only_a_path(source):
        raise ModelError(f"no folder at {source}: check the path")
    try:
        root = huggingface_hub.snapshot_download(
            str(source),
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=list(patterns),
        )
    except HFValidationError:
        raise ModelError(f'no model folder at {source}: name "{STARTER}", a folder or a hub id') from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"no folder at {source}, and no such model could be had from the hub ({reason})") from error
    return Path(root)


def _only_a_path(source: str | Path) -> bool:
    text = str(source)
    marked = text.startswith((".", "/", "~", "\\")) or text.endswith(("/", "\\"))
    return isinstance(source, Path) or marked or Path(text).exists()
