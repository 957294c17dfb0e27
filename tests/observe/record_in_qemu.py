"""Records a kernel that is not this machine's: ``python tests/observe/record_in_qemu.py VMLINUZ OUTPUT [--functions] [ROUNDS]``.

The kernel boots under qemu-system-x86_64 without hardware support (TCG) from an initramfs of busybox and ``guest_workload.c``; both are
made here. The guest's ``trace`` comes out of a serial port, with its release in front, as OUTPUT (gzip if the name ends with .gz).
Debian has the kernels (linux-image-6.1.*-cloud-amd64, linux-image-6.12.*-cloud-amd64; ``dpkg-deb -x`` unpacks them), qemu-system-x86 and
busybox-static.
"""

import gzip
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EVENTS = (
    "x86_fpu sched/sched_switch sched/sched_migrate_task sched/sched_process_fork sched/sched_process_exec sched/sched_process_exit "
    "task/task_newtask signal/signal_deliver irq/softirq_entry irq/softirq_exit"
)
FUNCTIONS = (
    "kernel_fpu_begin_mask kernel_fpu_end switch_fpu_return fpu_flush_thread fpu_clone fpu__drop fpregs_mark_activate "
    "fpu__clear_user_states"
)
INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tracefs none /sys/kernel/tracing
cd /sys/kernel/tracing
echo 40000 > buffer_size_kb
echo global > trace_clock
{functions}
for event in {events}; do echo 1 > events/$event/enable; done
/workload {rounds}
echo 0 > tracing_on
stty -F /dev/ttyS1 raw
{{ echo "# os release : $(uname -r)"; cat trace; }} | gzip -1 > /dev/ttyS1
sync
poweroff -f
"""
SECONDS = 300


def initramfs(folder, rounds, functions):
    """The archive to boot from."""
    root = folder / "root"
    for name in ("bin", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is missing"
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in ("sh", "mount", "cat", "echo", "stty", "gzip", "uname", "sync", "poweroff"):
        (root / "bin" / name).symlink_to("busybox")
    source = Path(__file__).with_name("guest_workload.c")
    subprocess.run(["gcc", "-O1", "-static", "-o", root / "workload", source, "-lpthread"], check=True)
    ask = f"echo {FUNCTIONS} > set_ftrace_filter\necho function > current_tracer" if functions else ""
    (root / "init").write_text(INIT.format(events=EVENTS, rounds=rounds, functions=ask))
    (root / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    made = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, check=True, capture_output=True).stdout
    archive = folder / "initramfs.gz"
    archive.write_bytes(gzip.compress(made, 1))
    return archive


def record(kernel, output, rounds, functions):
    """Boot, wait for the end, keep what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out, console = folder / "out.gz", folder / "console"
        command = [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot",
            "-kernel", kernel, "-initrd", initramfs(folder, rounds, functions), "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
            "-monitor", "none", "-serial", f"file:{console}", "-serial", f"file:{out}",
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        if not out.exists() or not out.stat().st_size:
            sys.exit(f"the guest told nothing:\n{console.read_text(errors='replace')[-2000:]}")
        text = gzip.decompress(out.read_bytes())
        output.write_bytes(gzip.compress(text, 9, mtime=0) if output.suffix == ".gz" else text)
        print(f"{output}: {text.count(b'x86_fpu_')} x86_fpu events, {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--functions"]
    if len(words) not in (2, 3):
        sys.exit(__doc__)
    record(words[0], Path(words[1]), int(words[2]) if len(words) == 3 else 20, "--functions" in sys.argv)
