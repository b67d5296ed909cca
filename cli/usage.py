"""Wrong usage, as typer itself raises it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    class UsageError(Exception):
        """A command called wrongly; the command line exits with status 2."""

        ctx: typer.Context | None
        format_message: Callable[[], str]
else:
    # click's class, or that of the copy of click inside newer typers: only BadParameter is public in both.
    UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
