// Steps through the traces. A step is shown as the state after it, with what it changed; the first one is shown at the beginning.
const data = JSON.parse(document.getElementById("data").textContent);
const AROUND = 7; // lines of source before and after
const LEAP = 10; // steps of Page Up and Page Down
const executed = new Set(data.executed.map(([file, line]) => `${file}:${line}`)); // by any step of the search
const unexecuted = new Set(data.unexecuted.map(([file, line]) => `${file}:${line}`));

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The state before the first step and after each, and the step that wrote each field last.
function unfold(trace) {
  trace.states = [trace.initial];
  trace.writers = [{}];
  trace.stacks = [[], ...trace.steps.map((step) => step.stacks)];
  trace.steps.forEach((step, n) => {
    trace.states.push({ ...trace.states[n], ...Object.fromEntries(step.changes.map(([name, , now]) => [name, now])) });
    trace.writers.push({ ...trace.writers[n], ...Object.fromEntries(step.changes.map(([name]) => [name, n + 1])) });
  });
  const ever = (name) => trace.states.some((state) => isSet(state[name]) && state[name] !== "dead");
  const numbered = (count, name) => Array.from({ length: count }, (_, n) => `${name}${n}`);
  trace.cpuNames = numbered(trace.cpus, "CPU");
  trace.taskNames = numbered(trace.tasks, "T").filter((task) => trace.copies !== true || ever(`${task}.state`) || ever(`${task}.mm`));
}

function said(step, number) {
  const who = step.cpu === null ? "" : `CPU ${step.cpu}: `;
  const task = step.task === null ? "" : `T${step.task} `;
  const changes = step.changes.map(([name, old, now]) => `${name} ${old} → ${now}`).join(", ");
  return `${number}. ${who}${task}${step.words}${changes ? `: ${changes}` : ""}`;
}

class Stepper {
  constructor(box, trace) {
    Object.assign(this, { box, trace, step: -1, least: trace.enabled ? 0 : 1, rows: [...box.querySelectorAll("tr[data-row]")] });
    unfold(trace);
    box.querySelector(".top").classList.toggle("alone", !trace.copies);
    this.lanes = trace.stacks[1]?.length ? new Lanes(box.querySelector(".lanes"), trace, (step) => this.show(step)) : null;
    this.spans = this.rowSpans();
    box.tabIndex = -1;
    this.controls();
    this.rows.forEach((row, n) => row.addEventListener("click", () => { this.show(this.spans[n][1]); box.focus({ preventScroll: true }); }));
    box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(box.querySelector(".picture"));
    if (trace.steps.length >= this.least) this.show(this.least, false);
  }

  // The first and the last step of each row; a row without a number belongs to the one before.
  rowSpans() {
    let last = [1, 1];
    return this.trace.rows.map((span) => (last = span.length ? span : last));
  }

  controls() {
    const { trace } = this;
    const bar = this.box.querySelector(".controls");
    const button = (text, label, to) => {
      const made = element("button", "", text);
      made.type = "button";
      made.setAttribute("aria-label", label);
      made.addEventListener("click", () => this.show(to()));
      bar.append(made);
      return made;
    };
    const last = this.trace.steps.length;
    this.first = button("|◀", trace.enabled ? "Beginning" : "First step", () => this.least);
    this.back = button("◀ Back", "Step back", () => this.step - 1);
    this.next = button("Next ▶", "Next step", () => this.step + 1);
    this.end = button("▶|", "Last step", () => last);
    this.slider = Object.assign(element("input"), { type: "range", min: this.least, max: last, value: this.least });
    this.slider.setAttribute("aria-label", "Step");
    this.slider.addEventListener("input", () => this.show(Number(this.slider.value)));
    this.output = element("output");
    this.link = element("a", "", "link");
    this.link.title = "A link to this step";
    this.now = element("div", "now");
    this.now.setAttribute("aria-live", "polite");
    const hint = element("span", "hint");
    for (const [keys, what] of [["← →", "a step"], ["PageUp PageDown", "ten"], ["Home End", "first, last"]]) {
      for (const key of keys.split(" ")) hint.append(element("kbd", "", key), " ");
      hint.append(`${what} `);
    }
    bar.append(this.slider, this.output, this.link, hint, this.now);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target === this.slider) return;
    const last = this.trace.steps.length;
    const to = {
      ArrowRight: this.step + 1, ArrowDown: this.step + 1, j: this.step + 1, ArrowLeft: this.step - 1, ArrowUp: this.step - 1, k: this.step - 1,
      PageDown: this.step + LEAP, PageUp: this.step - LEAP, Home: this.least, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.show(to);
  }

  show(wanted, linked = true) {
    const last = this.trace.steps.length;
    this.step = Math.max(this.least, Math.min(last, wanted));
    const mine = this.rows.filter((row, n) => this.spans[n][0] <= this.step && this.step <= this.spans[n][1]);
    this.rows.forEach((row) => { row.classList.toggle("here", mine.includes(row)); row.removeAttribute("aria-current"); });
    mine[0]?.setAttribute("aria-current", "step");
    for (const [button, off] of [[this.first, this.least], [this.back, this.least], [this.next, last], [this.end, last]]) {
      button.setAttribute("aria-disabled", this.step === off); // a disabled one would lose the focus, and with it the keys
    }
    this.slider.value = this.step;
    this.output.textContent = `Step ${this.step} of ${last}`;
    this.now.textContent = this.step ? said(this.trace.steps[this.step - 1], this.step) : "The beginning.";
    this.link.href = linkTo(this.trace, this.step);
    showState(this.box.querySelector(".state"), this.trace, this.step);
    (this.trace.enabled ? showChoices : showOthers)(this.box.querySelector(".others"), this.trace, this.step);
    const number = this.rows.indexOf(mine[mine.length - 1]);
    showSource(this.box.querySelector(".source"), this.trace, this.trace.places.slice(0, number + 1).filter((place) => place).pop(), this.step);
    this.draw();
    if (linked) {
      history.replaceState(null, "", linkTo(this.trace, this.step));
    }
  }

  draw() {
    if (this.step < 0) return;
    picture(this.box.querySelector(".picture"), this.trace, this.step);
    this.lanes?.draw(this.step);
  }
}

// A page with one trace needs no name of it: #step=7. What the explorer shows also has its walk there.
function linkTo(trace, step) {
  if (trace.walk) return `#${trace.walk}&step=${step}`;
  return data.traces.length === 1 ? `#step=${step}` : `#trace=${trace.name}&step=${step}`;
}

const steppers = [...document.querySelectorAll(".trace")].map((box, n) => new Stepper(box, data.traces[n]));

function followLink() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const step = Number(wanted.get("step"));
  const stepper = steppers.find((s) => s.trace.name === wanted.get("trace")) || (wanted.has("trace") ? undefined : steppers[0]);
  if (!stepper || !Number.isInteger(step) || step < stepper.least) return;
  stepper.show(step, false);
  stepper.box.scrollIntoView({ block: "start" });
  stepper.box.focus({ preventScroll: true });
}

// Left and right do nothing else on a page: they reach the trace in view even if nothing has the focus. From then on all keys do.
addEventListener("keydown", (event) => {
  if (event.target !== document.body || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const inView = steppers.find((s) => s.box.getBoundingClientRect().bottom > 100);
  inView?.key(event);
  inView?.box.focus({ preventScroll: true });
});
addEventListener("hashchange", followLink);
followLink();
