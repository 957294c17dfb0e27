"""The PCI functions behind the devices, as sysfs shows them and as pciutils reads them."""

from __future__ import annotations

import os
import shutil
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from running import run, run_python

from pasidlab.live.config import DeviceConfig
from pasidlab.live.pci import functions

pytestmark = pytest.mark.needs_run

TWO = '[[device]]\nname = "dsa0"\nnuma_node = 0\n[[device]]\nname = "iax1"\n[[device]]\nname = "dsa2"\npasid_enabled = 0\n'
DSA = "/sys/bus/pci/devices/0000:6a:01.0/"


@pytest.fixture
def devices(tmp_path: Path) -> tuple[str, str]:
    file = tmp_path / "devices.toml"
    file.write_text(TWO)
    return "--devices", str(file)


LOOK = """
    pci = "/sys/bus/pci/devices/"
    read = lambda path: open(path).read().strip()
    for name in ("0000:6a:01.0", "0000:6a:02.0", "0000:6f:01.0"):
        config = open(pci + name + "/config", "rb").read()
        print(name, *(read(f"{pci}{name}/{attribute}") for attribute in ("vendor", "device", "class", "numa_node")),
              os.path.basename(os.readlink(f"{pci}{name}/driver")), len(config), config[:4].hex(),
              os.path.getsize(f"{pci}{name}/config"))
    print(sorted(set(os.listdir(pci)) & {"0000:6a:01.0", "0000:6a:02.0", "0000:6f:01.0"}), len(os.listdir(pci)))
    print(os.path.realpath("/sys/bus/dsa/devices/dsa2/.."), os.path.realpath(pci + "0000:6f:01.0"))
    print(sorted(name for name in os.listdir("/sys/bus/pci/drivers/idxd") if name[0] == "0"))
    print(os.path.samefile("/sys/bus/pci/drivers/idxd/0000:6a:02.0", os.path.dirname(os.path.realpath("/sys/bus/dsa/devices/iax1"))))
"""


@pytest.mark.parametrize("how", ["namespace", "redirect"])
def test_every_device_has_its_pci_function(how: str, devices: tuple[str, str]) -> None:
    done = run_python(LOOK, "--isolation", how, *devices)
    if how == "namespace" and "no private namespaces here" in done.err:
        pytest.skip(done.err)
    host = len(os.listdir("/sys/bus/pci/devices")) if os.path.isdir("/sys/bus/pci/devices") else 0
    lines = done.out.split("\n")
    node = lines[1].split()[4]
    assert lines[:3] == [
        "0000:6a:01.0 0x8086 0x0b25 0x088000 0 idxd 4096 8680250b 4096",
        f"0000:6a:02.0 0x8086 0x0cfe 0x088000 {node} idxd 4096 8680fe0c 4096",
        f"0000:6f:01.0 0x8086 0x0b25 0x088000 {node} idxd 4096 8680250b 4096",
    ], done.err
    assert lines[3] == f"['0000:6a:01.0', '0000:6a:02.0', '0000:6f:01.0'] {host + 3}"
    assert lines[5:7] == ["['0000:6a:01.0', '0000:6a:02.0', '0000:6f:01.0']", "True"], done.err
    home = "/sys/devices/pci0000:6f/0000:6f:01.0"
    assert how == "redirect" or lines[4] == f"{home} {home}"


def test_configuration_space_keeps_what_hardware_keeps() -> None:
    done = run_python(f"""
        file = os.open("{DSA}config", os.O_RDWR)
        def tried(at, text):
            before = os.pread(file, len(text) // 2, at)
            os.pwrite(file, bytes.fromhex(text), at)
            after = os.pread(file, len(text) // 2, at)
            os.pwrite(file, before, at)
            return after.hex()
        print(tried(0, "ffffffff"), tried(0x10, "ffffffffffffffff"), tried(0x18, "ffffffffffffffff"),
              tried(0x168, "ffffffff"), tried(0x168, "00010000"))
        print(os.pread(file, 4, 0x168).hex(), os.pwrite(file, b"x" * 8, 4092), len(os.pread(file, 8, 4092)),
              os.pread(file, 1, 4096), os.pwrite(file, b"x", 5000))
    """)
    assert done.out.split("\n")[:2] == [
        "8680250b 0c00ffffffffffff 0c00feffffffffff 07030000 00010000",
        "00000000 8 4 b'' 1",
    ], done.err


def capabilities(space: bytes) -> dict[int, int]:
    """The extended capabilities: identifier -> offset."""
    found, at = {}, 0x100
    while at:
        (head,) = struct.unpack_from("<I", space, at)
        found[head & 0xFFFF] = at
        at = head >> 20
    return found


def test_ats_pasid_and_page_requests_are_on_where_the_device_has_pasids() -> None:
    for pasid, expected in (("1", (0x8000, 5, 1)), ("0", (0, 0, 0))):
        (one,) = functions([DeviceConfig(attributes={"pasid_enabled": pasid})])
        space = bytes(one.config().data)
        found = capabilities(space)
        ats, pasids, requests = found[0xF], found[0x1B], found[0x13]
        assert tuple(struct.unpack_from("<H", space, at)[0] for at in (ats + 6, pasids + 6, requests + 4)) == expected


def test_no_two_functions_share_an_address() -> None:
    found = list(functions([DeviceConfig(index, ("dsa", "iax")[index & 1]) for index in range(256)]))
    assert len({one.address for one in found}) == 256
    bars = sorted((at, size) for one in found for _, at, size in one.bars)
    assert all(at + size <= following for (at, size), (following, _) in pairwise(bars))
    assert all(at % size == 0 for at, size in bars)


def test_binding_the_pci_driver_is_refused() -> None:
    done = run_python("""
        for name in ("bind", "unbind"):
            try:
                with open("/sys/bus/pci/drivers/idxd/" + name, "w") as file:
                    file.write("0000:6a:01.0")
            except OSError as error:
                print(error.strerror)
    """)
    assert done.out == "Operation not supported\n" * 2, done.err


def test_pciutils_find_and_change_the_devices(devices: tuple[str, str]) -> None:
    if not shutil.which("lspci") or not shutil.which("setpci"):
        pytest.skip("lspci and setpci are not installed (Debian package pciutils)")
    script = """
        lspci -n -d 8086:0b25; lspci -n -d 8086:0cfe
        setpci -s 0000:6a:01.0 168.l; setpci -s 0000:6a:01.0 168.l=101; setpci -s 0000:6a:01.0 168.l
        setpci -s 6a:01.0 ECAP_PASID+6.w VENDOR_ID DEVICE_ID
        lspci -vv -s 6a:01.0
    """
    done = run("/bin/sh", "-c", script, options=devices)
    assert done.out.split("\n")[:8] == [
        "6a:01.0 0880: 8086:0b25",
        "6f:01.0 0880: 8086:0b25",
        "6a:02.0 0880: 8086:0cfe",
        "00000000",
        "00000101",
        "0005",
        "8086",
        "0b25",
    ], (done.out, done.err)  # fmt: skip
    for words in ("ATSCtl:\tEnable+", "PASIDCtl: Enable+ Exec- Priv+", "PRICtl: Enable+", "MSI-X: Enable+ Count=9",
                  "Transaction Processing Hints", "Region 0: Memory at 206ffff40000", "Kernel driver in use: idxd",
                  "NUMA node: 0"):  # fmt: skip
        assert words in done.out, done.out
