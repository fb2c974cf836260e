"""Receipts: what a holder shows to renew, release or ack. Signed, so that a forged one costs no Swift request.

A receipt names one delivery of one message. A claim of several messages has the receipt of its first one.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass

from swiftqueue.errors import ReceiptInvalid
from swiftqueue.names import decode_text, encode_text

TOKEN = 10  # random bytes that tell two claims of one delivery number apart
_CORE = struct.Struct(f'!16sIB{TOKEN}s')
_MAC = 16


@dataclass(frozen=True)
class Receipt:
    """``mixed``: the other messages of the claim may have other delivery numbers than this one."""

    message_id: str
    delivery: int
    token: bytes
    mixed: bool = False

    @property
    def core(self) -> str:
        """The receipt without its signature, as claim objects store it."""
        return encode_text(_CORE.pack(uuid.UUID(self.message_id).bytes, self.delivery, self.mixed,
                                      self.token))


def sign(key: bytes, account: str, queue: str, core: str) -> str:
    """The receipt to give out for a claim of this queue."""
    data = decode_text(core)
    return encode_text(data + _mac(key, account, queue, data))


def verify(key: bytes, account: str, queue: str, text: str) -> Receipt:
    """The receipt that ``text`` is. Raises :class:`ReceiptInvalid` for whatever this queue did not sign."""
    try:
        data = decode_text(text)
    except ValueError:
        raise ReceiptInvalid('This is not a claim id.') from None
    core, mac = data[:-_MAC], data[-_MAC:]
    if len(core) != _CORE.size or not hmac.compare_digest(mac, _mac(key, account, queue, core)):
        raise ReceiptInvalid('This claim id is not of this queue.')
    message, delivery, mixed, token = _CORE.unpack(core)
    return Receipt(str(uuid.UUID(bytes=message)), delivery, token, bool(mixed))


def _mac(key: bytes, account: str, queue: str, data: bytes) -> bytes:
    context = f'{account}\x00{queue}\x00'.encode()
    return hmac.digest(key, context + data, hashlib.sha256)[:_MAC]
