"""Configuration programs: what they write to sysfs takes effect, with the driver's checks and errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from running import run, run_python

pytestmark = pytest.mark.needs_run

HELP = """
        import errno
        root = "/sys/bus/dsa/"
        read = lambda path: open(root + "devices/" + path).read().strip()
        def write(path, text):
            try:
                with open(root + path, "w") as file:
                    file.write(text)
                return "ok"
            except OSError as error:
                return errno.errorcode[error.errno].replace("EOPNOTSUPP", "ENOTSUP")
        def wq(name, text):
            return write("devices/wq0.0/" + name, text)
"""


def test_a_queue_is_reconfigured_while_it_is_disabled() -> None:
    done = run_python(
        HELP
        + """
        portal, _ = open_portal()
        source, target, record = Buffer(64), Buffer(64), Buffer(32)
        print(move(portal, source, target, 64))
        refused = [wq(*pair) for pair in (("mode", "dedicated"), ("threshold", "4"), ("block_on_fault", "0"),
                   ("name", "x"), ("priority", "1"), ("size", "4"), ("op_config", "1"), ("group_id", "1"))]
        print(*refused)
        print(write("drivers/user/bind", "wq0.0"), write("drivers/user/unbind", "wq0.7"),
              write("drivers/idxd/bind", "wq0.0"), write("drivers/user/bind", "nothing"))
        print(write("devices/wq0.0/driver/unbind", "wq0.0"), read("wq0.0/state"), read("wq0.0/type"),
              os.path.exists("/dev/dsa/wq0.0"), os.path.exists(root + "devices/wq0.0/driver"))
        noop = Buffer(64)
        print([enqcmd(portal, noop.address) for _ in range(3)])
        print(write("drivers/user/bind", "wq0.0"), hex(int(read("dsa0/cmd_status"), 0)))
        print(wq("mode", "other"), wq("threshold", "17"), wq("threshold", "0"), wq("priority", "16"), wq("size", "4"),
              wq("max_transfer_size", str(1 << 40)), wq("op_config", "ffffffff"), wq("type", "nobody"),
              wq("group_id", "4"), wq("name", ""), wq("ats_disable", "maybe"))
        print(wq("type", "user"), wq("name", "mine"), wq("threshold", "3"), wq("max_transfer_size", "5000"),
              wq("op_config", "8"), wq("driver_name", "user"), wq("prs_disable", "1"), wq("block_on_fault", "1"))
        print(write("drivers/user/bind", "wq0.0"), read("wq0.0/state"), read("wq0.0/max_transfer_size"),
              read("dsa0/cmd_status"), os.path.exists("/dev/dsa/wq0.0"))
        print(move(portal, source, target, 64))
        for op, size in ((MOVE, 8193), (FILL, 64)):
            record.data.raw = bytes(32)
            submit(portal, descriptor(op, record.address, source.address, target.address, size))
            print(hex(wait(record)))
        """
    )
    assert done.out.split("\n")[:-1] == [
        "1",
        "EPERM ENXIO ENXIO EPERM EPERM EPERM EPERM EPERM",
        "EBUSY ENODEV ENODEV ENODEV",
        "ok disabled none False False",
        "[1, 1, 1]",
        "ENXIO 0x80040000",
        "EINVAL EINVAL EINVAL EINVAL EPERM EINVAL EINVAL EINVAL EINVAL ok EINVAL",
        "ok ok ok ok ok ok ok ENOTSUP",
        "ok enabled 8192 0x0 True",
        "1",
        "0x13",
        "0x10",
    ], (done.out, done.err)
    assert any("the queue is disabled" in problem["what"] for problem in done.report["problems"])


def test_a_disabled_device_is_empty_and_enabled_only_with_a_group() -> None:
    done = run_python(
        HELP
        + """
        print(write("drivers/idxd/bind", "dsa0"), write("devices/group0.1/read_buffers_reserved", "8"))
        print(write("devices/dsa0/driver/unbind", "dsa0"), read("dsa0/state"), read("wq0.1/state"), read("wq0.0/size"),
              read("wq0.0/group_id"), read("engine0.0/group_id"), repr(read("group0.0/engines")), os.listdir("/dev/dsa"))
        print(write("drivers/idxd/bind", "dsa0"), hex(int(read("dsa0/cmd_status"), 0)))
        print(write("devices/wq0.5/group_id", "2"), write("drivers/idxd/bind", "dsa0"))
        print(*[write("devices/" + path, text) for path, text in (
            ("engine0.3/group_id", "2"), ("wq0.5/size", "129"), ("wq0.5/size", "100"), ("wq0.6/size", "29"),
            ("wq0.5/mode", "dedicated"), ("wq0.5/threshold", "2"), ("wq0.5/type", "user"), ("wq0.5/name", "late"),
            ("wq0.5/driver_name", "dmaengine"), ("group0.1/read_buffers_reserved", "97"),
            ("group0.1/read_buffers_reserved", "8"), ("group0.1/use_read_buffer_limit", "1"),
            ("dsa0/read_buffer_limit", "9"), ("group0.1/use_read_buffer_limit", "1"),
            ("group0.0/traffic_class_a", "2"), ("group0.0/desc_progress_limit", "3"))])
        print(write("drivers/user/bind", "wq0.5"), write("drivers/idxd/bind", "dsa0"), read("group0.2/work_queues"),
              read("group0.2/engines"), write("drivers/user/bind", "wq0.5"), read("dsa0/cmd_status"))
        print(write("devices/wq0.5/driver_name", "user"), write("devices/wq0.5/type", "user"),
              write("devices/wq0.5/name", "late"), write("drivers/user/bind", "wq0.5"), read("wq0.5/cdev_minor"))
        portal, _ = open_portal("/dev/dsa/wq0.5")
        print(move(portal, Buffer(64), Buffer(64), 64, movdir64b))
        """
    )
    assert done.out.split("\n")[:-1] == [
        "EBUSY EPERM",
        "ok disabled disabled 0 -1 -1 '' []",
        "ENXIO 0x800d0000",
        "ok ENXIO",
        "ok EINVAL ok EINVAL ok EINVAL ok ok ok EINVAL ok EPERM ok ok EPERM ok",
        "ENXIO ok wq0.5 engine0.3 ENODEV 0x80200000",
        "ok ok ok ok 0",
        "1",
    ], (done.out, done.err)


ACCEL_CONFIG = """
set -e
accel-config disable-wq dsa0/wq0.0 dsa0/wq0.1
accel-config disable-device dsa0
accel-config config-wq dsa0/wq0.3 --group-id=1 --mode=shared --wq-size=8 --threshold=6 --type=user --name=app \
    --priority=10 --driver-name=user
accel-config config-engine dsa0/engine0.0 --group-id=1
accel-config enable-device dsa0
accel-config enable-wq dsa0/wq0.3
accel-config save-config -s "$1"
accel-config disable-device dsa0
test ! -e /dev/dsa/wq0.3
accel-config load-config -c "$1" -e
accel-config list > "$2"
test -e /dev/dsa/wq0.3
"""


def test_accel_config_configures_saves_and_loads(tmp_path: Path) -> None:
    if not shutil.which("accel-config"):
        pytest.skip("accel-config is not installed (Debian package accel-config)")
    saved, listed = tmp_path / "saved", tmp_path / "listed"
    done = run("/bin/sh", "-c", ACCEL_CONFIG, "sh", str(saved), str(listed))
    assert done.code == 0, done.err
    (device,) = json.loads(listed.read_text())
    queues = {group["dev"]: group.get("grouped_workqueues") for group in device["groups"]}
    assert [name for name, found in queues.items() if found] == ["group0.1"]
    wq = queues["group0.1"][0]
    assert (wq["dev"], wq["size"], wq["threshold"], wq["name"], wq["state"]) == ("wq0.3", 8, 6, "app", "enabled")
