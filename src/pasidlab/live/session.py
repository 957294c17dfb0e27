"""One run of a program: puts the parts together, runs, cleans up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from pasidlab.errors import PasidlabError
from pasidlab.live import launch, places, seccomp, signals
from pasidlab.live.bulk import Borrower
from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.chrometrace import ChromeTrace
from pasidlab.live.config import DeviceConfig, WqConfig, default_devices, devices_from
from pasidlab.live.diagnosis import Diagnosis
from pasidlab.live.driver import Driver
from pasidlab.live.emulate import Emulator
from pasidlab.live.ending import Ending, signal_name
from pasidlab.live.engine import Engine
from pasidlab.live.fixup import DesignFixup
from pasidlab.live.fuse import FuseServer
from pasidlab.live.inject import Injector
from pasidlab.live.libc import SYS_EXECVE, SYS_EXECVEAT, descriptor_of
from pasidlab.live.places import HostLinks
from pasidlab.live.portals import PortalMapper
from pasidlab.live.redirect import Redirector
from pasidlab.live.state import Iommu, Mm, OpenFile, Thread
from pasidlab.live.tracer import Tracer
from pasidlab.live.tree import Tree
from pasidlab.machine.accelerator import Perturbation

_DEVICE_DIRECTORIES = ("/dev/dsa/", "/dev/iax/")
_NAMESPACE_HINT = (
    "allow user namespaces (user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0; in a container "
    "--cap-add SYS_ADMIN --device /dev/fuse), or use --isolation redirect"
)


@dataclass
class Options:
    """What the command line asks for."""

    devices: list[DeviceConfig] = field(default_factory=default_devices)
    design: str = "early"
    chaos: int | None = None  # seed
    perturbation: Perturbation = field(default_factory=Perturbation)
    deny_mmap: bool = False
    isolation: str = "auto"
    trace: str | None = None


def options_from(chosen: Mapping[str, Any], trace: str | None) -> Options:
    """The command line's values, checked."""
    reorder, seed = chosen["reorder"], chosen["seed"]
    perturbation = Perturbation(
        retry=chosen["retry"],
        delay=chosen["delay"] / 1e6,
        reorder=reorder is not None,
        errors=Perturbation.parse_errors(chosen["errors"]),
        strict_faults=chosen["faults"] == "strict",
        seed=seed if reorder is None else reorder,
    )
    return Options(
        devices_from(chosen["wqs"], chosen["file"]),
        chosen["design"],
        chosen["chaos"],
        perturbation,
        chosen["deny_mmap"],
        chosen["isolation"],
        trace,
    )


class Session:
    """Runs one program, once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.threads: dict[int, Thread] = {}
        self.iommu, self.lock, self.injector = Iommu(), threading.RLock(), Injector()
        self.diagnosis = Diagnosis()
        self.trace = ChromeTrace(options.trace) if options.trace else None
        self.engine = Engine(
            options.devices,
            options.perturbation,
            self.iommu,
            self.diagnosis,
            self.trace,
            self.lock,
            Borrower(self.injector),
        )
        self.fixup = DesignFixup(options.design, options.chaos)
        bound = self.fixup.bound
        self.files = CharacterDevices(
            self.threads, self.iommu, self.engine, self.lock, bound, safe=not options.deny_mmap
        )
        self.engine.on_software_error = self.files.wake
        self.keeper = signals.SignalKeeper(self.injector, signals.TRAP_SIGNALS)
        driver = Driver(options.devices, self.engine, safe=not options.deny_mmap)
        self.tree = Tree(driver, self._counts, self.engine.software_errors).root
        self.isolation = ""
        self.redirector: Redirector | None = None

    def _counts(self, wq: WqConfig) -> tuple[int, int]:
        """Clients and descriptors outstanding, for sysfs."""
        with self.lock:
            clients = sum(file.node.wq is wq for file in self.files.handles.values())
            return clients, self.engine.occupancy(wq.label)

    def run(self, command: list[str]) -> Ending:
        """Run the program to its end. PasidlabError if it cannot be started."""
        path = launch.find_program(command[0])
        child = self._spawn(path, command)
        launch.attach(child)
        emulator = Emulator(self.fixup, self.engine, self.iommu, self.diagnosis)
        identify = self.redirector.identify if self.redirector else self._identify
        mapper = PortalMapper(self.files, identify, self.injector, self.keeper)
        if self.redirector:
            self.redirector.mapper = mapper
        calls = self.redirector or mapper
        tracer = Tracer(self.threads, emulator, self.fixup, self.injector, self.keeper, calls, self.lock, self._mm_gone)
        tracer.before_exec = self.engine.drain_all
        tracer.add_program(child.pid)
        self.engine.start()
        restore = _pass_signals_on(child.pid)
        try:
            status = tracer.run(child.pid)
        finally:
            tracer.kill()
            restore()
            self._clean_up()
        error = launch.exec_error(child)
        if error:
            raise PasidlabError(f"cannot execute {error}")
        return Ending(status)

    def _clean_up(self) -> None:
        self.engine.stop()
        if self.redirector:
            self.redirector.close()
        if self.trace:
            self.trace.close()

    def _spawn(self, path: str, command: list[str]) -> launch.Child:
        """The child, with the device tree in place: in namespaces of its own, or by redirection."""
        rules, failed = seccomp.rules(self.keeper.signals), ""
        if self.engine.deferred:  # what is outstanding must not be written into the next program's memory
            rules += [(number, []) for number in (SYS_EXECVE, SYS_EXECVEAT)]
        if self.options.isolation != "redirect":
            links = HostLinks(self.tree, absolute=False)
            child = launch.spawn(path, command, places.tops(self.tree), seccomp.program(rules))
            failed = launch.prepare(child, lambda fd: FuseServer(fd, self.tree, self.files).start())
            if not failed:
                self.isolation = "namespace"
                return child
            child.abandon()
            links.remove()
            if self.options.isolation == "namespace":
                raise PasidlabError(f"no private namespaces here: {failed}", hint=_NAMESPACE_HINT)
        self.isolation = f"redirect ({failed})" if failed else "redirect"
        HostLinks(self.tree, absolute=True)
        self.redirector = Redirector(self.tree, self.files, self.injector)
        child = launch.spawn(path, command, None, seccomp.program(rules + self.redirector.rules()))
        launch.prepare(child, lambda fd: None)
        self.redirector.start()
        return child

    def _mm_gone(self, mm: Mm) -> None:
        with self.lock:
            self.engine.abort(mm)
            self.iommu.exit(mm)

    def _identify(self, thread: Thread, number: int) -> OpenFile | None:
        """By name first; then fsync(2) on a duplicate of the descriptor tells which open file it is."""
        try:
            path = os.readlink(f"/proc/{thread.tid}/fd/{number}")
        except OSError:
            return None
        if not path.startswith(_DEVICE_DIRECTORIES):
            return None
        try:
            duplicate = descriptor_of(thread.process.pid, number)
        except OSError:  # forbidden by a container's seccomp profile: the process's latest open file of that name
            mine = [file for file in self.files.handles.values() if file.mm is thread.mm]
            return next((file for file in reversed(mine) if path.endswith("/" + file.node.wq.label)), None)
        try:
            self.files.identified = None
            os.fsync(duplicate)
            return self.files.identified
        except OSError:
            return None
        finally:
            os.close(duplicate)

    def report(self, ending: Ending) -> dict[str, Any]:
        """The summary as plain data. ``signal`` is None for a program that exited by itself."""
        killed_by = signal_name(ending.signal) if ending.signal else None
        run = {"exit": ending.code, "signal": killed_by, "design": self.options.design, "chaos": self.options.chaos}
        return run | {"isolation": self.isolation, "design_broken": self.fixup.broken} | self.diagnosis.as_json()

    def summary(self, ending: Ending) -> str:
        """The summary for people."""
        broken = "".join(f"\n  design: {sentence}" for sentence in self.fixup.broken)
        if ending.signal == signal.SIGSEGV and self.diagnosis.fixups_refused:
            broken += "\n  a thread had no PASID, or the design left it without one: see the fault above"
        return f"pasidlab run: {ending.words}, design {self.options.design}; {self.diagnosis.as_text()}{broken}"


def _pass_signals_on(pid: int) -> Any:
    """Keyboard signals reach the program by themselves; what is sent to us alone is passed on. Returns the undo."""

    def forward(number: int, frame: FrameType | None) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {
        number: signal.signal(number, forward)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    }
    before |= {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore
