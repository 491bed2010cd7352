"""QuickXorHash, the only content hash that OneDrive for Business reports.

Written for the emulator alone: one implementation for both sides would hide the mistakes of both.
"""

from __future__ import annotations

import base64

_WIDTH_BITS = 160
_SHIFT_BITS = 11
_MASK = (1 << _WIDTH_BITS) - 1
_PERIOD_BYTES = _WIDTH_BITS
_SLICE_BYTES = _PERIOD_BYTES * 200


class QuickXorHash:
    """A 160-bit hash in which byte i is XORed in at bit 11·i modulo 160, with the length XORed in last.

    The position depends on i modulo 160 only, so all blocks of 160 bytes may first be XORed into one another:
    the input is folded as large integers and spread over the register once, at the end.
    Source: Microsoft Graph documentation, code snippet "QuickXorHash algorithm".
    """

    def __init__(self) -> None:
        self._folded = 0
        self._length_bytes = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes of the content.

        :param data: contiguous bytes, of any length.
        """
        view = memoryview(data)
        offset = self._length_bytes % _PERIOD_BYTES
        self._length_bytes += len(view)
        if offset:
            head = view[: _PERIOD_BYTES - offset]
            self._folded ^= int.from_bytes(head, "little") << (8 * offset)
            view = view[len(head) :]
        folded = self._folded
        for start in range(0, len(view), _SLICE_BYTES):
            folded ^= int.from_bytes(view[start : start + _SLICE_BYTES], "little")
        self._folded = folded

    def copy(self) -> QuickXorHash:
        """Return an independent hash of the same content so far."""
        twin = QuickXorHash()
        twin._folded, twin._length_bytes = self._folded, self._length_bytes
        return twin

    def digest(self) -> bytes:
        """Return the 20 bytes of the hash of everything taken in so far."""
        block = self._folded.to_bytes(_SLICE_BYTES, "little")
        register = 0
        for column in range(_PERIOD_BYTES):
            byte = 0
            for cell in block[column::_PERIOD_BYTES]:
                byte ^= cell
            spread = byte << (_SHIFT_BITS * column % _WIDTH_BITS)
            register ^= (spread & _MASK) ^ (spread >> _WIDTH_BITS)
        register ^= (self._length_bytes & 0xFFFF_FFFF_FFFF_FFFF) << (_WIDTH_BITS - 64)
        return register.to_bytes(_WIDTH_BITS // 8, "little")

    def base64(self) -> str:
        """Return the hash as Graph spells it: base64, 28 characters."""
        return base64.b64encode(self.digest()).decode()
