// The page of jobs.

import { message, ServiceError } from "../common/api";
import { byId, element } from "../common/dom";
import { bytes, count, short } from "../common/numbers";
import { Desk, type Plan, type Templates } from "./desk";
import { JobList } from "./list";
import { type Field, read, write } from "./recipe";

const KEPT = "nmcdist-token";
const UNKNOWN = "The service does not know this token.";
const FIELDS: Field[] = ["name", "bundle", "seed", "count"];

class Counter {
  private readonly recipe = byId<HTMLTextAreaElement>("recipe");
  private readonly answer = byId("answer");
  private templates: Templates = { templates: [], bundles: [] };

  constructor(
    private readonly desk: Desk,
    private readonly list: JobList,
  ) {}

  async open(): Promise<void> {
    this.templates = await this.desk.templates();
    const options = (names: [string, string][]) => names.map(([value, text]) => element("option", { value }, text));
    const { templates, bundles } = this.templates;
    byId("template").replaceChildren(...options(templates.map(({ name, title }) => [name, title])));
    byId("recipe-bundle").replaceChildren(...options(bundles.map((name) => [name, name])));
    byId("template").oninput = () => this.start();
    byId("plan").onclick = () => void this.plan();
    byId<HTMLFormElement>("new").onsubmit = (event) => {
      event.preventDefault();
      void this.submit();
    };
    this.recipe.oninput = () => this.readFields();
    for (const field of FIELDS) {
      const control = byId<HTMLInputElement>(`recipe-${field}`);
      control.oninput = () => {
        if (control.value) this.recipe.value = write(this.recipe.value, field, control.value);
      };
    }
    this.start();
    await this.list.load();
  }

  private start(): void {
    const chosen = byId<HTMLSelectElement>("template").value;
    this.recipe.value = this.templates.templates.find(({ name }) => name === chosen)?.yaml ?? "";
    this.answer.replaceChildren();
    this.readFields();
  }

  private readFields(): void {
    for (const field of FIELDS) {
      const control = byId<HTMLInputElement>(`recipe-${field}`);
      const value = read(this.recipe.value, field);
      control.disabled = value === null;
      control.value = value ?? "";
    }
  }

  private async plan(): Promise<void> {
    await this.answered(async () => {
      const plan = await this.desk.plan(this.recipe.value);
      this.answer.replaceChildren(...shownPlan(plan));
    });
  }

  private async submit(): Promise<void> {
    await this.answered(async () => {
      const job = await this.desk.submit(this.recipe.value);
      this.list.add(job, true);
      this.answer.replaceChildren(element("p", {}, `${job.plan.name} is queued.`));
    });
  }

  private async answered(work: () => Promise<void>): Promise<void> {
    const buttons = [...byId("new").querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    this.answer.replaceChildren(element("p", { class: "note" }, "The service works out the plan."));
    try {
      await work();
    } catch (error) {
      this.answer.replaceChildren(element("p", { class: "problem" }, message(error)));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }
}

function shownPlan(plan: Plan & { limits: { bytes: number; core_hours: number } }): HTMLElement[] {
  const rows = {
    Tasks: count(plan.tasks),
    "Size of the store": `${bytes(plan.bytes)}, of at most ${bytes(plan.limits.bytes)}`,
    "Core hours, at most": `${short(plan.core_hours)}, of at most ${short(plan.limits.core_hours)}`,
    "Memory of a task": bytes(plan.task_bytes),
    Files: count(plan.files),
  };
  return [element("h3", {}, `Plan of ${plan.name}`), listed(rows, "values"), listed(plan.facts, "words")];
}

function listed(rows: Record<string, string>, kind: string): HTMLElement {
  const entry = ([name, text]: [string, string]) => element("div", {}, element("dt", {}, name), element("dd", {}, text));
  return element("dl", { class: kind }, ...Object.entries(rows).map(entry));
}

function start(): void {
  const field = byId<HTMLInputElement>("token");
  const status = byId("status");
  let list: JobList | null = null;

  const open = async (token: string) => {
    const desk = new Desk(token);
    list?.clear();
    list = new JobList(desk, byId("jobs"), byId<HTMLButtonElement>("more"), (text) => (byId("progress").textContent = text));
    try {
      await new Counter(desk, list).open();
      sessionStorage.setItem(KEPT, token);
      [status.textContent, field.value] = ["", ""];
      show(true);
    } catch (error) {
      const isUnknown = error instanceof ServiceError && error.status === 401;
      status.textContent = isUnknown ? UNKNOWN : message(error);
      if (isUnknown) sessionStorage.removeItem(KEPT);
      show(false);
    }
  };
  const show = (isOpen: boolean) => {
    byId("desk").hidden = !isOpen;
    byId("forget").hidden = !isOpen;
  };

  byId("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = field.value.trim();
    if (/^[!-~]+$/.test(token)) void open(token);
    else if (token) status.textContent = UNKNOWN; // no header holds it
  });
  byId("forget").addEventListener("click", () => {
    sessionStorage.removeItem(KEPT);
    list?.clear();
    show(false);
  });
  const kept = sessionStorage.getItem(KEPT);
  if (kept) void open(kept);
}

start();
