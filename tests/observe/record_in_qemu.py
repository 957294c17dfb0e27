"""Records another kernel: ``python tests/observe/record_in_qemu.py VMLINUZ OUTPUT [--functions] [--trace-cmd] [ROUNDS]``.

The kernel boots under qemu-system-x86_64 without hardware support (TCG) from an initramfs of busybox and ``guest_workload.c``; both are
made here. The guest's ``trace`` comes out of a serial port, with its release in front, as OUTPUT (gzip if the name ends with .gz); with
--trace-cmd, which the guest gets from this machine, it is trace-cmd's trace.dat.
Debian has the kernels (linux-image-6.1.*-cloud-amd64, linux-image-6.12.*-cloud-amd64; ``dpkg-deb -x`` unpacks them), qemu-system-x86 and
busybox-static.
"""

import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pasidlab.observe.kinds import CALLS, SETTERS

EVENTS = (
    "x86_fpu sched/sched_switch sched/sched_migrate_task sched/sched_process_fork sched/sched_process_exec sched/sched_process_exit "
    "sched/sched_process_wait task/task_newtask signal/signal_deliver irq/softirq_entry irq/softirq_exit "
    "syscalls/sys_enter_rt_sigreturn"
)
INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tracefs none /sys/kernel/tracing
cd /sys/kernel/tracing
echo 40000 > buffer_size_kb
echo global > trace_clock
stty -F /dev/ttyS1 raw
{record}
sync
poweroff -f
"""
TRACEFS = """{functions}
for event in {events}; do echo 1 > events/$event/enable; done
/workload {rounds}
echo 0 > tracing_on
{{ echo "# os release : $(uname -r)"; cat trace; }} | gzip -1 > /dev/ttyS1
"""
TRACE_CMD = """grep -e fpu -e fpregs -e fpstate -e regs_set -e ssp_set /proc/kallsyms > /kallsyms
mount -o bind /kallsyms /proc/kallsyms  # the whole of it is a megabyte
trace-cmd record -q -C global -b 40000 -o /trace.dat {functions} {events} /workload {rounds} > /dev/ttyS0 2>&1
gzip -1 -c /trace.dat > /dev/ttyS1
"""
ASK = """for function in {functions}; do
    grep -q "^$function\\b" available_filter_functions && echo $function >> set_ftrace_filter || echo "not traced: $function" > /dev/ttyS0
done
echo function > current_tracer
"""
SECONDS = 300


def script(rounds, functions, trace_cmd):
    """What the guest runs."""
    names = [kind.name for kind in (*CALLS, *SETTERS)]
    if trace_cmd:
        asked = " ".join(f"-e {event.replace('/', ':')}" for event in EVENTS.split())
        traced = "$(for f in {}; do grep -q ^$f'\\b' available_filter_functions && echo -l $f; done)".format(" ".join(names))
        return TRACE_CMD.format(functions=f"-p function {traced}" if functions else "", events=asked, rounds=rounds)
    ask = ASK.format(functions=" ".join(names)) if functions else ""
    return TRACEFS.format(events=EVENTS, rounds=rounds, functions=ask)


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


def initramfs(folder, rounds, functions, trace_cmd):
    """The archive to boot from."""
    root = folder / "root"
    for name in ("bin", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is missing"
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in ("sh", "mount", "cat", "echo", "grep", "stty", "gzip", "uname", "sync", "poweroff"):
        (root / "bin" / name).symlink_to("busybox")
    source = Path(__file__).with_name("guest_workload.c")
    subprocess.run(["gcc", "-O1", "-static", "-o", root / "workload", source, "-lpthread"], check=True)
    if trace_cmd:
        give_trace_cmd(root)
    (root / "init").write_text(INIT.format(record=script(rounds, functions, trace_cmd)))
    (root / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    made = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, check=True, capture_output=True).stdout
    archive = folder / "initramfs.gz"
    archive.write_bytes(gzip.compress(made, 1))
    return archive


def record(kernel, output, rounds, functions, trace_cmd):
    """Boot, wait for the end, keep what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out, console = folder / "out.gz", folder / "console"
        command = [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot",
            "-kernel", kernel, "-initrd", initramfs(folder, rounds, functions, trace_cmd),
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


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word not in ("--functions", "--trace-cmd")]
    if len(words) not in (2, 3):
        sys.exit(__doc__)
    record(words[0], Path(words[1]), int(words[2]) if len(words) == 3 else 20, "--functions" in sys.argv, "--trace-cmd" in sys.argv)
