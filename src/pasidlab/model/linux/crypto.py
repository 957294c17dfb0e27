"""A user of kernel_fpu_begin() in a system call: AES for a socket of AF_ALG, crypto/algif_skcipher.c of v6.12."""

from __future__ import annotations

from pasidlab.lang.declare import check, enter, entry, instruction, reached, require, user
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.fpu import kernel_fpu_begin, kernel_fpu_end
from pasidlab.model.state import KERNEL_DATA


@user(event="crypto")
def read_alg_socket() -> None:
    """recvmsg(2) of a socket of AF_ALG."""
    require(not current.at_enqcmd)
    enter(skcipher_recvmsg)


@entry("syscall")
def skcipher_recvmsg() -> None:
    """cbc_encrypt() of arch/x86/crypto/aesni-intel_glue.c: nobody else may use the registers while it computes."""
    kernel_fpu_begin()
    begin_computing()
    end_computing()
    kernel_fpu_end()


@instruction
def begin_computing() -> None:
    """The first round of AES."""
    current.computing = True


@instruction
def end_computing() -> None:
    """The last round of AES: what the first has left in the registers is still there."""
    reached("preserved")
    check("preserved", this_cpu.user_regs == KERNEL_DATA, "kernel code has lost what it had in the registers inside kernel_fpu_begin()")
    current.computing = False
