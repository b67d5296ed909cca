"""Text to vectors, and two vectors to a score; serving needs neither torch nor transformers."""

from .config import Weights
from .folder import STARTER, ModelFolder
from .serving.encoder import TwinEncoder

__all__ = ["STARTER", "ModelFolder", "TwinEncoder", "Weights"]
