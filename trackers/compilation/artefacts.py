"""What was compiled is kept on disk, so that only the first start of a model takes minutes.

The files are `torch.compile`'s own, which it finds again by their contents: program, options, device and versions. A
file that is damaged is compiled anew.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from tempfile import TemporaryFile

from maskcast.errors import reason_of
from maskcast.files import cache_of, make_folder

# Where torch.compile keeps its files, and Triton below it (torch's own documentation of compile time caching).
FOLDER_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
# A full-size model takes some hundred megabytes; what is larger has seen many versions, and is begun anew.
MOST_BYTES = 4 * 2**30
# Written at first: a disk that has no room for so much, or lets nobody write, would cost each pass its program.
TRIED_BYTES = 2**20

logger = logging.getLogger(__name__)


def keep_artefacts() -> None:
    """Have torch keep its files in our cache, unless a person has said where."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    # A compiler that has been loaded has set its own default, which no person has asked for.
    if os.environ.get(FOLDER_VARIABLE, default_cache_dir()) != default_cache_dir():
        return
    folder = cache_of("compiled")
    try:
        make_folder(folder)
        if _size(folder) > MOST_BYTES:
            shutil.rmtree(folder)
            make_folder(folder)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(TRIED_BYTES))
    except OSError as error:
        logger.warning("what is compiled is kept for this boot only: %s: %s", folder, reason_of(error))
        return
    os.environ[FOLDER_VARIABLE] = str(folder)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
