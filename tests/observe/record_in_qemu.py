"""Records another kernel: ``python tests/observe/record_in_qemu.py VMLINUZ OUTPUT [--functions] [--trace-cmd] [ROUNDS]``.

The kernel boots under qemu-system-x86_64 without hardware support (TCG) from an initramfs of busybox and ``guest_workload.c``; both are
made here. The guest's ``trace`` comes out of a serial port, with its release in front, as OUTPUT (gzip if the name ends with .gz); with
--trace-cmd, which the guest gets from this machine, it is trace-cmd's trace.dat.
With --activities NAME,NAME... or --activities all, the guest runs ``activities/`` instead, for ROUNDS seconds. --modules FOLDER names the
kernel's own modules (lib/modules/RELEASE): those of KVM are loaded, and the guest has guests.
Debian has the kernels (linux-image-6.1.*-cloud-amd64, linux-image-6.12.*-cloud-amd64; ``dpkg-deb -x`` unpacks them), qemu-system-x86 and
busybox-static.
"""

import argparse
import gzip
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pasidlab.observe.kinds import CALLS, SETTERS

EVENTS = (
    "x86_fpu sched/sched_switch sched/sched_migrate_task sched/sched_process_fork sched/sched_process_exec sched/sched_process_exit "
    "sched/sched_process_wait task/task_newtask signal/signal_deliver irq/softirq_entry irq/softirq_exit "
    "syscalls/sys_enter_rt_sigreturn kvm/kvm_fpu"
)
KVM = ("virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-amd.ko")
"""In the order in which they are loaded. The CPU of TCG has AMD's extensions for guests."""
INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tracefs none /sys/kernel/tracing
for module in irqbypass kvm kvm-amd; do test -e /$module.ko && insmod /$module.ko; done
cd /sys/kernel/tracing
echo 40000 > buffer_size_kb
echo global > trace_clock
stty -F /dev/ttyS1 raw
{record}
sync
poweroff -f
"""
TRACEFS = """{functions}
for event in {events}; do test -e events/$event && echo 1 > events/$event/enable; done
{workload}
echo 0 > tracing_on
{{ echo "# os release : $(uname -r)"; cat trace; }} | gzip -1 > /dev/ttyS1
"""
TRACE_CMD = """grep -e fpu -e fpregs -e fpstate -e regs_set -e ssp_set /proc/kallsyms > /kallsyms
mount -o bind /kallsyms /proc/kallsyms  # the whole of it is a megabyte
trace-cmd record -q -C global -b 40000 -o /trace.dat {functions} {events} {workload} > /dev/ttyS0 2>&1
gzip -1 -c /trace.dat > /dev/ttyS1
"""
ASK = """for function in {functions}; do
    grep -q "^$function\\b" available_filter_functions && echo $function >> set_ftrace_filter || echo "not traced: $function" > /dev/ttyS0
done
echo function > current_tracer
"""
SECONDS = 300
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Guest:
    """What is to be recorded."""

    workload: str
    functions: bool
    trace_cmd: bool
    modules: Path | None

    def script(self) -> str:
        """What the guest runs."""
        names = [kind.name for kind in (*CALLS, *SETTERS)]
        if self.trace_cmd:
            asked = " ".join(f"-e {event.replace('/', ':')}" for event in EVENTS.split() if self.modules or not event.startswith("kvm/"))
            traced = "$(for f in {}; do grep -q ^$f'\\b' available_filter_functions && echo -l $f; done)".format(" ".join(names))
            return TRACE_CMD.format(functions=f"-p function {traced}" if self.functions else "", events=asked, workload=self.workload)
        ask = ASK.format(functions=" ".join(names)) if self.functions else ""
        return TRACEFS.format(events=EVENTS, workload=self.workload, functions=ask)


def give_modules(root, modules):
    """Those of KVM, unpacked."""
    for name in KVM:
        found = next((file for file in (modules / "kernel").glob(f"{name}*")), None)
        if found:  # some are built in
            data = found.read_bytes()
            (root / Path(name).name).write_bytes(lzma.decompress(data) if found.suffix == ".xz" else data)


def compiled(program, *sources):
    """A program for the guest."""
    subprocess.run(["gcc", "-O1", "-static", "-o", program, *sources, "-lpthread"], check=True)


def give_trace_cmd(root):
    """This machine's trace-cmd, with its libraries."""
    program = shutil.which("trace-cmd")
    assert program, "trace-cmd is missing"
    libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout)
    for file in (program, *libraries):
        place = root / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    (root / "bin" / "trace-cmd").symlink_to(program)


def initramfs(folder, guest):
    """The archive to boot from."""
    root = folder / "root"
    for name in ("bin", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is missing"
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in ("sh", "mount", "cat", "echo", "grep", "stty", "gzip", "uname", "sync", "poweroff", "test", "insmod"):
        (root / "bin" / name).symlink_to("busybox")
    compiled(root / "workload", HERE / "guest_workload.c")
    compiled(root / "activities", *(HERE / "activities").glob("*.c"))
    if guest.trace_cmd:
        give_trace_cmd(root)
    if guest.modules:
        give_modules(root, guest.modules)
    (root / "init").write_text(INIT.format(record=guest.script()))
    (root / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    made = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, check=True, capture_output=True).stdout
    archive = folder / "initramfs.gz"
    archive.write_bytes(gzip.compress(made, 1))
    return archive


def record(kernel, output, guest):
    """Boot, wait for the end, keep what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out, console = folder / "out.gz", folder / "console"
        command = [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot",
            "-kernel", kernel, "-initrd", initramfs(folder, guest),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
            "-monitor", "none", "-serial", f"file:{console}", "-serial", f"file:{out}",
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        if not out.exists() or not out.stat().st_size:
            sys.exit(f"the guest told nothing:\n{console.read_text(errors='replace')[-2000:]}")
        found = gzip.decompress(out.read_bytes())
        output.write_bytes(gzip.compress(found, 9, mtime=0) if output.suffix == ".gz" else found)
        print(*(line for line in console.read_text(errors="replace").splitlines() if "not traced: " in line), sep="\n")
        print(f"{output}: {output.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", metavar="VMLINUZ")
    parser.add_argument("output", metavar="OUTPUT", type=Path)
    parser.add_argument("rounds", metavar="ROUNDS", nargs="?", type=float, default=20)
    parser.add_argument("--functions", action="store_true")
    parser.add_argument("--trace-cmd", action="store_true")
    parser.add_argument("--activities", metavar="NAMES", help="separated by commas, or all")
    parser.add_argument("--modules", metavar="FOLDER", type=Path)
    asked = parser.parse_args()
    names = (asked.activities or "").replace("all", "").replace(",", " ")
    workload = f"/workload {asked.rounds:g}" if asked.activities is None else f"/activities {asked.rounds:g} {names}"
    record(asked.kernel, asked.output, Guest(workload, asked.functions, asked.trace_cmd, asked.modules))


if __name__ == "__main__":
    main()
