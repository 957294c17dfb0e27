// Beside the trace: the state with who wrote each field last, the source, and what else could have been done.

function showSource(panel, trace, place, step) {
  panel.replaceChildren();
  const lines = place && data.sources[place[0]];
  if (!lines || !lines.length) return;
  const ran = new Set(trace.steps.slice(0, step).flatMap((made) => made.ran.filter(([file]) => file === place[0]).map(([, line]) => line)));
  const ever = new Set(trace.steps.flatMap((made) => made.ran.filter(([file]) => file === place[0]).map(([, line]) => line)));
  const pre = element("pre");
  const first = Math.max(1, place[1] - AROUND);
  for (let n = first; n <= Math.min(lines.length, place[1] + AROUND); n++) {
    const never = unexecuted.has(`${place[0]}:${n}`) ? "never" : "";
    const line = element("span", `line${n === place[1] ? " here" : ""}${ran.has(n) ? " ran" : ""}`);
    if (never) line.title = "not executed by any step of the search";
    if (executed.has(`${place[0]}:${n}`) && !ever.has(n)) {
      line.classList.add("elsewhere");
      line.title = "executed on other paths of the search only";
    }
    const [indent, code] = [lines[n - 1].match(/^\s*/)[0], lines[n - 1].trim()];
    line.append(element("span", "number", `${String(n).padStart(5)}  `), indent, element("span", never, code || " "));
    pre.append(line);
  }
  panel.append(element("h4", "", `Source: ${place[0].split("/").pop()}`), pre);
}

// The fields of a state by whose they are: CPU0 -> [[CPU0.current, current], ...].
function grouped(state) {
  const groups = new Map();
  for (const name of Object.keys(state).sort()) {
    const [who, what] = name.split(".");
    if (!groups.has(who)) groups.set(who, []);
    groups.get(who).push([name, what]);
  }
  return groups;
}

function shownField(trace, step, name, what) {
  const [old, value, writer] = [trace.states[Math.max(0, step - 1)][name], trace.states[step][name], trace.writers[step][name]];
  const changed = old !== value;
  const idle = ["0", "none", "init"].includes(value);
  const shown = element("span", changed ? "changed" : idle ? "idle" : "", changed ? `${what}=${old}→${value}` : `${what}=${value}`);
  if (step === trace.steps.length && name in trace.looked) shown.classList.add("looked");
  if (!writer || changed) return [shown];
  const by = element("a", "by", String(writer));
  by.href = linkTo(trace, writer);
  by.title = `written in step ${writer}`;
  by.setAttribute("aria-label", `${name}: written in step ${writer}`);
  return [shown, by];
}

function showState(panel, trace, step) {
  const list = element("dl");
  for (const [who, fields] of grouped(trace.states[step])) {
    const values = element("dd");
    for (const [name, what] of fields) values.append(...shownField(trace, step, name, what), " ");
    list.append(element("dt", "", who), values);
  }
  panel.replaceChildren(element("h4", "", step ? `State after step ${step}` : "State"), list);
}

// One line of what can be done: where, what, and what it breaks.
function choice(move) {
  const line = element("li");
  const who = [move.cpu === null ? "" : `CPU ${move.cpu}: `, move.task === null ? "" : `T${move.task} `].join("");
  line.append(element("code", "", `${who}${move.words}`));
  if (move.place) line.append(" ", element("span", "place", move.place));
  if (move.breaks.length) line.append(" ", element("b", "", `breaks ${move.breaks.map((name) => name || "the model").join(", ")}`));
  return line;
}

function showOthers(panel, trace, step) {
  const others = trace.steps[step - 1].others;
  const list = element("ul");
  const seen = new Set();
  for (const other of others) {
    const line = choice(other);
    if (!seen.has(line.textContent)) list.append(line);
    seen.add(line.textContent);
  }
  panel.replaceChildren(element("h4", "", `Instead of step ${step}`));
  panel.append(list.children.length ? list : element("p", "hint", "Nothing else could be done."));
}

// Live: all that can be done after a step, each with a button; what this path does there is marked.
function showChoices(panel, trace, step) {
  const next = trace.steps[step];
  const taken = next && { ...next, place: "", breaks: [] };
  const moves = taken ? [taken, ...taken.others] : trace.enabled;
  const list = element("ul");
  for (const move of moves) {
    const line = choice(move);
    const button = element("button", "", "Take");
    button.type = "button";
    button.setAttribute("aria-label", `Take: ${line.textContent}`);
    button.addEventListener("click", ({ detail: clicks }) => { // the second of a double click would take what stands there by then
      if (clicks < 2) panel.dispatchEvent(new CustomEvent("take", { bubbles: true, detail: { step, move: move.move } }));
    });
    line.prepend(button, " ");
    if (taken && move === taken) line.append(" ", element("span", "hint", "(this path)"));
    list.append(line);
  }
  panel.replaceChildren(element("h4", "", step ? `What can be done after step ${step}` : "What can be done at the beginning"));
  panel.append(moves.length ? list : element("p", "hint", "Nothing can be done any more."));
}
