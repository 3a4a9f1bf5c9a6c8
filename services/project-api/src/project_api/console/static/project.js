// One project: how far it is, step by step and user by user, what can be done now, and all that happened.

import { get, project as path } from "./api.js";
import { aboutCard } from "./about.js";
import { actionsBar, verification } from "./actions.js";
import { announce, h, icon, reconcile, setText } from "./dom.js";
import { follow } from "./live.js";
import { card, heading, meter, showBadge } from "./parts.js";
import { timeline } from "./timeline.js";
import { usersCard } from "./users.js";
import { at, STATUS, STEP, lasting } from "./words.js";

export async function show({ signal, rest: [identifier], title }) {
  let detail = (await get(path(identifier), { signal })).data;
  title(detail.name);
  const badge = h("span", { class: "badge" });
  const notices = h("div", { class: "notices" });
  const progress = progressCard();
  const findings = h("div", {});
  const history = timeline(identifier, signal);
  let turn = () => {};
  const again = () => turn();
  const users = usersCard(identifier, again);
  const actions = actionsBar(identifier, () => detail.name, again, (found, repair) => findings.replaceChildren(verification(found, () => findings.replaceChildren(), repair)));
  let before = null;

  function status(body) {
    showBadge(badge, STATUS[body.status]);
    progress.show(body);
    users.show(body.project, body.actions);
    actions.show(body);
    showNotices(notices, body, identifier, again);
    if (before && before.status !== body.status) announce(`${detail.name}: ${STATUS[body.status].words}. ${body.error ?? ""}`);
    if (!before || before.run !== body.run || before.progress.message !== body.progress.message || before.status !== body.status) history.soon();
    before = body;
  }

  function news(event, data) {
    if (before && data.run < before.run) return;
    showBadge(badge, STATUS[data.status]);
    progress.hear(data);
    if (data.step?.status === "completed") announce(`${data.step.label}: done.`);
  }

  function changed(now) {
    detail = now;
    title(detail.name);
    setText(head.querySelector("h1"), detail.name);
    history.soon();
  }

  function gone() {
    announce(`${detail.name} is deleted.`);
    if (!signal.aborted) location.hash = "#/projects";
  }

  await new Promise((resolve) => {
    turn = follow(identifier, { status: (body) => (status(body), resolve()), news, gone: () => (gone(), resolve()) }, signal);
  });
  const back = h("a", { class: "back", href: "#/projects" }, icon("back"), "Projects");
  const head = heading(detail.name, badge);
  const about = h("p", { class: "lead" }, [identifier, detail.region, detail.tenant?.name].filter(Boolean).join(" · "));
  const main = h("div", { class: "column" }, progress.element, findings, users.element);
  const side = h("div", { class: "column" }, history.element, aboutCard(detail, changed));
  return h("div", { class: "project" }, back, head, about, actions.element, notices, h("div", { class: "side-by-side" }, main, side));
}

function showNotices(place, { error, failure, waiting, overdue, actions, status }, identifier, again) {
  const shown = [];
  if (status === "failed" && error) {
    const facts = [failure?.step && `step ${failure.step}`, failure?.code, failure?.user?.email, failure?.tries > 1 && `${failure.tries} tries`];
    shown.push(h("div", { class: "notice bad", role: "alert" }, icon("cross"), h("div", {}, h("strong", {}, error), h("p", {}, facts.filter(Boolean).join(" · ")))));
  }
  if (waiting) {
    const tries = waiting.tries > 1 ? ` Try ${waiting.attempt} of ${waiting.tries}` : " It goes on";
    shown.push(h("div", { class: "notice wait" }, icon("wait"), h("div", {}, h("strong", {}, waiting.message), h("p", {}, `${tries} ${waiting.until ? `at ${at(waiting.until)}` : "at any moment"}.`))));
  }
  if (overdue) {
    const words = `The step ${overdue.step} takes longer than its ${lasting(overdue.share_seconds)}.`;
    shown.push(h("div", { class: "notice wait" }, icon("wait"), h("div", {}, h("strong", {}, words), h("p", {}, overdue.reason))));
  }
  const words = shown.map((each) => each.textContent).join();
  if (place.dataset.words === words) return;
  place.dataset.words = words;
  place.replaceChildren(...shown);
}

function progressCard() {
  const steps = h("ol", { class: "steps" });
  const bar = meter("Progress of the run");
  const times = h("p", { class: "times" });
  let position = [0, 0];

  function showSteps(list) {
    reconcile(steps, list, (step) => step.id, makeStep, (child, step) => {
      const meaning = STEP[step.status];
      child.className = `step ${meaning.tone}`;
      showBadge(child.badge, meaning);
      setText(child.label, step.label);
      setText(child.time, step.updated_at ? at(step.updated_at) : "");
    });
  }

  return {
    element: card("Progress", bar.element, steps, times),
    show(body) {
      position = [body.run, Math.max(position[0] === body.run ? position[1] : 0, body.progress.percent)];
      bar.show(body.progress, STATUS[body.status].tone);
      showSteps(body.data.provisioning_progress);
      setText(times, told(body));
    },
    // News may be a moment older than what was read: a run never goes back.
    hear(data) {
      if (data.run === position[0] && data.progress.percent < position[1]) return;
      position = [data.run, data.progress.percent];
      bar.show(data.progress, STATUS[data.status].tone);
      showSteps(data.provisioning_progress);
    },
  };
}

function makeStep() {
  const step = h("li", { class: "step" });
  step.badge = h("span", { class: "badge" });
  step.label = h("span", { class: "step-label" });
  step.time = h("span", { class: "step-time" });
  step.append(step.badge, step.label, step.time);
  return step;
}

function told({ run, data, estimated_completion, estimate }) {
  const begun = `Run ${run}, begun ${at(data.provisioning_started_at)}`;
  if (data.provisioning_completed_at) {
    const seconds = (new Date(data.provisioning_completed_at) - new Date(data.provisioning_started_at)) / 1000;
    return `${begun}, ended after ${lasting(seconds)}.`;
  }
  const range = estimate ? `, at the latest ${at(estimate.latest)}` : "";
  return `${begun}. Expected to end by ${at(estimated_completion)}${range}.`;
}
