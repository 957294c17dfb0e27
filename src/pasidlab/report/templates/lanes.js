// A lane for each CPU: at every step the contexts that are active, nested, the one that moves in full colour.
// Arrows: a task that goes on on another CPU, an IPI from where it is sent to where it arrives.

const LEVELS = ["kernel", "schedule", "softirq", "hardirq"];
const LANE = { left: 48, base: 17, level: 9, gap: 14, least: 7 };

function activeIn(trace, step, cpu) {
  const [before, after] = [trace.stacks[step - 1][cpu] || [], trace.stacks[step][cpu] || []];
  return LEVELS.filter((level) => before.includes(level) || after.includes(level));
}

// Where a task leaves one CPU and goes on on another: [step it was last on, CPU, step it is on, CPU].
function migrations(trace) {
  const found = [];
  for (const task of trace.taskNames) {
    let last = null;
    for (let step = 0; step <= trace.steps.length; step++) {
      const cpu = trace.cpuNames.findIndex((name) => field(trace.states[step], name, "current") === task);
      if (cpu < 0) continue;
      if (last && last[1] !== cpu) found.push([last[0], last[1], step, cpu, task]);
      last = [step, cpu];
    }
  }
  return found;
}

function interrupts(trace) {
  const found = [];
  trace.cpuNames.forEach((name, cpu) => {
    trace.steps.forEach((step, n) => {
      const sent = step.changes.some(([changed, , now]) => changed === `${name}.ipi_pending` && now === "1");
      if (!sent || step.cpu === null || step.cpu === cpu) return;
      const arrives = trace.steps.findIndex((later, m) => m > n && later.cpu === cpu && later.action === "arrive_ipi");
      found.push([n + 1, step.cpu, arrives < 0 ? trace.steps.length : arrives + 1, cpu, "IPI"]);
    });
  });
  return found;
}

class Lanes {
  constructor(panel, trace, show) {
    Object.assign(this, { panel, trace, show });
    this.levels = LEVELS.filter((level) => trace.steps.some((_, n) => trace.cpuNames.some((_, cpu) => activeIn(trace, n + 1, cpu).includes(level))));
    this.height = LANE.base + LANE.level * Math.max(0, this.levels.length - 1);
    const [moved, sent] = [migrations(trace), interrupts(trace)];
    this.arrows = [...moved.map((arrow) => [...arrow, "moved"]), ...sent.map((arrow) => [...arrow, "ipi"])];
    this.label = [`A lane for each CPU, ${trace.steps.length} steps.`,
      ...moved.map(([, from, step, to, task]) => `${task} goes from CPU ${from} to CPU ${to} by step ${step}.`),
      ...sent.map(([step, from, arrives, to]) => `CPU ${from} sends an IPI to CPU ${to} in step ${step}, it arrives in step ${arrives}.`)].join(" ");
  }

  top(cpu) { return 4 + cpu * (this.height + LANE.gap); }

  // A context's bar within its lane: the kernel is the lane's base, what interrupts it lies above.
  bar(cpu, level) {
    const above = level === "user" || level === "kernel" ? 0 : this.levels.filter((l) => l !== "kernel").indexOf(level) + 1;
    const bottom = this.top(cpu) + this.height;
    return above ? [bottom - LANE.base - above * LANE.level, LANE.level - 1] : [bottom - LANE.base, LANE.base];
  }

  draw(now) {
    const { trace } = this;
    const room = Math.max(240, this.panel.clientWidth || 640);
    const each = Math.max(LANE.least, Math.min(60, (room - LANE.left - 6) / trace.steps.length));
    const width = LANE.left + each * trace.steps.length + 6;
    const height = this.top(trace.cpuNames.length - 1) + this.height + 6;
    const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": this.label });
    this.x = (step) => LANE.left + (step - 1) * each;
    svg.append(drawn("rect", { class: "cursor", x: this.x(now), y: 0, width: each, height }));
    trace.cpuNames.forEach((name, cpu) => this.lane(svg, cpu, each));
    trace.cpuNames.forEach((name, cpu) => this.tasks(svg, cpu));
    this.heads(svg);
    for (const arrow of this.arrows) svg.append(this.arrow(arrow, each));
    svg.addEventListener("click", (event) => {
      const at = (event.clientX - svg.getBoundingClientRect().left - LANE.left) / each;
      if (at >= 0 && at < trace.steps.length) this.show(Math.floor(at) + 1);
    });
    const left = this.panel.scrollLeft;
    this.panel.replaceChildren(svg, this.legend());
    this.panel.scrollLeft = left;
    if (width > room) this.follow(now, each, room);
    if (width > room) Object.assign(this.panel, { tabIndex: 0 });
    else this.panel.removeAttribute("tabindex");
  }

  follow(now, each, room) {
    const at = this.x(now);
    if (at < this.panel.scrollLeft + LANE.left || at + each > this.panel.scrollLeft + room) this.panel.scrollLeft = at - room / 2;
  }

  lane(svg, cpu, each) {
    const { trace } = this;
    const [top, size] = this.bar(cpu, "user");
    svg.append(drawn("text", { class: "small", x: 0, y: top + size - 4 }, `CPU ${cpu}`));
    trace.steps.forEach((step, n) => {
      const mine = step.cpu === cpu;
      const active = activeIn(trace, n + 1, cpu);
      for (const level of ["user", ...active]) {
        const [y, h] = this.bar(cpu, level);
        const moves = mine && (step.context === level || (level === "user" && !LEVELS.includes(step.context)));
        svg.append(drawn("rect", { class: `bar ${level}${moves ? " moves" : ""}`, x: this.x(n + 1), y, width: each, height: h }));
      }
    });
  }

  // The task that a CPU runs, where it begins to.
  tasks(svg, cpu) {
    const [top, size] = this.bar(cpu, "user");
    let [shown, end] = ["none", 0]; // a name that would cover the one before is left out
    this.trace.steps.forEach((_, n) => {
      const current = field(this.trace.states[n + 1], this.trace.cpuNames[cpu], "current", "none");
      const [x, wide] = [this.x(n + 1) + 2, 7 * current.length];
      if (current !== shown && current !== "none" && x > end) {
        svg.append(drawn("text", { class: "task", x, y: top + size - 5 }, current));
        end = x + wide;
      }
      shown = current;
    });
  }

  heads(svg) {
    for (const kind of ["moved", "ipi"]) {
      const head = drawn("marker", { id: `${kind}-${this.trace.name}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" });
      head.append(drawn("path", { d: "M0,0 L8,4 L0,8 z", class: `head ${kind}` }));
      svg.append(head);
    }
  }

  arrow([from, a, to, b, label, kind], each) {
    const edge = (cpu, below, level) => (below ? this.bar(cpu, "user")[0] + LANE.base : this.bar(cpu, level)[0]);
    const [x, y] = [this.x(Math.max(1, from)) + each / 2, this.x(to) + each / 2];
    const inner = kind === "ipi" && this.levels.includes("hardirq") ? "hardirq" : "user";
    const made = drawn("path", { class: `between ${kind}`, d: `M${x},${edge(a, a < b, "user")} L${y},${edge(b, a > b, inner)}`, "marker-end": `url(#${kind}-${this.trace.name})` });
    made.append(drawn("title", {}, kind === "ipi" ? `IPI, sent in step ${from}, arrives in step ${to}` : `${label} goes on on CPU ${b}`));
    return made;
  }

  legend() {
    const made = element("p", "legend");
    const names = { user: "user mode", kernel: "kernel code", schedule: "the scheduler", softirq: "softirq", hardirq: "interrupt, IPI" };
    for (const level of ["user", ...this.levels]) made.append(element("span", `swatch ${level}`), `${names[level]} `);
    for (const [kind, name] of [["moved", "the task goes on on another CPU"], ["ipi", "an IPI, from where it is sent to where it arrives"]]) {
      if (this.arrows.some((arrow) => arrow[5] === kind)) made.append(element("span", `swatch line ${kind}`), `${name} `);
    }
    made.append(element("br"), "Bright: the CPU that takes the step. Pale: the others, which wait.");
    return made;
  }
}
