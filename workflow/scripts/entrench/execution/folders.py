"""The folders of results and logs: whether they can be, and whether jobs can write there."""

import os
from collections.abc import Mapping
from pathlib import Path

from entrench.errors import EntrenchError


def require_places(folders: Mapping[str, str]) -> None:
    """Refuse folders that cannot be made. `folders`: key of the config -> folder.

    Raises:
        EntrenchError: something that is no folder stands in the place of one or of its parent.
    """
    for key, folder in folders.items():
        found = _nearest(Path(folder))
        if not found.is_dir():
            raise EntrenchError(
                f"{found}: no folder, and `{key}` ({folder}) needs one there: move it away, or set "
                f"`{key}` to another folder"
            )


def require_writable(folders: Mapping[str, str]) -> None:
    """Refuse folders that jobs cannot write to.

    Raises:
        EntrenchError: the folder, or where it is missing the parent that it would be made in, is
            read-only.
    """
    for key, folder in folders.items():
        found = _nearest(Path(folder))
        if not os.access(found, os.W_OK | os.X_OK):
            raise EntrenchError(
                f"{found}: read-only, and jobs write to `{key}` ({folder}): check its owner, its "
                f"mode and its file system, or set `{key}` to another folder"
            )


def _nearest(folder: Path) -> Path:
    """The folder itself where it exists, else the nearest parent that does."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
