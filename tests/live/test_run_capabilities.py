"""What a devices file says of a device decides: PASIDs, operations, versions; what sysfs shows follows from it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest
from running import Run, run, run_python

from pasidlab.errors import PasidlabError
from pasidlab.live.config import devices_from

pytestmark = pytest.mark.needs_run

TOOLS = """
        import errno, select
        root = "/sys/bus/dsa/"
        read = lambda path: open(root + "devices/" + path).read().strip()
        def write(path, text):
            try:
                with open(root + path, "w") as file:
                    file.write(text)
                return "ok"
            except OSError as error:
                return errno.errorcode[error.errno].replace("EOPNOTSUPP", "ENOTSUP")
        def status(op, size=64, flags=0xC, path="/dev/dsa/wq0.0"):
            portal, fd = open_portal(path)
            record, source, target = Buffer(64), Buffer(4096), Buffer(4096)
            first, second = (source.address if op else 0), (target.address if op == MOVE else 0)
            submit(portal, descriptor(op, record.address, first, second, size, flags=flags))
            return hex(wait(record))
"""
WQ = '[[device.wq]]\nmode = "{}"\nsize = 16\n{}\n'


def on(tmp_path: Path, devices: str, script: str) -> Run:
    """The script on the devices of this TOML text."""
    file = tmp_path / "devices.toml"
    file.write_text(devices)
    return run_python(TOOLS + indent(dedent(script), " " * 8), "--devices", str(file))


def test_without_pasids_a_shared_queue_keeps_the_device_disabled(tmp_path: Path) -> None:
    devices = "[[device]]\npasid_enabled = 0\n" + WQ.format("shared", "") + WQ.format("dedicated", "")
    done = on(tmp_path, devices, """
        print(read("dsa0/cmd_status"), read("dsa0/state"), read("wq0.0/state"), read("wq0.1/state"), os.listdir("/dev/dsa"))
        print(write("devices/dsa0/cmd_status", "1"), read("dsa0/cmd_status"))
        print(write("drivers/idxd/bind", "dsa0"), read("dsa0/cmd_status"), read("dsa0/state"))
        print(write("devices/wq0.0/mode", "dedicated"), write("drivers/idxd/bind", "dsa0"), read("dsa0/state"))
        print(write("drivers/user/bind", "wq0.0"), read("dsa0/cmd_status"), os.listdir("/dev/dsa"))
        print(write("devices/wq0.1/driver_name", "dmaengine"), write("drivers/dmaengine/bind", "wq0.1"), read("wq0.1/state"))
    """)  # fmt: skip
    assert done.out.split("\n")[:-1] == [
        "0x800c0000 disabled disabled disabled []",
        "ok 0x0",
        "ENXIO 0x800c0000 disabled",
        "ok ok enabled",
        "ENOTSUP 0x80110000 []",
        "ok ok enabled",
    ], (done.out, done.err)


def test_without_pasids_a_dedicated_queue_serves_the_kernel_alone(tmp_path: Path) -> None:
    kernel = 'type = "kernel"\ndriver_name = "dmaengine"'
    devices = "[[device]]\npasid_enabled = 0\n" + WQ.format("dedicated", kernel) + WQ.format("dedicated", "")
    done = on(tmp_path, devices, """
        print(read("dsa0/cmd_status"), read("dsa0/state"), read("wq0.0/state"), read("wq0.1/state"), os.listdir("/dev/dsa"))
    """)  # fmt: skip
    assert done.out == "0x80110000 enabled enabled disabled []\n", done.err


def test_a_shared_queue_of_no_type_stops_its_neighbours(tmp_path: Path) -> None:
    """wq_shared_supported() asks for the type, and every queue in a group is looked at (idxd_wqs_setup(), v6.12)."""
    done = on(tmp_path, "[[device]]\n" + WQ.format("shared", "") + WQ.format("shared", ""), """
        print(write("drivers/user/unbind", "wq0.0"), write("drivers/user/unbind", "wq0.1"))
        for name, text in (("type", "user"), ("name", "again"), ("threshold", "8"), ("driver_name", "user")):
            write("devices/wq0.1/" + name, text)
        print(write("drivers/user/bind", "wq0.1"), read("dsa0/cmd_status"))
        print(write("devices/wq0.0/group_id", "-1"), write("devices/wq0.1/type", "user"))
        print(write("drivers/user/bind", "wq0.1"), read("dsa0/cmd_status"), os.listdir("/dev/dsa"))
    """)  # fmt: skip
    assert done.out.split("\n")[:-1] == ["ok ok", "ENXIO 0x800c0000", "ok ok", "ENXIO 0x80040000 []"], (done.out, done.err)


def test_iax_shows_only_what_the_driver_shows_for_it(tmp_path: Path) -> None:
    script = """
        names = lambda path: set(os.listdir(root + "devices/" + path))
        print(*sorted(name for path in ("{0}", "wq1.0", "group1.0") for name in names(path)
                      if "token" in name or "read_buffer" in name or name in ("max_batch_size", "iaa_cap", "event_log_size")))
        print(os.path.exists(root + "devices/wq1.0/op_config"))
    """
    for device, more, shown in (
        ("iax1", "", ""),
        ("iax1", 'version = "0x200"\niaa_cap = 0x19', "iaa_cap"),
        ("iax1", "gen_cap = 0x71f1090b16105", "event_log_size"),
    ):
        done = on(tmp_path, f'[[device]]\nname = "{device}"\n{more}\n' + WQ.format("shared", ""), script.format(device))
        assert done.out == f"{shown}\nTrue\n", done.err
    done = on(tmp_path, '[[device]]\nname = "dsa1"\n' + WQ.format("shared", ""), script.format("dsa1"))
    assert done.out.split("\n")[0].split() == [
        "max_batch_size", "max_batch_size", "max_read_buffers", "max_tokens", "read_buffer_limit", "read_buffers_allowed",
        "read_buffers_reserved", "token_limit", "tokens_allowed", "tokens_reserved", "use_read_buffer_limit",
        "use_token_limit",
    ], done.err  # fmt: skip


def test_errors_show_the_software_error_register(tmp_path: Path) -> None:
    done = run_python(TOOLS + """
        print(read("dsa0/errors"))
        portal, fd = open_portal(keep=True)
        other, second = open_portal("/dev/dsa/wq0.1", keep=True)
        poll = lambda fd: select.select([fd], [], [], 0)[0] == [fd]
        print(poll(fd), poll(second))
        submit(portal, descriptor(0x7f))
        print(read("dsa0/errors"), poll(fd), poll(second))
        submit(portal, descriptor(MOVE, 0, 0x1000, 0x2000, 64, flags=0x80))
        print(read("dsa0/errors"))
        submit(portal, descriptor(FILL, 0, 0, 0x1000, 64, flags=2))
        print(read("dsa0/errors"))
    """)  # fmt: skip
    quiet = ",".join(["00000000"] * 8)
    pasid = 1 << 8  # bits 59:40, PASID 1
    assert done.out.split("\n")[:-1] == [
        quiet,
        "False False",
        f"{','.join(['00000000'] * 6)},{pasid | 0x7F:08x},0000100d True True",  # valid, descriptor and queue valid; 0x10
        f"{','.join(['00000000'] * 4)},00000080,00000000,{pasid | 3:08x},0000110d",  # invalid flags: bit 7
        f"00000000,00000000,00000000,00001000,00000000,00000000,{pasid | 4:08x},0000042d",  # a write; the address
    ], (done.out, done.err)


def test_errors_of_batch_members_and_lost_descriptors_are_recorded() -> None:
    done = run_python(TOOLS + """
        portal, fd = open_portal(keep=True)
        members, record = Buffer(256), Buffer(32)
        members.data.raw = descriptor(NOOP) + descriptor(0x7e) + descriptor(NOOP) + bytes(64)
        submit(portal, descriptor(BATCH, record.address, members.address, 0, 3))
        print(hex(wait(record)), read("dsa0/errors").split(",")[4:])
        other, second = open_portal("/dev/dsa/wq0.1", keep=True)
        noop = Buffer(64)
        print(enqcmd(other, noop.address), read("dsa0/errors").split(",")[4:])
    """)  # fmt: skip
    assert done.out.split("\n")[:-1] == [
        "0x5 ['00000000', '00000001', '0000017e', '0000101d']",
        "1 ['00000000', '00000000', '00000000', '00010009']",
    ], (done.out, done.err)


SECOND = '[[device]]\nversion = 0x200\n'


def test_version_and_op_cap_decide_which_operations_run(tmp_path: Path) -> None:
    script = 'print(status(0x0A, 4096), read("dsa0/version"), status(MOVE))'
    for more, expected in (
        ("[[device]]\n", "0x10 0x100 0x1"),
        (SECOND, "0x1 0x200 0x1"),
        ('[[device]]\nop_cap = "00000001,00bf07ff"\n', "0x1 0x100 0x1"),
        (SECOND + 'op_cap = "1"\n', "0x10 0x200 0x10"),
        (SECOND + 'op_cap = "8"\n', "0x10 0x200 0x1"),
    ):
        done = on(tmp_path, more + WQ.format("shared", ""), script)
        assert done.out == expected + "\n", (more, done.err)


def test_op_config_and_gen_cap_decide(tmp_path: Path) -> None:
    script = "print(status(NOOP, 0), status(MOVE))"
    done = on(tmp_path, "[[device]]\n" + WQ.format("shared", 'op_config = "0,1"'), script)
    assert done.out == "0x1 0x10\n", done.err
    devices = "[[device]]\ngen_cap = 0x4080000005\n" + WQ.format("shared", "")  # no overlap, no readback, 1 byte
    done = on(tmp_path, devices, """
        print(read("dsa0/max_transfer_size"), read("dsa0/max_batch_size"), read("wq0.0/max_transfer_size"), status(MOVE, 2))
        print(status(MOVE, 1, 0x400C), status(MOVE, 1))
    """)  # fmt: skip
    assert done.out == "1 1 1 0x13\n0x11 0x1\n", done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('op_cap = "200,0"', "2: dsa0: op_cap names operations that are not carried out: 0x29"),
        ('op_cap = "g"', "2: dsa0: op_cap 'g' is no mask"),
        ("pasid_enabled = 2", "2: dsa0: pasid_enabled = 2 is out of range"),
        ("version = 1", "2: dsa0: version = 1 is out of range"),
        ('errors = "0"', "2: dsa0: errors tells what happened"),
        ("gen_cap = -1", "2: dsa0: gen_cap = -1 is out of range"),
        ("numa_node = 5000", "2: dsa0: numa_node = 5000 is out of range"),
        ('op_cap = "8"\n[[device.wq]]\nop_config = "9"', "4: wq0.0: op_config has operations that op_cap lacks: 0x00"),
        ('[[device.wq]]\nop_config = "400"', "3: wq0.0: op_config has operations that op_cap lacks: 0x0a"),
        ('pasid_enabled = 0\n[[device.wq]]\nstate = "enabled"', "4: wq0.0: a user queue cannot be enabled"),
        ("gen_cap = 0\n[[device.wq]]\nmax_transfer_size = 2", "4: wq0.0: max_transfer_size 2: dsa0 has 1"),
    ],
)
def test_what_no_device_could_be_is_refused_at_its_line(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[[device]]\n" + text + "\n")
    with pytest.raises(PasidlabError) as caught:
        devices_from((), str(file))
    assert words in str(caught.value)


def test_an_option_is_held_against_its_device(tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    file.write_text('[[device]]\nop_cap = "8"\n')
    done = run("/bin/true", options=("--devices", str(file), "--wq", "shared,op_config=1"))
    assert done.code == 2 and "wq0.0: op_config has operations that op_cap lacks: 0x00" in done.err, done.err


def test_iax_carries_out_crc64_and_says_so(tmp_path: Path) -> None:
    done = on(tmp_path, '[[device]]\nname = "iax1"\n' + WQ.format("shared", ""), """
        print(read("iax1/op_cap").split(",")[-3:])
        portal, _ = open_portal("/dev/iax/wq1.0")
        record, source = Buffer(128), Buffer(64)
        source.data.raw = b"123456789".ljust(64)
        def crc64(record_at, flags=0):
            record.data.raw = b"\\xee" * 128
            tail = struct.pack("<QQQ", 0, 0, 0x42F0E1EBA9EA3693)
            raw = bytearray(descriptor(0x44, record_at, source.address, 0, 9, CRAV | RCR | BOF, tail))
            raw[38:40] = struct.pack("<H", flags)
            submit(portal, bytes(raw))
            return record.data.raw
        done = crc64(record.address)
        print(done[0], done[40:48][::-1].hex(), set(done[1:40] + done[48:64]), set(done[64:]))
        print(hex(crc64(record.address, 1)[0]), set(crc64(record.address + 32)))
        print(status(MOVE, path="/dev/iax/wq1.0"), status(5, path="/dev/iax/wq1.0"))
    """)  # fmt: skip
    assert done.out.split("\n")[:-1] == [
        "['007f331c', '00000000', '0000000d']",
        "1 6c40df5f0b497347 {0} {238}",
        "0x30 {238}",
        "0x1 0x10",
    ], (done.out, done.err)
