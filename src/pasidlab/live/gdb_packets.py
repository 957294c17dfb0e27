"""Packets of gdb's remote serial protocol: ``$data#checksum``, and how bytes stand in them (GDB manual, "Overview" of appendix E)."""

from __future__ import annotations

from collections.abc import Iterator

INTERRUPT = b"\x03"
"""Sent bare, while the program runs (appendix E, "Interrupts")."""
_ESCAPE, _XOR = 0x7D, 0x20
_SPECIAL = frozenset(b"#$}*")
_LONGEST = 1 << 17  # bytes of a packet: what is longer comes from no gdb


class NoPacket(Exception):
    """What came is no packet of the protocol."""


def packet(data: bytes) -> bytes:
    """The bytes on the wire; ``data`` is escaped already where it is binary."""
    return b"$%s#%02x" % (data, sum(data) & 0xFF)


def escaped(data: bytes) -> bytes:
    """Binary data as it may stand in a packet."""
    out = bytearray()
    for byte in data:
        out += bytes((_ESCAPE, byte ^ _XOR)) if byte in _SPECIAL else bytes((byte,))
    return bytes(out)


def unescaped(data: bytes) -> bytes:
    """The binary data in a packet."""
    out, bytes_ = bytearray(), iter(data)
    for byte in bytes_:
        out.append(next(bytes_, 0) ^ _XOR if byte == _ESCAPE else byte)
    return bytes(out)


class Reader:
    """Cuts what arrives into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Each packet's data, or ``INTERRUPT``, and whether the checksum is right. Acknowledgements are passed over. Raises
        Malformed.
        """
        self._buffer += data
        while self._buffer:
            first = bytes(self._buffer[:1])
            if first in (b"+", b"-"):
                del self._buffer[0]
            elif first == INTERRUPT:
                del self._buffer[0]
                yield INTERRUPT, True
            elif first != b"$" or len(self._buffer) > _LONGEST:
                raise NoPacket(f"a packet begins with $, not {first!r}")
            else:
                end = self._buffer.find(b"#")
                if end < 0 or len(self._buffer) < end + 3:
                    return
                body, check = bytes(self._buffer[1:end]), bytes(self._buffer[end + 1 : end + 3])
                del self._buffer[: end + 3]
                yield body, check.lower() == b"%02x" % (sum(body) & 0xFF)
