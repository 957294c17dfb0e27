"use strict";
// The two copies of a task's xstate: the registers of the CPUs above, the memory images of the tasks below, and who is said to have whose.
// A copy passes for valid if the CPU's owner is the task and the task's last_cpu is the CPU (fpregs_state_valid()).
// A model of one's own says which fields these are: trace.copies has its parts, owner, last and load; of the kernel trace.copies is true.

const SVG = "http://www.w3.org/2000/svg";
const BOX = { height: 92, line: 19, gap: 26, between: 96, top: 6, text: 13 };
const isSet = (value) => value !== undefined && !["0", "none"].includes(value);

function drawn(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function field(state, who, what, otherwise) {
  return state[`${who}.${what}`] ?? otherwise;
}

const KERNEL = { owner: "fpregs_owner", last: "last_cpu", load: "need_fpu_load", flag: "TIF_NEED_FPU_LOAD", parts: [{ name: "user" }, { name: "PASID" }] };
const fieldsOf = (trace) => (trace.copies === true ? KERNEL : { flag: trace.copies.load, ...trace.copies });

// What the CPU's registers and the task's memory image hold, component by component: of the kernel user registers and IA32_PASID.
function registersOf(trace, state, cpu) {
  if (trace.copies !== true) return trace.copies.parts.map((part) => field(state, cpu, part.cpu, part.empty));
  return [field(state, cpu, "user_regs", "init"), field(state, cpu, "msr_pasid", "0")];
}

function imageOf(trace, state, task) {
  if (trace.copies !== true) return trace.copies.parts.map((part) => field(state, task, part.task, part.empty));
  const guest = isSet(field(state, task, "guest_fpstate"));
  const part = (name, bit, otherwise) => (isSet(field(state, task, bit)) ? field(state, task, name, otherwise) : otherwise);
  return guest
    ? [part("guest_user", "guest_bv_user", "init"), part("guest_pasid", "guest_bv_pasid", "0")]
    : [part("image_user", "bv_user", "init"), part("image_pasid", "bv_pasid", "0")];
}

const passesForValid = (trace, state, cpu, task) => field(state, cpu, fieldsOf(trace).owner) === task && field(state, task, fieldsOf(trace).last) === cpu;
const runsOn = (trace, state, task) => trace.cpuNames.find((cpu) => field(state, cpu, "current") === task);
const mustLoad = (trace, state, task) => (fieldsOf(trace).load ? isSet(field(state, task, fieldsOf(trace).load)) : !runsOn(trace, state, task));
const flagged = (trace, state, task) => Boolean(fieldsOf(trace).load) && mustLoad(trace, state, task);
const isLocked = (state, cpu) => ["irqs_off", "preempt_count", "softirq_count"].some((name) => isSet(field(state, cpu, name)));
const same = (one, other) => one.every((value, n) => value === other[n]);

function pairs(trace, state) {
  const found = [];
  for (const cpu of trace.cpuNames) {
    for (const task of trace.taskNames) {
      if (!passesForValid(trace, state, cpu, task)) continue;
      const differs = !same(registersOf(trace, state, cpu), imageOf(trace, state, task));
      found.push({ cpu, task, live: !mustLoad(trace, state, task), wrong: mustLoad(trace, state, task) && differs, locked: isLocked(state, cpu) });
    }
  }
  return found;
}

function sentence(trace, state) {
  const said = [];
  for (const { cpu, task, live, wrong, locked } of pairs(trace, state)) {
    const [registers, image] = [registersOf(trace, state, cpu), imageOf(trace, state, task)];
    const what = registers.map((value, n) => (value === image[n] ? "" : `${fieldsOf(trace).parts[n].name} ${value} in the registers, ${image[n]} in the image`));
    if (wrong) {
      const why = locked ? " (the CPU is locked: the kernel may be half way)" : "";
      said.push([true, `${cpu}'s registers pass for a valid copy of ${task}'s image, but differ: ${what.filter((w) => w).join("; ")}${why}.`]);
    } else {
      said.push([false, live ? `${cpu}'s registers are ${task}'s: its image is old.` : `${cpu}'s registers are a valid copy of ${task}'s image.`]);
    }
  }
  for (const task of trace.taskNames) {
    const { flag } = fieldsOf(trace);
    if (flagged(trace, state, task)) said.push([false, `${task} has ${flag}: its image counts, and is loaded before it is in user mode.`]);
  }
  return said.length ? said : [[false, "No registers pass for a task's."]];
}

const isTight = (place) => place.width < 150;

// Each part of the copies takes a line, what the CPU runs or the flag one more.
const tallOf = (trace) => BOX.height + BOX.line * (fieldsOf(trace).parts.length - 2);

function box(group, place, title, lines) {
  if (isTight(place)) group.setAttribute("data-tight", "");
  group.append(drawn("rect", { class: "box", x: place.x, y: place.y, width: place.width, height: 54 + BOX.line * (lines.length - 1), rx: 6 }));
  group.append(drawn("text", { class: "title", x: place.x + 8, y: place.y + 19 }, title));
  lines.forEach(([text, changed, small], n) => {
    const y = place.y + 41 + BOX.line * n;
    if (changed) group.append(drawn("rect", { class: "changed", x: place.x + 4, y: y - 13, width: place.width - 8, height: 18, rx: 3 }));
    group.append(drawn("text", { x: place.x + 8, y, class: small ? "small" : "" }, text));
  });
}

function value(name, old, now) {
  return [old === now ? `${name} ${now}` : `${name} ${old} → ${now}`, old !== now];
}

const valuesOf = (trace, old, now) => fieldsOf(trace).parts.map((part, n) => value(part.name, old[n], now[n]));

// The label stands beside the arrow, at a part of its length that no other arrow uses.
function arrow(svg, name, from, to, kind, label, shift, part) {
  const way = drawn("path", { class: `arrow ${kind}`, d: `M${from.x + shift},${from.y} L${to.x + shift},${to.y}`, "marker-end": `url(#${name})` });
  const at = { x: from.x + shift + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part + 4 };
  const [left, right] = [{ "text-anchor": "end", dx: -5 }, { "text-anchor": "start", dx: 5 }];
  const room = svg.viewBox.baseVal.width;
  const fits = at.x + 5 + 7.5 * label.length < room;
  const side = shift === 0 ? { "text-anchor": "middle" } : (shift > 0 && fits) || at.x < 8 * label.length ? right : left;
  svg.append(way, drawn("text", { class: "small halo", x: at.x, y: at.y, ...side }, label));
}

function picture(panel, trace, before, state) {
  const width = Math.min(960, Math.max(280, panel.clientWidth || 640));
  const names = trace.copies === true ? { owner: "owner", last: KERNEL.last } : fieldsOf(trace);
  const tall = tallOf(trace);
  const height = 2 * tall + BOX.between + 2 * BOX.top;
  const said = sentence(trace, state);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said.map(([, text]) => text).join(" ") });
  const point = `point-${trace.name}`;
  const marker = drawn("marker", { id: point, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" });
  marker.append(drawn("path", { d: "M0,0 L8,4 L0,8 z", fill: "context-stroke" }));
  svg.append(marker);
  const row = (names, y) => {
    const each = Math.min(300, (width - BOX.gap * (names.length - 1) - 4) / names.length);
    const left = (width - each * names.length - BOX.gap * (names.length - 1)) / 2;
    return new Map(names.map((name, n) => [name, { x: left + n * (each + BOX.gap), y, width: each }]));
  };
  const cpus = row(trace.cpuNames, BOX.top);
  const tasks = row(trace.taskNames, BOX.top + tall + BOX.between);
  const found = pairs(trace, state);
  const kind = (name) => {
    const mine = found.filter((p) => p.cpu === name || p.task === name);
    return mine.some((p) => p.wrong) ? "wrong" : mine.some((p) => p.live && p.cpu === name) ? "live" : "";
  };
  const foot = (name) => ({ x: cpus.get(name).x + cpus.get(name).width / 2, y: BOX.top + tall + 1 });
  const head = (name) => ({ x: tasks.get(name).x + tasks.get(name).width / 2, y: BOX.top + tall + BOX.between - 1 });
  for (const cpu of trace.cpuNames) {
    const owner = field(state, cpu, fieldsOf(trace).owner);
    if (tasks.has(owner)) arrow(svg, point, foot(cpu), head(owner), found.some((p) => p.wrong && p.cpu === cpu) ? "bad" : "", names.owner, -34, 0.35);
  }
  for (const task of trace.taskNames) {
    const last = field(state, task, fieldsOf(trace).last);
    if (cpus.has(last)) arrow(svg, point, head(task), foot(last), `last${found.some((p) => p.wrong && p.task === task) ? " bad" : ""}`, names.last, 34, 0.55);
    const runs = runsOn(trace, state, task);
    if (runs && mustLoad(trace, state, task)) arrow(svg, point, head(task), foot(runs), "load", "to load", 0, 0.25);
  }
  for (const [cpu, place] of cpus) {
    const group = drawn("g", { class: kind(cpu) });
    const [old, now] = [registersOf(trace, before, cpu), registersOf(trace, state, cpu)];
    const current = field(state, cpu, "current", "none");
    box(group, place, isTight(place) ? cpu : `${cpu} registers`, [...valuesOf(trace, old, now), [current === "none" ? "idle" : `runs ${current}`, current !== field(before, cpu, "current", "none"), true]]);
    svg.append(group);
  }
  for (const [task, place] of tasks) {
    const group = drawn("g", { class: kind(task) });
    const [old, now] = [imageOf(trace, before, task), imageOf(trace, state, task)];
    const flag = flagged(trace, state, task);
    const name = isTight(place) && trace.copies === true ? "NEED_LOAD" : fieldsOf(trace).flag;
    box(group, place, isTight(place) ? `${task} image` : `${task} memory image`, [...valuesOf(trace, old, now), [flag ? name : "", flag !== flagged(trace, before, task), true]]);
    svg.append(group);
  }
  const says = element("div", "says");
  for (const [alarm, text] of said) says.append(element(alarm ? "b" : "span", "", text), " ");
  panel.replaceChildren(svg, says);
}
