"""quickXorHash, the only hash that OneDrive for Business gives for a file.

Algorithm: learn.microsoft.com ``/onedrive/developer/code-snippets/quickxorhash``. Byte ``i`` of the data is XORed
into a register of 160 bits at bit ``11 * i mod 160``, and at the end the length into its last 64 bits. The position
depends on ``i mod 160`` only, so the data can be folded onto 160 bytes first, many kilobytes at a time: bitarray does
it about as fast as memory is read, integers alone at over 1 GB/s (docs/adr/0009, with figures).
"""

from __future__ import annotations

import base64

from bitarray import bitarray

_PERIOD_BYTES = 160
_PERIOD_BITS = _PERIOD_BYTES * 8
_PERIOD_MASK = (1 << _PERIOD_BITS) - 1
_REGISTER_BITS = 160
_REGISTER_MASK = (1 << _REGISTER_BITS) - 1
# The period times a power of two, so that it folds by halving; small enough for the second-level cache.
_SLICE_DOUBLINGS = 8
_SLICE_BYTES = _PERIOD_BYTES << _SLICE_DOUBLINGS


def _fold_rest(data: memoryview) -> int:
    """Fold less than a slice onto one period."""
    register = int.from_bytes(data, "little")
    for doubling in reversed(range(_SLICE_DOUBLINGS)):
        half_bits = _PERIOD_BITS << doubling
        register = (register >> half_bits) ^ (register & ((1 << half_bits) - 1))
    return register


def _fold_slices(data: memoryview) -> int:
    """Fold whole slices onto one period. No slice is copied: the buffer is looked at where it is."""
    folded = memoryview(bytearray(_SLICE_BYTES))
    slices = bitarray(buffer=folded)
    for start in range(0, len(data), _SLICE_BYTES):
        slices ^= bitarray(buffer=data[start : start + _SLICE_BYTES])
    for doubling in reversed(range(_SLICE_DOUBLINGS)):
        half = _PERIOD_BYTES << doubling
        lower = bitarray(buffer=folded[:half])
        lower ^= bitarray(buffer=folded[half : 2 * half])
    return int.from_bytes(folded[:_PERIOD_BYTES], "little")


class QuickXor:
    """A running quickXorHash. It is not cryptographic: it detects accidents, not malice."""

    __slots__ = ("_folded", "_length")

    def __init__(self, data: bytes | bytearray | memoryview = b"") -> None:
        self._folded = 0
        self._length = 0
        self.update(data)

    @property
    def length_bytes(self) -> int:
        """How many bytes have been hashed."""
        return self._length

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Hash more data; any division of the data gives the same result.

        :param data: the bytes that follow those hashed so far.
        """
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        whole = len(view) - len(view) % _SLICE_BYTES
        register = _fold_rest(view[whole:])
        if whole:
            register ^= _fold_slices(view[:whole])
        # The data was folded as if it began at a multiple of the period: turn it to where it does begin.
        turn_bits = self._length % _PERIOD_BYTES * 8
        register = ((register << turn_bits) | (register >> (_PERIOD_BITS - turn_bits))) & _PERIOD_MASK
        self._folded ^= register
        self._length += len(view)

    def digest(self) -> bytes:
        """The hash of the data so far, 20 bytes."""
        register = 0
        for position, value in enumerate(self._folded.to_bytes(_PERIOD_BYTES, "little")):
            shifted = value << (11 * position % _REGISTER_BITS)
            register ^= (shifted & _REGISTER_MASK) ^ (shifted >> _REGISTER_BITS)
        register ^= (self._length & ((1 << 64) - 1)) << (_REGISTER_BITS - 64)
        return register.to_bytes(_REGISTER_BITS // 8, "little")

    def base64(self) -> str:
        """The hash as Graph writes it in ``file.hashes.quickXorHash``."""
        return base64.b64encode(self.digest()).decode("ascii")

    def copy(self) -> QuickXor:
        """An independent hash at the same point."""
        return QuickXor.from_state(self.state())

    def state(self) -> tuple[int, str]:
        """Everything needed to go on in another process: length in bytes and the folded data in hexadecimal."""
        return self._length, f"{self._folded:x}"

    @classmethod
    def from_state(cls, state: tuple[int, str]) -> QuickXor:
        """The hash that had this state.

        :param state: what :meth:`state` gave.
        :raises ValueError: it is no such state.
        """
        length, folded = state
        made = cls()
        made._length, made._folded = int(length), int(folded, 16)
        if made._length < 0 or not 0 <= made._folded <= _PERIOD_MASK:
            raise ValueError("This is not the state of a quickXorHash.")
        return made
