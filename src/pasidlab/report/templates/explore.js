// The live page: each walk is a list of moves, made by the server, which keeps none.
// The walk stands in the address of the page, so it outlives a reload, and the browser's Back leads to the walk before. An address without one means the walk that the server began with.
const first = { moves: data.traces[0].steps.map((step) => step.move), initial: data.initial };
const live = { ...first };
const said_ = document.querySelector(".said");
let latest = 0; // the number of the last request: what an older one answers is no longer wanted

async function ask(what, asked) {
  const mine = ++latest;
  document.body.setAttribute("aria-busy", "true");
  said_.textContent = what === "find" ? "Searching …" : "";
  try {
    const reply = await fetch(what, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) });
    const answer = await reply.json();
    if (mine !== latest) return null;
    said_.textContent = answer.error || "";
    return answer.error ? null : answer;
  } catch {
    if (mine === latest) said_.textContent = "pasidlab explore does not answer any more.";
    return null;
  } finally {
    if (mine === latest) document.body.removeAttribute("aria-busy");
  }
}

// A walk in an address: walk=enqcmd:1:,schedule:1:0.2&begin=0 has moves, each an action, its parameters and what is chosen in it.
function written({ moves, initial }) {
  const texts = moves.map(([action, params, choices]) => `${action}:${params.join(".")}:${choices.join(".")}`);
  return `walk=${texts.join(",")}&begin=${initial}`;
}

function readFrom(address) {
  const text = address.get("walk");
  if (text === null) return first;
  const numbers = (joined) => (joined ? joined.split(".").map(Number) : []);
  const moves = text.split(",").filter((one) => one).map((one) => one.split(":"));
  return { moves: moves.map(([action, params, choices]) => [action, numbers(params), numbers(choices)]), initial: Number(address.get("begin")) };
}

function display(answer, step) {
  if (!answer) return;
  Object.assign(data.sources, answer.sources);
  data.traces[0] = answer.trace;
  Object.assign(live, { moves: answer.trace.steps.map((made) => made.move), initial: answer.initial });
  answer.trace.walk = written(live);
  if (written(readFrom(new URLSearchParams(location.hash.slice(1)))) !== answer.trace.walk) history.pushState(null, "", `#${answer.trace.walk}`);
  document.getElementById("walk").innerHTML = answer.html;
  steppers[0] = new Stepper(document.querySelector(".trace"), answer.trace);
  steppers[0].show(step ?? live.moves.length);
  steppers[0].box.focus({ preventScroll: true });
  const begin = document.getElementById("begin");
  if (begin) begin.value = live.initial;
}

const walk = (moves, initial, step) => ask("walk", { moves, initial }).then((answer) => display(answer, step));

function followWalk() {
  const address = new URLSearchParams(location.hash.slice(1));
  const wanted = readFrom(address);
  if (written(wanted) === written(live)) return; // which step of it is a matter of page.js
  const step = Number.parseInt(address.get("step"), 10);
  ask("walk", wanted).then((answer) => display(answer, Number.isNaN(step) ? undefined : step));
}

const begin = () => Number(document.getElementById("begin")?.value ?? 0);

document.getElementById("walk").addEventListener("take", ({ detail }) => walk([...live.moves.slice(0, detail.step), detail.move], live.initial));
document.getElementById("restart").addEventListener("click", () => walk([], begin()));
document.getElementById("begin")?.addEventListener("change", () => walk([], begin()));
document.querySelector(".explore").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("find", { expression: document.getElementById("goal").value }).then((answer) => display(answer));
});
document.getElementById("save").addEventListener("click", async () => {
  const answer = await ask("save", { moves: live.moves.slice(0, steppers[0].step), initial: live.initial });
  if (!answer) return;
  const made = Object.assign(element("a"), { href: URL.createObjectURL(new Blob([`${JSON.stringify(answer, null, 1)}\n`])), download: "path.json" });
  made.click();
  URL.revokeObjectURL(made.href);
  said_.textContent = `Saved ${steppers[0].step} steps: pasidlab replay path.json`;
});
document.getElementById("load").addEventListener("change", async ({ target }) => {
  try {
    const found = JSON.parse(await target.files[0].text()).results.flatMap((result) => result.counterexamples)[0];
    display(await ask("load", { moves: found.moves, initial: found.initial }), 0);
  } catch {
    said_.textContent = "That file holds no path or counterexample.";
  }
  target.value = "";
});
addEventListener("hashchange", followWalk);
followWalk();
