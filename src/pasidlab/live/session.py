"""One run of a program: puts the parts together, runs, cleans up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pasidlab.accelerator import Perturbation
from pasidlab.errors import PasidlabError
from pasidlab.live import guard, launch, namespace, places, seccomp, signals
from pasidlab.live.bulk import Borrower
from pasidlab.live.calls import Parts
from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.chrometrace import ChromeTrace
from pasidlab.live.config import DeviceConfig, WqConfig, default_devices, devices_from
from pasidlab.live.core import CoreFile
from pasidlab.live.debugger import Debugger
from pasidlab.live.debugging import Undebugged
from pasidlab.live.descriptors import limit_told
from pasidlab.live.diagnosis import Diagnosis
from pasidlab.live.driver import Driver
from pasidlab.live.emulate import Emulator
from pasidlab.live.ending import Ending, signal_name
from pasidlab.live.engine import Engine
from pasidlab.live.finder import ServedFiles
from pasidlab.live.fixup import DesignFixup
from pasidlab.live.fuse import FuseServer
from pasidlab.live.gdb_server import GdbServer
from pasidlab.live.inject import Injector
from pasidlab.live.loop import EventLoop
from pasidlab.live.outputs import LaterFile
from pasidlab.live.patching import Patcher
from pasidlab.live.places import HostLinks
from pasidlab.live.platforms import PLATFORMS, devices_of
from pasidlab.live.portals import Finder, PortalMapper
from pasidlab.live.redirect import Redirector
from pasidlab.live.served import Patient
from pasidlab.live.shortcuts import Shortcuts
from pasidlab.live.state import Iommu, Thread
from pasidlab.live.tracer import Tracer
from pasidlab.live.tree import Tree, here_numa_node

_NAMESPACE_HINT = (
    "allow user namespaces (user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0; in a container "
    "--cap-add SYS_ADMIN --device /dev/fuse), or use --isolation redirect"
)


@dataclass
class RunOptions:
    """What the command line asks for."""

    devices: list[DeviceConfig] = field(default_factory=default_devices)
    design: str = "early"
    chaos: int | None = None  # seed
    perturbation: Perturbation = field(default_factory=Perturbation)
    deny_mmap: bool = False
    isolation: str = "auto"
    trace: str | None = None
    fast: bool = True
    core: str | None = None
    gdb: int | None = None  # port; 0: any

    @property
    def all_trap(self) -> bool:
        """Whether every submission has to be seen: order and chance are not decided in the program's own threads; a core dump or a
        debugger shows the program's own instructions.
        """
        p = self.perturbation
        one_by_one = p.retry or p.delay or p.reorder or p.errors or self.trace or self.core
        return not self.fast or bool(one_by_one) or self.chaos is not None or self.gdb is not None


def options_from(chosen: Mapping[str, Any], trace: str | None) -> RunOptions:
    """The command line's values, checked."""
    reorder, seed = chosen["reorder"], chosen["seed"]
    perturbation = Perturbation(
        retry=chosen["retry"],
        delay=chosen["delay"] / 1e6,
        reorder=reorder is not None,
        errors=Perturbation.parse_errors(chosen["errors"]),
        strict_faults=_strict(chosen["faults"]),
        seed=seed if reorder is None else reorder,
    )
    return RunOptions(
        _devices(chosen["wqs"], chosen["file"], chosen["platform"]), chosen["design"], chosen["chaos"], perturbation=perturbation,
        deny_mmap=chosen["deny_mmap"], isolation=chosen["isolation"], trace=trace, fast=chosen["fast"],
        core=_core(chosen["core"], perturbation), gdb=chosen["gdb"],
    )  # fmt: skip


def _core(path: str | None, perturbation: Perturbation) -> str | None:
    """The file of --core; the program must stand still at the descriptor."""
    if path and (perturbation.delay or perturbation.reorder):
        raise PasidlabError("--core: with --delay or --reorder the program has gone on when a descriptor is rejected",
                            hint="leave one of them out")  # fmt: skip
    if path and os.path.exists(path) and not os.path.isfile(path):
        raise PasidlabError(f"--core {path}: not a regular file", hint="a core dump is a file with holes")
    return path


def _devices(wqs: tuple[str, ...], file: str | None, platform: str | None) -> list[DeviceConfig]:
    """What --wq, --devices and --platform ask for together."""
    if platform is None:
        return devices_from(wqs, file)
    if file is not None:
        raise PasidlabError("--platform and --devices both say which devices there are", hint="choose one of them")
    return devices_of(PLATFORMS[platform], here_numa_node(), wqs)


def _strict(faults: str | None) -> bool:
    """Whether pages that are not in memory fault. The kernel must tell which those are."""
    known = os.path.exists("/proc/self/pagemap")
    if faults == "strict" and not known:
        raise PasidlabError("--faults strict: this kernel has no /proc/PID/pagemap", hint="CONFIG_PROC_PAGE_MONITOR=y")
    return known if faults is None else faults == "strict"


class Session:
    """Runs one program, once."""

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.threads: dict[int, Thread] = {}
        self.loop, self.iommu = EventLoop(guard.SIGNALS), Iommu()
        self.injector = Injector(self.loop)
        self.borrower = Borrower(self.injector)
        self.diagnosis = Diagnosis()
        self.trace = ChromeTrace(options.trace) if options.trace else None
        self.engine = Engine(options.devices, options.perturbation, self.iommu, self.diagnosis, self.trace, self.borrower)
        self.fixup = DesignFixup(options.design, options.chaos)
        self.files = CharacterDevices(self.threads, self.iommu, self.engine, self.fixup.bound, safe=not options.deny_mmap)
        self.engine.on_software_error = self.files.wake
        self.core = CoreFile(LaterFile(options.core)) if options.core else None
        self.debugger, self.gdb = Undebugged(), None
        self.tracer: Tracer | None = None
        if options.gdb is not None:
            self.debugger = debugger = Debugger(self.injector)
            self.gdb = GdbServer(options.gdb, debugger, self.loop, self._kill)
        self.engine.on_rejected, self.engine.until_let_go = self._rejected, self.debugger.until_let_go
        self.keeper = signals.SignalKeeper(self.injector, signals.TRAP_SIGNALS)
        driver = Driver(options.devices, self.engine, safe=not options.deny_mmap)
        self.tree = Tree(driver, self._counts, self.engine.software_errors).root
        self.shortcuts = Shortcuts(Patcher(self.injector), self.engine, self.diagnosis, on=not options.all_trap)
        self.engine.on_closed = self.shortcuts.close_queue
        self.isolation = ""
        self.redirector: Redirector | None = None
        self.server: FuseServer | None = None

    def _rejected(self, thread: Thread, reason: str) -> None:
        if self.core:
            self.core.rejected(thread, reason, threads=self.threads)
        self.debugger.rejected(thread, reason)

    def _kill(self) -> None:
        if self.tracer:
            self.tracer.left.kill()

    def _counts(self, wq: WqConfig) -> tuple[int, int]:
        """Clients and descriptors outstanding, for sysfs."""
        return self.files.clients[wq.label], self.engine.occupancy(wq.label)

    def run(self, command: list[str], before: guard.Before) -> Ending:
        """Run the program to its end, under ``blocked_signals``. PasidlabError if it cannot be run."""
        with limit_told(), guard.watchdog(self.loop):
            return self._run(command, before)

    def _run(self, command: list[str], before: guard.Before) -> Ending:
        path = launch.find_program(command[0])
        with contextlib.ExitStack() as undone:
            for one in (self.trace, self.gdb):
                if one:
                    undone.callback(one.close)
            try:
                child = self._spawn(path, command, before, undone)
                guard.pass_on_early(child.pid)
                launch.attach(child)
                tracer = self.tracer = self._tracer()
                undone.callback(tracer.left.kill)
                tracer.add_program(child.pid)
                overseer = guard.Overseer(self.loop, tracer, child.pid)
                undone.callback(overseer.close)
                status = tracer.run()
            finally:
                self.loop.over = True
        error = launch.exec_error(child)
        if error:
            raise PasidlabError(f"cannot execute {error}")
        return Ending(status)

    def _tracer(self) -> Tracer:
        emulator = Emulator(self.fixup, self.engine, self.iommu, self.diagnosis, self.shortcuts)
        finder: Finder
        if self.redirector:
            finder = self.redirector
        else:
            assert self.server is not None
            finder = ServedFiles(self.tree, self.files, self.server, Patient(self.loop))
        mapper = PortalMapper(self.files, finder, self.injector, self.keeper)
        if self.redirector:
            self.redirector.mapper = mapper
        calls = self.redirector or mapper
        parts = Parts(
            emulator, self.fixup, self.injector, keeper=self.keeper, borrower=self.borrower, calls=calls, device=self.engine,
            debugger=self.debugger,
        )  # fmt: skip
        return Tracer(self.threads, self.iommu, parts)

    def _serve(self, fd: int) -> None:
        self.server = FuseServer(fd, self.tree, self.files, self.loop.post)
        self.server.start()

    def _spawn(self, path: str, command: list[str], before: guard.Before, undone: contextlib.ExitStack) -> launch.Child:
        """The child, with the device tree in place: in namespaces of its own, or by redirection. ``undone`` removes it."""
        rules, failed = seccomp.rules(self.keeper.signals), ""
        if self.options.isolation != "redirect":
            links = HostLinks(self.tree, absolute=False)
            tops = places.tops(self.tree)
            peers = [seccomp.PEERS] if namespace.moves_ptmx(tops) else []
            program = launch.ChildProgram(path, command, seccomp.filter_program(rules + peers), before)
            child = launch.spawn(program, tops)
            failed = launch.prepare(child, self._serve)
            if not failed:
                assert self.server is not None
                self.server.device = child.file_system
                self.isolation = "namespace"
                return child
            child.abandon()
            links.remove()
            if self.options.isolation == "namespace":
                raise PasidlabError(f"no private namespaces here: {failed}", hint=_NAMESPACE_HINT)
        self.isolation = f"redirect ({failed})" if failed else "redirect"
        HostLinks(self.tree, absolute=True)
        self.redirector = Redirector(self.tree, self.files, self.injector, before)
        undone.callback(self.redirector.close)
        program = launch.ChildProgram(path, command, seccomp.filter_program(rules + self.redirector.rules()), before)
        child = launch.spawn(program, None)
        launch.prepare(child, lambda fd: None)
        namespace.leave()
        self.redirector.start()
        return child

    def report(self, ending: Ending) -> dict[str, Any]:
        """The summary as plain data. ``signal`` is None for a program that exited by itself."""
        killed_by = signal_name(ending.signal) if ending.signal else None
        run = {"exit": ending.code, "signal": killed_by, "design": self.options.design, "chaos": self.options.chaos}
        how = {"faults": self._faults, "isolation": self.isolation, "design_broken": self.fixup.broken}
        return run | how | self.diagnosis.as_json()

    @property
    def _faults(self) -> str:
        return "strict" if self.options.perturbation.strict_faults else "kind"

    def summary(self, ending: Ending) -> str:
        """The summary for people."""
        broken = "".join(f"\n  design: {sentence}" for sentence in self.fixup.broken)
        if ending.signal == signal.SIGSEGV and self.diagnosis.fixups_refused:
            broken += "\n  a thread had no PASID, or the design left it without one: see the fault above"
        head = f"pasidlab run: {ending.words}, design {self.options.design}, faults {self._faults}"
        core = f"\n  {self.core.line}" if self.core else ""
        return f"{head}; {self.diagnosis.as_text()}{broken}{core}"
