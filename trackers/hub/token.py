"""Which token goes to the hub, told by where it is from. The token itself is never read here."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path


def token_source() -> str | None:
    """Where the token that is sent is from, in the order of huggingface_hub; None if none is sent.

    Raises:
        OSError: the token's file may not be read.
    """
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN or get_token() is None:
        return None
    for variable in ("HF_OIDC_RESOURCE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable, "").strip():
            return variable
    return constants.HF_TOKEN_PATH


def why_no_token() -> tuple[str, str]:
    """What was found where a token could be, and what to do, for one who has sent none."""
    from huggingface_hub import constants

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return "HF_HUB_DISABLE_IMPLICIT_TOKEN holds it back", "unset that variable"
    if (other := token_elsewhere()) is not None:
        what = f"there is none in {constants.HF_TOKEN_PATH}, where HF_HOME or the user's home has it looked for"
        return what, f"there is one in {other}: set HF_TOKEN_PATH={other}, or HF_TOKEN"
    return (
        f"HF_TOKEN is not set and {constants.HF_TOKEN_PATH} not there",
        f"run {login()}, or set HF_TOKEN (under systemd and in containers)",
    )


def login() -> str:
    """The command that logs in: huggingface_hub's, which pipx and uv install without making it known to the shell."""
    beside = Path(sys.executable).with_name("hf")
    return f"`{beside if shutil.which('hf') is None and beside.is_file() else 'hf'} auth login`"


def token_elsewhere() -> Path | None:
    """A token that this user, or the one behind `sudo`, has where huggingface_hub does not look at present."""
    from huggingface_hub import constants

    homes = [Path(os.path.expanduser("~"))]  # noqa: PTH111 - which has an answer where there is no home
    for user in (os.environ.get("SUDO_USER"), os.environ.get("USER")):
        try:
            homes.append(Path(pwd.getpwnam(user).pw_dir) if user else homes[0])
        except KeyError:
            continue
    files = [home / ".cache" / "huggingface" / "token" for home in homes]
    if cache := os.environ.get("XDG_CACHE_HOME"):
        files.append(Path(cache) / "huggingface" / "token")
    found = (file for file in files if str(file) != constants.HF_TOKEN_PATH and os.path.isfile(file))  # noqa: PTH113
    return next(found, None)
