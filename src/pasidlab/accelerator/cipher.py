"""AES of IAA as far as public sources show it: cipher feedback (CFB) of 128 bits, a whole job in one descriptor.

The AECS has the layout of intel/idxd-config, test/algorithms/iaa_crypto.h; its iaa_test compares with OpenSSL. What a device keeps in the
AECS from one job to the next is not public, and neither is what Galois/counter mode (0) and XTS (2) read there. Those are refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pasidlab.accelerator.abi import Op
from pasidlab.accelerator.analytics import Analyzed, IaaJob, Result
from pasidlab.accelerator.transfer import DescriptorOutcome

FLUSH = 1 << 1  # cipher flag: IDXD_CRYPTO_CIPHER_FLAG_FLUSH_OUTPUT, accfg/idxd.h
AECS_SIZE = 192  # bytes, IAA_CRYPTO_AECS_SIZE
_FIELDS = struct.Struct("<24xBBH4x24x16s32s16x16s56x")  # algorithm, flags, held sizes, held output, key, vector
_CFB = 1  # IAA_AES_CFB
_KEY_256, _FLUSH_HELD = 1 << 1, 1 << 3  # IAA_CRYPTO_MASK_KEY_SIZE, IAA_CRYPTO_MASK_FLUSH_CRYPTO_IN_ACCUM
_BLOCK = 16  # bytes
_BAD_AECS = 22  # error code


@dataclass(frozen=True)
class CipherState:
    """What an AECS says of a job that begins: a key of 16 or 32 bytes, and a vector of 16."""

    key: bytes
    vector: bytes
    flush: bool  # nothing is held back for a next job

    @classmethod
    def of(cls, raw: bytes) -> CipherState:
        """The state in the first 192 bytes of ``raw``. Raises Analyzed."""
        algorithm, flags, held, _, key, vector = _FIELDS.unpack_from(raw)
        if algorithm != _CFB:
            raise Analyzed(_BAD_AECS, f"the AECS asks for algorithm {algorithm}: 1, CFB, is the one whose fields are public")
        if held:
            raise Analyzed(_BAD_AECS, f"the AECS goes on with a job (sizes {held:#x}): what it keeps is not public")
        return cls(key if flags & _KEY_256 else key[:_BLOCK], vector, bool(flags & _FLUSH_HELD))


def run_cipher(job: IaaJob, o: DescriptorOutcome) -> Result:
    """Source 1 encrypted or decrypted: as many bytes."""
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES

    state = CipherState.of(job.aecs())
    if job.d.size % _BLOCK and not (state.flush or job.flags & FLUSH):
        raise Analyzed(_BAD_AECS, f"{job.d.size % _BLOCK} bytes would wait for the next job, which nothing public describes")
    cipher = Cipher(AES(state.key), CFB(state.vector))
    stream = cipher.encryptor() if job.d.opcode == Op.ENCRYPT else cipher.decryptor()
    for piece in job.source_1():
        job.write(stream.update(piece))
    return Result(job.written)
