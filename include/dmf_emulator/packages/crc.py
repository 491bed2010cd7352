"""CRC-32 of concatenated and repeated data, without looking at the data again.

A CRC is a remainder of polynomials over GF(2): appending ``n`` bytes multiplies the remainder of what came before
by ``x**(8 * n)``. So the CRC of a hundred gigabytes of one repeated block costs a few dozen multiplications.
Bits are kept reflected, as in :func:`zlib.crc32`: the most significant bit is the coefficient of ``x**0``.
"""

from __future__ import annotations

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
_X_TO_THE_8 = 1 << 23


def _multiply(left: int, right: int) -> int:
    """Product of two polynomials modulo the CRC-32 polynomial."""
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = (left << 1) & 0xFFFFFFFF
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
    return product


def _shift(length_bytes: int) -> int:
    """``x**(8 * length_bytes)``, the factor by which that many appended bytes move a CRC."""
    factor, power = _ONE, _X_TO_THE_8
    while length_bytes:
        if length_bytes & 1:
            factor = _multiply(power, factor)
        power = _multiply(power, power)
        length_bytes >>= 1
    return factor


def crc32_combine(first: int, second: int, second_length_bytes: int) -> int:
    """CRC-32 of two pieces of data put together.

    :param first: CRC-32 of the first piece.
    :param second: CRC-32 of the second piece.
    :param second_length_bytes: length of the second piece; that of the first does not matter.
    """
    return _multiply(_shift(second_length_bytes), first) ^ second


def crc32_repeat(crc: int, length_bytes: int, times: int) -> int:
    """CRC-32 of one piece of data repeated.

    :param crc: CRC-32 of the piece.
    :param length_bytes: length of the piece.
    :param times: how often it follows itself; 0 gives the CRC-32 of nothing, which is 0.
    """
    result, factor = 0, _shift(length_bytes)
    while times:
        if times & 1:
            result = _multiply(factor, result) ^ crc
        crc = _multiply(factor, crc) ^ crc
        factor = _multiply(factor, factor)
        times >>= 1
    return result
