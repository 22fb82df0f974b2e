"""
Sealing: makes bytes unreadable without `NARROWS_SNAPSHOT_KEY`.

AES-256-GCM with a fresh nonce for every seal. The setting is either 32 bytes in base64, used as they are, or a
passphrase that scrypt turns into a key with the salt that stands beside the sealed bytes. Deriving takes a tenth of a
second and 32 MiB, so it is done once for a salt, in a thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kit.secret import Secret

KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12

_SCRYPT_COST = 2**15
_SCRYPT_BLOCK = 8
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024


class Sealer:
    """Seals and opens with one secret."""

    def __init__(self, secret: Secret, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._secret = secret
        self._random_bytes = random_bytes
        self._salt = b""
        self._cipher: AESGCM | None = None

    def seal(self, plain: bytes, *, label: bytes) -> bytes:
        """Salt, nonce and sealed bytes. `label` is not in it, and must be the same to open it."""
        salt = self._salt or self._random_bytes(SALT_BYTES)
        nonce = self._random_bytes(NONCE_BYTES)
        return salt + nonce + self._cipher_for(salt).encrypt(nonce, plain, label + salt)

    def open(self, sealed: bytes, *, label: bytes) -> bytes | None:
        """The plain bytes; None if they were sealed with another secret or changed since."""
        salt, nonce = sealed[:SALT_BYTES], sealed[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        if len(nonce) < NONCE_BYTES:
            return None
        try:
            return self._cipher_for(salt).decrypt(nonce, sealed[SALT_BYTES + NONCE_BYTES :], label + salt)
        except InvalidTag:
            return None

    def _cipher_for(self, salt: bytes) -> AESGCM:
        if self._cipher is None or salt != self._salt:
            self._cipher = AESGCM(_key(self._secret.reveal(), salt))
            self._salt = salt
        return self._cipher


def _key(secret: str, salt: bytes) -> bytes:
    try:
        raw = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) == KEY_BYTES:
        return raw
    return hashlib.scrypt(
        secret.encode(),
        salt=salt,
        n=_SCRYPT_COST,
        r=_SCRYPT_BLOCK,
        p=1,
        maxmem=_SCRYPT_MEMORY_BYTES,
        dklen=KEY_BYTES,
    )
