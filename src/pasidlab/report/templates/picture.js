// The picture of the two copies: the registers of the CPUs above, the memory images of the tasks below, and who is said to have whose.
// Nothing in it overlaps at any width: contents that are too long for a box take two lines, a label of an arrow stands where there is room
// for it, and the legend says what arrows mean that have none.

const SVG = "http://www.w3.org/2000/svg";
const BOX = { line: 19, between: 96, top: 6, head: 35, foot: 38, most: 300 };
const LETTER = { wide: 7.9, tight: 6.4, label: 7 }; // the width of a letter in a box, in a tight one, beside an arrow

function drawn(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const contentsOf = (trace, state, name) => (trace.cpuNames.includes(name) ? registersOf : imageOf)(trace, state, name);
const changeOf = (old, now) => (old === now ? now : `${old} → ${now}`);

// Where the boxes are, and how their contents are written: the same at every step of a trace.
class Layout {
  constructor(trace, width) {
    const most = Math.max(trace.cpuNames.length, trace.taskNames.length, 1);
    this.gap = width / most < 180 ? 8 : 26;
    this.width = width;
    this.each = Math.min(BOX.most, (width - this.gap * (most - 1) - 4) / most);
    this.tight = this.each < 150;
    this.pad = this.tight ? 5 : 8;
    this.letters = Math.floor((this.each - 2 * this.pad) / (this.tight ? LETTER.tight : LETTER.wide));
    this.split = this.longest(trace) > this.letters;
    this.tall = BOX.head + BOX.foot + BOX.line * fieldsOf(trace).parts.length * (this.split ? 2 : 1) - 16;
    this.height = 2 * this.tall + BOX.between + 2 * BOX.top;
    this.boxes = new Map([...this.row(trace.cpuNames, BOX.top), ...this.row(trace.taskNames, BOX.top + this.tall + BOX.between)]);
  }

  // The longest line of contents in any box, at any step.
  longest(trace) {
    const names = [...trace.cpuNames, ...trace.taskNames];
    const at = (n) => names.flatMap((name) => {
      const [old, now] = [trace.states[Math.max(0, n - 1)], trace.states[n]].map((state) => contentsOf(trace, state, name));
      return now.map((value, part) => `${fieldsOf(trace).parts[part].name} ${changeOf(old[part], value)}`.length);
    });
    return Math.max(...trace.states.flatMap((_, n) => at(n)), 0);
  }

  row(names, y) {
    const left = (this.width - this.each * names.length - this.gap * (names.length - 1)) / 2;
    return names.map((name, n) => [name, { x: left + n * (this.each + this.gap), y }]);
  }

  middle(name) { return this.boxes.get(name).x + this.each / 2; }

  // A text that is not longer than a line of a box.
  fitting(...texts) { return texts.find((text) => text.length <= this.letters) ?? `${texts[0].slice(0, this.letters - 1)}…`; }

  // The lines of a box: [text, marked as changed, small].
  lines(trace, before, state, name, foot) {
    const [old, now] = [contentsOf(trace, before, name), contentsOf(trace, state, name)];
    const parts = fieldsOf(trace).parts.flatMap((part, n) => {
      const [changed, told] = [old[n] !== now[n], changeOf(old[n], now[n])];
      return this.split ? [[this.fitting(part.name), false, true], [this.fitting(` ${told}`, ` →${now[n]}`), changed, false]] : [[`${part.name} ${told}`, changed, false]];
    });
    return [...parts, foot];
  }
}

// Does a line from one row of boxes to the other run through a text?
function across({ from, to }, { left, top, size }) {
  const at = (y) => from.x + ((to.x - from.x) * (y - from.y)) / (to.y - from.y);
  const [first, last] = [at(top), at(top + 15)].sort((a, b) => a - b);
  return first < left + size && left < last;
}

// Texts and arrows that are drawn, so that another text keeps clear of them.
class Room {
  constructor(width, arrows) { Object.assign(this, { width, arrows, taken: [] }); }

  // Takes the first of the places that is free: {x, y, anchor}, where the text begins, has its middle or ends. Undefined: none is.
  // Best is one that no arrow but its own runs through.
  take(text, places, own) {
    const size = LETTER.label * text.length;
    const box = ({ x, y, anchor }) => ({ left: x - { start: 0, middle: size / 2, end: size }[anchor], top: y - 12, size });
    const free = (one) => one.left > 0 && one.left + size < this.width
      && this.taken.every((other) => one.left + size < other.left || other.left + other.size < one.left || Math.abs(one.top - other.top) > 15);
    const clear = (one) => this.arrows.every((other) => other === own || !across(other, one));
    const possible = places.filter((place) => free(box(place)));
    const found = possible.find((place) => clear(box(place))) ?? possible[0];
    if (found) this.taken.push(box(found));
    return found;
  }
}

// The label stands beside its arrow, as near to the wanted part of the arrow's length as there is room.
function labelled(svg, room, own) {
  const { from, to, kind, label, part } = own;
  const places = [part, 0.5, 0.25, 0.75, 0.15, 0.88].flatMap((at) => {
    const [x, y] = [from.x + (to.x - from.x) * at, from.y + (to.y - from.y) * at + 4];
    const sides = [{ x: x - 5, y, anchor: "end" }, { x: x + 5, y, anchor: "start" }];
    return kind.startsWith("load") ? [{ x, y, anchor: "middle" }, ...sides] : kind.startsWith("last") ? sides.reverse() : sides;
  });
  const place = room.take(label, places, own);
  if (place) svg.append(drawn("text", { class: "small halo", x: place.x, y: place.y, "text-anchor": place.anchor }, label));
}

function box(svg, layout, name, kind, title, lines) {
  const { each, pad, tight } = layout;
  const { x, y } = layout.boxes.get(name);
  const group = drawn("g", { class: kind });
  if (tight) group.setAttribute("data-tight", "");
  group.append(drawn("rect", { class: "box", x, y, width: each, height: layout.tall, rx: 6 }));
  group.append(drawn("text", { class: "title", x: x + pad, y: y + 19 }, title));
  lines.forEach(([text, changed, small], n) => {
    const base = y + 41 + BOX.line * n;
    if (changed) group.append(drawn("rect", { class: "changed", x: x + 3, y: base - 13, width: each - 6, height: 18, rx: 3 }));
    group.append(drawn("text", { x: x + pad, y: base, class: small ? "small" : "" }, text));
  });
  svg.append(group);
}

function arrows(svg, trace, state, layout, found) {
  const names = trace.copies === true ? { owner: "owner", last: KERNEL.last } : fieldsOf(trace);
  const made = [];
  const arrow = (from, to, kind, label, part) => made.push({ from, to, kind, label, part });
  const reach = Math.min(56, layout.each / 4);
  const foot = (name, shift) => ({ x: layout.middle(name) + shift, y: BOX.top + layout.tall + 1 });
  const head = (name, shift) => ({ x: layout.middle(name) + shift, y: BOX.top + layout.tall + BOX.between - 1 });
  const bad = (cpu, task) => (found.pairs.some((pair) => pair.why && pair.cpu === cpu && pair.task === task) ? " bad" : "");
  for (const cpu of trace.cpuNames) {
    const owner = ownerOf(trace, state, cpu);
    if (trace.taskNames.includes(owner)) arrow(foot(cpu, -reach), head(owner, -reach), `owner${bad(cpu, owner)}`, names.owner, 0.35);
  }
  for (const task of trace.taskNames) {
    const last = field(state, task, fieldsOf(trace).last);
    if (trace.cpuNames.includes(last)) arrow(head(task, reach), foot(last, reach), `last${bad(last, task)}`, names.last, 0.55);
    const runs = runsOn(trace, state, task);
    if (runs && flagged(trace, state, task)) arrow(head(task, 0), foot(runs, 0), "load", "to load", 0.25);
  }
  for (const { from, to, kind } of made) {
    svg.append(drawn("path", { class: `arrow ${kind}`, d: `M${from.x},${from.y} L${to.x},${to.y}`, "marker-end": `url(#point-${trace.name})` }));
  }
  const room = new Room(layout.width, made);
  for (const one of made) labelled(svg, room, one);
}

function pictureLegend(trace) {
  const { owner, last, load } = fieldsOf(trace);
  const made = element("p", "legend");
  const entry = (kind, text) => {
    const told = element("span", "entry", text);
    told.prepend(element("span", `swatch line ${kind}`));
    made.append(told, " ");
  };
  entry("owner", `${owner}: the task whose registers the CPU says it holds`);
  entry("last", `${last}: the CPU that the task was last loaded on`);
  if (load) entry("load", "the image is to be loaded into these registers");
  return made;
}

function picture(panel, trace, step) {
  const [before, state] = [trace.states[Math.max(0, step - 1)], trace.states[step]];
  const found = findings(trace, step);
  const says = element("div", "says");
  for (const [alarm, text] of found.said) says.append(element(alarm ? "b" : "span", "", text), " ");
  if (!trace.copies) return panel.replaceChildren(says);
  const layout = new Layout(trace, Math.min(960, Math.max(280, panel.clientWidth || 640)));
  const { width, height } = layout;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": found.said.map(([, text]) => text).join(" ") });
  const marker = drawn("marker", { id: `point-${trace.name}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" });
  marker.append(drawn("path", { d: "M0,0 L8,4 L0,8 z", fill: "context-stroke" }));
  svg.append(marker);
  arrows(svg, trace, state, layout, found);
  const kind = (name) => (found.lit.has(name) ? "wrong" : found.pairs.some((pair) => pair.live && pair.cpu === name) ? "live" : "");
  for (const cpu of trace.cpuNames) {
    const [was, current] = [before, state].map((one) => field(one, cpu, "current", "none"));
    const foot = [current === "none" ? "idle" : `runs ${current}`, current !== was, true];
    box(svg, layout, cpu, kind(cpu), layout.fitting(`${cpu} registers`, cpu), layout.lines(trace, before, state, cpu, foot));
  }
  for (const task of trace.taskNames) {
    const flag = flagged(trace, state, task);
    const name = flag ? layout.fitting(fieldsOf(trace).flag, ...(trace.copies === true ? ["NEED_LOAD"] : [])) : "";
    const foot = [name, flag !== flagged(trace, before, task), true];
    box(svg, layout, task, kind(task), layout.fitting(`${task} memory image`, `${task} image`, task), layout.lines(trace, before, state, task, foot));
  }
  panel.replaceChildren(svg, pictureLegend(trace), says);
}
