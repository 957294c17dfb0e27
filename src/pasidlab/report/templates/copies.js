"use strict";
// What a state says of the two copies of a task's xstate: in the registers of a CPU, and in the task's memory image.
// A copy passes for valid if the CPU's owner is the task and the task's last_cpu is the CPU (fpregs_state_valid()).
// A model of one's own says which fields these are: trace.copies has its parts, owner, last and load; of the kernel trace.copies is true.

const isSet = (value) => value !== undefined && !["0", "none"].includes(value);

function field(state, who, what, otherwise) {
  return state[`${who}.${what}`] ?? otherwise;
}

const KERNEL = { owner: "fpregs_owner", last: "last_cpu", load: "need_fpu_load", flag: "TIF_NEED_FPU_LOAD", parts: [{ name: "user" }, { name: "PASID" }] };
const KERNEL_FIELDS = ["user_regs", "msr_pasid", ..."image_user bv_user image_pasid bv_pasid guest_user guest_bv_user guest_pasid guest_bv_pasid".split(" ")];
const fieldsOf = (trace) => (trace.copies === true ? KERNEL : { flag: trace.copies.load, ...trace.copies });
const contentFields = (trace) => (trace.copies === true ? KERNEL_FIELDS : trace.copies.parts.flatMap((part) => [part.cpu, part.task]));

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

// What a copy that counts must hold: null for a part of which the model does not say it.
const wantedOf = (trace, state, task) => fieldsOf(trace).parts.map((part) => (part.wanted ? field(state, task, part.wanted, part.empty) : null));

function ownerOf(trace, state, cpu) {
  const { owner, unless } = fieldsOf(trace);
  return unless && isSet(field(state, cpu, unless)) ? "none" : field(state, cpu, owner);
}

const passesForValid = (trace, state, cpu, task) => ownerOf(trace, state, cpu) === task && field(state, task, fieldsOf(trace).last) === cpu;
const runsOn = (trace, state, task) => trace.cpuNames.find((cpu) => field(state, cpu, "current") === task);
const mustLoad = (trace, state, task) => (fieldsOf(trace).load ? isSet(field(state, task, fieldsOf(trace).load)) : !runsOn(trace, state, task));
const flagged = (trace, state, task) => Boolean(fieldsOf(trace).load) && mustLoad(trace, state, task);
const inUserMode = (trace, step, cpu) => !(trace.stacks[step][trace.cpuNames.indexOf(cpu)] ?? []).length;
const isLocked = (state, cpu) => ["irqs_off", "preempt_count", "softirq_count"].some((name) => isSet(field(state, cpu, name)));

// The parts in which two lists differ, in words; null in the second: no matter.
function differences(trace, one, other, words) {
  const told = one.map((value, n) => (other[n] === null || value === other[n] ? "" : `${fieldsOf(trace).parts[n].name} ${words(value, other[n])}`));
  return told.filter((text) => text).join("; ");
}

// The pairs that pass for valid. `why` says what is wrong with one; `lit` are the boxes where it is.
function pairs(trace, step) {
  const state = trace.states[step];
  const found = [];
  for (const cpu of trace.cpuNames) {
    for (const task of trace.taskNames.filter((name) => passesForValid(trace, state, cpu, name))) {
      found.push({ cpu, task, live: !mustLoad(trace, state, task), ...judged(trace, step, cpu, task) });
    }
  }
  return found;
}

// What must be there is judged in user mode only: the kernel may be half way.
function judged(trace, step, cpu, task) {
  const state = trace.states[step];
  const registers = registersOf(trace, state, cpu);
  const half = isLocked(state, cpu) ? " (the CPU is locked: the kernel may be half way)" : "";
  if (mustLoad(trace, state, task)) {
    const what = differences(trace, registers, imageOf(trace, state, task), (one, other) => `${one} in the registers, ${other} in the image`);
    return what ? { lit: [cpu, task], why: `${cpu}'s registers pass for a valid copy of ${task}'s image, but differ: ${what}${half}.` } : { lit: [] };
  }
  const what = inUserMode(trace, step, cpu) ? differences(trace, registers, wantedOf(trace, state, task), (one, other) => `is ${one}, must be ${other}`) : "";
  return what ? { lit: [cpu], why: `${cpu}'s registers pass for ${task}'s own, but are wrong: ${what}.` } : { lit: [] };
}

// Images that count, and do not hold what they must.
function wrongImages(trace, step) {
  const [found, state] = [[], trace.states[step]];
  for (const task of trace.taskNames.filter((name) => mustLoad(trace, state, name))) {
    const cpu = runsOn(trace, state, task);
    const what = differences(trace, imageOf(trace, state, task), wantedOf(trace, state, task), (one, other) => `is ${one}, must be ${other}`);
    if (what && (!cpu || inUserMode(trace, step, cpu))) found.push({ lit: [task], why: `${task}'s image counts, but is wrong: ${what}.` });
  }
  return found;
}

// What the promise broken at the end looked at. Where no copy is wrong by itself, the copies it looked at are.
function brokenPromise(trace, step, wrong) {
  if (!trace.property || step !== trace.steps.length) return [];
  const looked = Object.entries(trace.looked);
  const saw = looked.length ? ` It looked at ${looked.map(([name, value]) => `${name} = ${value}`).join(", ")}.` : "";
  if (!trace.copies) return [{ lit: [], why: `Broken: ${trace.property}.${saw} (This model declares no two copies to draw.)` }];
  const contents = contentFields(trace);
  const boxes = looked.map(([name]) => name.split(".")).filter(([, what]) => contents.includes(what)).map(([who]) => who);
  const about = boxes.length || wrong.length ? "" : " This promise is not about what the two copies hold.";
  return [{ lit: wrong.length ? [] : boxes, why: `Broken: ${trace.property}.${about}${saw}` }];
}

// What is wrong with the copies after a step. A step that breaks a promise may have hidden it: then it is what was wrong before that step.
function wrongCopies(trace, step) {
  const wrong = [...pairs(trace, step).filter((pair) => pair.why), ...wrongImages(trace, step)];
  const hidden = !wrong.length && trace.property && step === trace.steps.length && step > 0 && !Object.keys(trace.looked).length;
  return hidden ? wrongCopies(trace, step - 1).map(({ lit, why }) => ({ lit, why: `Before this step: ${why}` })) : wrong;
}

// All there is to say after a step, [[alarming, text], ...], and the boxes that light up.
function findings(trace, step) {
  if (!trace.copies) return { pairs: [], lit: new Set(), said: brokenPromise(trace, step, []).map(({ why }) => [true, why]) };
  const [found, wrong] = [pairs(trace, step), wrongCopies(trace, step)];
  const all = [...wrong, ...brokenPromise(trace, step, wrong)];
  const said = all.map(({ why }) => [true, why]);
  for (const { cpu, task, live } of found.filter((pair) => !pair.why)) {
    said.push([false, live ? `${cpu}'s registers are ${task}'s: its image may be out of date.` : `${cpu}'s registers are a valid copy of ${task}'s image.`]);
  }
  for (const task of trace.taskNames.filter((name) => flagged(trace, trace.states[step], name))) {
    said.push([false, `${task} has ${fieldsOf(trace).flag}: its image counts, and is loaded before it is in user mode.`]);
  }
  return { pairs: found, lit: new Set(all.flatMap(({ lit }) => lit)), said: said.length ? said : [[false, "No registers pass for a task's."]] };
}
