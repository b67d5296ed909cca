"""``python -m twinbert`` is the ``twinbert`` command."""

from .cli import main

main()
