"""The Intel DSA and IAX accelerators as a model: descriptors, operations, completion records, work queues.

In order: ``abi`` what both sides agree on; ``legality`` and ``limits`` what a descriptor may say; ``transfer`` the
device's side of memory; ``moving``, ``comparing``, ``checksums``, ``integrity`` the operations of DSA. Those of IAX: ``iax`` its
rules; ``crc64``; ``analytics`` what the others share; ``huffman``, ``tokens`` and ``inflate`` DEFLATE to the bit; ``aecs`` what
lives on between jobs; ``decompress``, ``deflate``, ``elements``, ``filters``, ``zeros``. ``device`` carries out one descriptor,
``queue`` many of them, with faults and delays on demand; ``swerror`` is what no record shows.
"""

from pasidlab.accelerator.abi import (
    GENCAP_1_0,
    OPERATIONS_1_0,
    OPERATIONS_2_0,
    OPERATIONS_IAX_1,
    OPERATIONS_IAX_2,
    Cap,
    Descriptor,
    Flag,
    Op,
    Status,
    operation_name,
    status_text,
)
from pasidlab.accelerator.device import IAX, Accelerator
from pasidlab.accelerator.legality import WqLimits
from pasidlab.accelerator.queue import Completion, Perturbation, Submission, WorkQueue
from pasidlab.accelerator.transfer import BULK, DescriptorOutcome, Memory

__all__ = [
    "BULK",
    "GENCAP_1_0",
    "IAX",
    "OPERATIONS_1_0",
    "OPERATIONS_2_0",
    "OPERATIONS_IAX_1",
    "OPERATIONS_IAX_2",
    "Accelerator",
    "Cap",
    "Completion",
    "Descriptor",
    "DescriptorOutcome",
    "Flag",
    "Memory",
    "Op",
    "Perturbation",
    "Status",
    "Submission",
    "WorkQueue",
    "WqLimits",
    "operation_name",
    "status_text",
]
