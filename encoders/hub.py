"""A model's own files, copied to another folder or pushed to the Hugging Face hub."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from ..errors import ModelError
from .config import read_config
from .folder import ModelFolder

KEPT = ("README.md", "recipe.toml", "training.json", "parity.json", "model.safetensors")
"""What belongs to a model besides the files that its ``config.json`` names, where it is there."""
NETWORK_ERRORS = (cast("type[Exception]", HfHubHTTPError.__bases__[0]), OSError)
"""Those of the client that this huggingface_hub uses: httpx since its 1.0, before that requests, whose are OSErrors."""


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """How a model is pushed.

    revision: the branch, made when it is not there; the main one when None. private: of a repository that is made.
    create_pr: open a pull request instead of changing the branch. token: the stored one when None.
    """

    revision: str | None = None
    private: bool | None = None
    create_pr: bool = False
    commit_message: str = "Upload a twinbert model"
    token: str | None = None


def model_files(folder: ModelFolder) -> list[str]:
    """The paths, inside the folder, of the files that a model consists of; ``config.json`` comes last.

    Raises ModelError for one that is missing or is not the one that ``config.json`` names.
    """
    config = read_config(folder.config)
    for name in config.files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{folder.config} names {name}, which lies outside the model's folder")
        folder.require_whole(folder.root / name, config.files)
    kept = [name for name in KEPT if (folder.root / name).is_file() and name not in config.files]
    return [*config.files, *kept, folder.name_of(folder.config)]


def copy_model(folder: ModelFolder, target: Path) -> ModelFolder:
    """Copy a model's files, and nothing else that lies beside them, to a new folder, or over a copy of the same model.

    Raises ModelError, before anything is copied, for a model that is not whole and for a target that holds
    something else.
    """
    names, copy = model_files(folder), ModelFolder(target)
    if target.exists() and not _may_hold(copy, folder):
        raise ModelError(f"{target} is not empty: name a new folder for the model")
    if target.exists() and target.samefile(folder.root):
        return folder
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        for name in names:
            whole = Path(work) / name
            whole.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder.root / name, whole)
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(work) / name).replace(target / name)
    return copy


def _may_hold(copy: ModelFolder, folder: ModelFolder) -> bool:
    """Whether a folder is empty, or holds the same model."""
    if not copy.root.is_dir():
        return False
    same = copy.config.is_file() and copy.config.read_bytes() == folder.config.read_bytes()
    return same or not any(copy.root.iterdir())


def push_model(folder: ModelFolder, repo_id: str, options: PushOptions) -> str:
    """Push a model's files, making the repository where it is not there; gives the commit's address.

    One commit (``upload_folder`` may make several): who loads the model meanwhile gets the old one or the new.

    Raises ModelError for a model that is not whole, and for whatever the hub refuses.
    """
    names = model_files(folder)
    api = HfApi(token=options.token)
    try:
        api.create_repo(repo_id, private=options.private, exist_ok=True)
        if options.revision is not None:
            api.create_branch(repo_id, branch=options.revision, exist_ok=True)
        commit = api.create_commit(
            repo_id,
            [CommitOperationAdd(name, folder.root / name) for name in names],
            commit_message=options.commit_message,
            revision=options.revision,
            create_pr=options.create_pr,
        )
    except HFValidationError as error:
        raise ModelError(f"{repo_id} is not a hub id: name it as owner/model") from error
    except NETWORK_ERRORS as error:
        raise ModelError(f"{repo_id} could not be pushed to ({str(error).splitlines()[0]})") from error
    return str(commit.pr_url or commit.commit_url)
