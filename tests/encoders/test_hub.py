"""Copies of a model, and a model pushed and loaded again over HTTP, from a hub on the loopback."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_stub import Hub, running_hub
from twinbert import TwinEncoder
from twinbert.cli import main
from twinbert.encoders import ModelFolder
from twinbert.encoders.folder import STARTER_FOLDER
from twinbert.errors import ModelError


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


FILES = sorted(files_of(STARTER_FOLDER))


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """A copy of the starter, with what does not belong to it beside it."""
    root = tmp_path / "model"
    shutil.copytree(STARTER_FOLDER, root)
    (root / "notes.txt").write_text("mine")
    (root / "onnx" / "old.onnx").write_bytes(b"\0")
    (root / "pytorch_model.bin").write_bytes(b"\x80")
    return ModelFolder(root)


def test_a_copy_holds_the_model_s_files_and_no_others(model: ModelFolder, tmp_path: Path) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    target = tmp_path / "new" / "copy"
    encoder.save_pretrained(target)
    assert files_of(target) == files_of(STARTER_FOLDER)
    assert {"README.md", "config.json", "head.safetensors", "recipe.toml", "tokenizer.json"} < files_of(target).keys()
    assert sorted(path.name for path in target.parent.iterdir()) == ["copy"]
    same = TwinEncoder.from_pretrained(target).encode_queries(["read a file"])
    np.testing.assert_array_equal(same, encoder.encode_queries(["read a file"]))


def test_copying_over_a_copy_mends_it_and_leaves_the_rest(model: ModelFolder, tmp_path: Path) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    target = tmp_path / "copy"
    target.mkdir()
    encoder.save_pretrained(target)
    (target / "tokenizer.json").write_text("{")
    (target / "notes.txt").write_text("mine")
    encoder.save_pretrained(target)
    assert files_of(target) == files_of(STARTER_FOLDER) | {"notes.txt": b"mine"}


def test_copying_a_model_over_itself_changes_nothing(model: ModelFolder) -> None:
    before = files_of(model.root)
    TwinEncoder.from_pretrained(model.root).save_pretrained(model.root)
    assert files_of(model.root) == before


def test_a_folder_that_holds_something_else_is_left_alone(model: ModelFolder, tmp_path: Path) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    foreign, file = tmp_path / "foreign", tmp_path / "file"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    file.write_text("")
    for target in (foreign, file):
        with pytest.raises(ModelError, match=f"{target.name} is not empty: name a new folder for the model"):
            encoder.save_pretrained(target)
    assert files_of(foreign) == {"config.json": b"{}"}


def test_a_model_that_is_not_whole_is_not_copied(model: ModelFolder, tmp_path: Path) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    model.head.write_bytes(model.head.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"head.safetensors is not the file that this model's config.json names"):
        encoder.save_pretrained(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as stub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", stub.url)
        template = stub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
        yield stub


def test_a_pushed_model_is_loaded_again_by_its_id(hub: Hub, model: ModelFolder, tmp_path: Path) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    address = encoder.push_to_hub("someone/twin", token="hf_secret", private=True)
    assert address == f"{hub.url}/someone/twin/commit/0123456789abcdef0123456789abcdef01234567"
    assert hub.branches == {"main": files_of(STARTER_FOLDER)}
    assert (hub.created.get("private"), hub.created.get("visibility")) in [(True, None), (None, "private")]
    assert [commit["summary"] for commit in hub.commits] == ["Upload a twinbert model"]
    loaded = TwinEncoder.from_pretrained("someone/twin", cache_dir=tmp_path / "cache")
    again = TwinEncoder.from_pretrained("someone/twin", cache_dir=tmp_path / "cache", local_files_only=True)
    again.save_pretrained(tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(STARTER_FOLDER)
    for copy in (loaded, again):
        assert (copy.source, copy.space) == ("someone/twin", encoder.space)
        np.testing.assert_array_equal(copy.encode_queries(["x"]), encoder.encode_queries(["x"]))


def test_a_branch_and_a_pull_request_leave_the_main_branch_alone(hub: Hub, model: ModelFolder) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    encoder.push_to_hub("someone/twin", token="hf_secret", revision="next", commit_message="Try it")
    address = encoder.push_to_hub("someone/twin", token="hf_secret", create_pr=True)
    assert address == f"{hub.url}/someone/twin/discussions/1"
    assert {branch: sorted(files) for branch, files in hub.branches.items()} == {
        "main": [],
        "next": FILES,
        "refs/pr/1": FILES,
    }
    assert [commit["summary"] for commit in hub.commits] == ["Try it", "Upload a twinbert model"]


def test_what_the_hub_refuses_is_one_line(hub: Hub, model: ModelFolder) -> None:
    encoder = TwinEncoder.from_pretrained(model.root)
    with pytest.raises(ModelError, match="a/b/c is not a hub id: name it as owner/model"):
        encoder.push_to_hub("a/b/c", token="hf_secret")
    hub.refused = 401
    with pytest.raises(ModelError, match="someone/twin could not be pushed to") as refused:
        encoder.push_to_hub("someone/twin", token="hf_secret")
    assert "\n" not in str(refused.value)
    assert "hf_secret" not in str(refused.value)
    hub.server_close()
    hub.shutdown()
    with pytest.raises(ModelError, match="someone/twin could not be pushed to"):
        encoder.push_to_hub("someone/twin", token="hf_secret")


def test_the_command_pushes_and_prints_the_address(
    hub: Hub, model: ModelFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("sys.argv", ["twinbert", "model", "push", str(model.root), "someone/twin", "--create-pr"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert capsys.readouterr().out == f"{hub.url}/someone/twin/discussions/1\n"
    assert sorted(hub.branches["refs/pr/1"]) == FILES
