"""``python -m twinbert.cli``."""

from .app import main

main()
