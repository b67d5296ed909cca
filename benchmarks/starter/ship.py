"""Copy what the wheel carries of a trained model: int8 graph, tokenizer, head, recipe, and a configuration of these.

python benchmarks/starter/ship.py OUT encoders/starter
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

from twinbert.encoders import ModelFolder
from twinbert.encoders.config import read_config, write_config

SHIPPED = ("tokenizer.json", "head.safetensors", "canaries.safetensors", "onnx/tower_int8.onnx")


def main() -> None:
    """Copy from the first folder to the second, over what is there."""
    source, target = (ModelFolder(Path(argument)) for argument in sys.argv[1:3])
    (target.root / "onnx").mkdir(parents=True, exist_ok=True)
    for name in (*SHIPPED, "recipe.toml"):
        shutil.copyfile(source.root / name, target.root / name)
    config = read_config(source.config)
    write_config(dataclasses.replace(config, files={name: config.files[name] for name in SHIPPED}), target.config)


if __name__ == "__main__":
    main()
