"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const AROUND = 7; // lines of source before and after

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showSource(panel, place) {
  panel.replaceChildren();
  const lines = place && data.sources[place[0]];
  if (!lines || !lines.length) return;
  const pre = element("pre");
  const first = Math.max(1, place[1] - AROUND);
  for (let n = first; n <= Math.min(lines.length, place[1] + AROUND); n++) {
    const line = element("span", n === place[1] ? "here" : "");
    line.append(element("span", "number", String(n).padStart(5) + "  "), lines[n - 1]);
    pre.append(line, "\n");
  }
  panel.append(element("h4", "", place[0].split("/").pop()), pre);
}

function showState(panel, trace, before, after) {
  const groups = new Map();
  for (const name of Object.keys(trace.states[after]).sort()) {
    const [who, what] = name.split(".");
    if (!groups.has(who)) groups.set(who, []);
    groups.get(who).push([name, what]);
  }
  const list = element("dl");
  const ended = after === trace.states.length - 1;
  for (const [who, fields] of groups) {
    const values = element("dd");
    for (const [name, what] of fields) {
      const [old, value] = [trace.states[before][name], trace.states[after][name]];
      const shown = element("span", ["0", "none", "init"].includes(value) ? "idle" : "", `${what}=${value}`);
      if (old !== value) shown.className = "changed";
      if (old !== value) shown.title = `was ${old}`;
      if (ended && trace.looked.includes(name)) shown.classList.add("looked");
      values.append(shown, " ");
    }
    list.append(element("dt", "", who), values);
  }
  panel.replaceChildren(element("h4", "", after ? `State after step ${after}` : "State at the beginning"), list);
}

for (const box of document.querySelectorAll(".trace")) {
  const number = Number(box.dataset.number);
  const trace = data.traces[number];
  const rows = [...box.querySelectorAll("tr[data-row]")];
  let current = -1;

  function select(row) {
    if (row < 0 || row >= rows.length) return;
    rows[current]?.classList.remove("here");
    rows[(current = row)].classList.add("here");
    const steps = trace.rows.slice(0, row + 1).filter((s) => s.length).pop() || [1, 0]; // a row without a number belongs to the one before
    const next = trace.rows.slice(row + 1).find((s) => s.length);
    const last = Math.max(steps[1], next ? next[0] - 1 : trace.states.length - 1);
    showState(box.querySelector(".state"), trace, steps[0] - 1, Math.min(last, trace.states.length - 1));
    const place = data.places[number].slice(0, row + 1).filter((p) => p).pop();
    showSource(box.querySelector(".source"), data.places[number][row] || place);
  }

  rows.forEach((row, n) => row.addEventListener("click", () => { select(n); box.focus({ preventScroll: true }); }));
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    select(current + by);
    rows[current].scrollIntoView({ block: "nearest" });
  });
  select(rows.length - 1);
}
