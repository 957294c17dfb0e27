"""--platform: the accelerators of a machine by its name."""

from __future__ import annotations

import pytest
from running import run, run_python

from pasidlab.errors import PasidlabError
from pasidlab.live.platforms import PLATFORMS, devices_of

pytestmark = pytest.mark.needs_run

LOOK = """
    root = "/sys/bus/dsa/devices/"
    read = lambda path: open(root + path).read().strip()
    names = sorted((name for name in os.listdir(root) if name[:3] in ("dsa", "iax")), key=lambda name: int(name[3:]))
    print(*names)
    print(sorted(os.listdir("/dev/dsa")), sorted(os.listdir("/dev/iax")), {read(name + "/version") for name in names})
    print(*(read(name + "/state") for name in names[:3]), read("engine2.0/group_id"), read("wq2.0/size"))
    print([os.path.realpath(root + name).split("/")[-2] for name in ("dsa0", "iax1", "dsa6", "dsa8", "iax15")])
    print(len({read(name + "/numa_node") for name in names[:8]}), len({read(name + "/numa_node") for name in names}))
    portal, _ = open_portal()
    print(move(portal, Buffer(64), Buffer(64), 64))
    record, source = Buffer(32), Buffer(4096)
    submit(portal, descriptor(0x0A, record.address, source.address, 0, 4096))
    print(hex(wait(record)))
"""


@pytest.mark.parametrize(("name", "version", "fetch"), [("spr", "0x100", "0x10"), ("emr", "0x100", "0x10"), ("gnr", "0x200", "0x1")])
def test_a_machine_has_its_devices(name: str, version: str, fetch: str) -> None:
    done = run_python(LOOK, "--platform", name)
    assert done.out.split("\n")[:-1] == [
        "dsa0 iax1 dsa2 iax3 dsa4 iax5 dsa6 iax7 dsa8 iax9 dsa10 iax11 dsa12 iax13 dsa14 iax15",
        f"['wq0.0', 'wq0.1'] ['wq1.0'] {{'{version}'}}",
        "enabled enabled disabled -1 0",
        "['0000:6a:01.0', '0000:6a:02.0', '0000:79:01.0', '0000:e7:01.0', '0000:f6:02.0']",
        "1 2",
        "1",
        fetch,
    ], (done.out, done.err)


def test_queues_are_configured_by_option() -> None:
    script = """
        print(os.listdir("/dev/dsa"), os.listdir("/dev/iax"))
        portal, _ = open_portal("/dev/dsa/wq8.0")
        print(move(portal, Buffer(64), Buffer(64), 64, movdir64b))
    """
    done = run_python(script, "--platform", "spr", "--wq", "dedicated,device=dsa8,size=4")
    assert done.out == "['wq8.0'] []\n1\n", done.err


@pytest.mark.parametrize("device", ["dsa16", "iax0", "dsa1"])
def test_a_device_that_the_machine_lacks_is_refused(device: str) -> None:
    with pytest.raises(PasidlabError) as caught:
        devices_of(PLATFORMS["spr"], 0, (f"shared,device={device}",))
    assert str(caught.value) == f"Sapphire Rapids has no {device}\n  hint: dsa0, iax1, dsa2 ... iax15"


def test_a_machine_and_a_file_of_devices_exclude_each_other() -> None:
    done = run("/bin/true", options=("--platform", "spr", "--devices", "/nowhere"))
    assert done.code == 2 and "--platform and --devices both say" in done.err, done.err
