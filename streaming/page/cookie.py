"""The session's cookie: signed, not stored, so that it survives the process.

It is `EXPIRY.NONCE.SIGNATURE`. The signature is HMAC-SHA256 under a key that scrypt (RFC 7914) makes of the password
and of a salt in the state folder: another password, or another salt, and no cookie is valid any more.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from maskcast.errors import reason_of
from maskcast.files import write_whole

logger = logging.getLogger(__name__)

SESSION_SECONDS = 30 * 86_400
SALT_BYTES = 32
# What OWASP's Password Storage Cheat Sheet takes for 16 MiB: a quarter of a second of one processor.
COST, BLOCK, TIMES = 1 << 14, 8, 5
_FORM = re.compile(r"([0-9]{1,12})\.[0-9a-f]{32}\.([0-9a-f]{64})", re.ASCII)


def derive(password: str, salt: bytes) -> bytes:
    """The key that belongs to a password; takes its time, on purpose, and holds no lock of the interpreter."""
    given = password.encode("utf-8", "surrogatepass")  # JSON may have halves of characters
    return hashlib.scrypt(given, salt=salt, n=COST, r=BLOCK, p=TIMES, maxmem=2 * 128 * BLOCK * COST, dklen=32)


def issue(key: bytes, now: float) -> str:
    """A cookie that is valid for `SESSION_SECONDS` from `now`, in seconds of the epoch."""
    text = f"{int(now) + SESSION_SECONDS}.{secrets.token_hex(16)}"
    return f"{text}.{_signature(key, text)}"


def is_valid(cookie: str, key: bytes, now: float) -> bool:
    """Whether a cookie is ours, and not too old."""
    if (found := _FORM.fullmatch(cookie)) is None:
        return False
    text = cookie.rpartition(".")[0]
    return hmac.compare_digest(found[2], _signature(key, text)) and int(found[1]) > now


def load_salt(file: Path | None) -> bytes:
    """The salt that is kept in a file, which is made if it is not there; a new one without a file, or if that fails."""
    salt = secrets.token_bytes(SALT_BYTES)
    if file is None:
        return salt
    try:
        kept = file.read_bytes()
        if len(kept) == SALT_BYTES:
            return kept
        logger.warning("%s is damaged and made anew: everybody has to log in again", file)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s: %s; everybody has to log in again after a restart", file, reason_of(error))
        return salt
    try:
        write_whole(file, lambda part: part.write_bytes(salt))
    except OSError as error:
        logger.warning("%s: %s; everybody has to log in again after a restart", file, reason_of(error))
    return salt


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).hexdigest()
