"""The device tree of many devices is made as far as somebody looks at it."""

from __future__ import annotations

from collections import Counter

from pasidlab.live.config import DeviceConfig, WqConfig
from pasidlab.live.driver import Driver
from pasidlab.live.nodes import Attribute, Directory, Link, Unfolding, WqNode
from pasidlab.live.tree import Tree


class _Queues:
    """Queues that do nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def test_files_of_a_queue_and_of_a_group_are_made_when_somebody_looks() -> None:
    devices = [DeviceConfig(n, "dsa", [WqConfig(n, index) for index in range(8)]) for n in range(40)]
    root = Tree(Driver(devices, _Queues()), lambda wq: (0, 0), {}).root  # type: ignore[arg-type]
    found, left = Counter[bool](), [root]
    while left:
        directory = left.pop()
        if isinstance(directory, Unfolding):
            found["entries" in directory.__dict__] += 1
        else:
            left += [entry for entry in directory.entries.values() if isinstance(entry, Directory)]
    assert found == {False: 40 * (8 + 4)}
    place = "sys" + root.find("/sys/bus/dsa/devices/wq39.7").target.removeprefix("../../..")  # type: ignore[union-attr]
    size, driver = root.find(f"{place}/size"), root.find(f"{place}/driver")
    assert isinstance(size, Attribute) and size.read() == "16\n"
    assert isinstance(driver, Link) and driver.target.endswith("/drivers/user")
    minor = root.find(f"{place}/cdev_minor")
    assert isinstance(minor, Attribute) and minor.read() == f"{39 * 8 + 7}\n"
    assert isinstance(root.find("/dev/dsa/wq39.7"), WqNode)
