// The list of jobs with their progress.

import { message } from "../common/api";
import { element } from "../common/dom";
import { count, short } from "../common/numbers";
import type { Event } from "./events";
import type { Desk, Job } from "./desk";

const POLL_MS = 2000;
const STREAMS = 3; // at a time; a browser opens few connections to one service
const ENDED = new Set(["done", "failed", "cancelled"]);

export class JobList {
  private readonly shown = new Map<string, JobCard>();
  private streams = 0;
  private next: number | null = null;
  private isAway = false; // as the last thing said tells
  private readonly end = new AbortController(); // of the streams: they would keep all connections of the browser

  constructor(
    private readonly desk: Desk,
    private readonly root: HTMLElement,
    private readonly more: HTMLButtonElement,
    private readonly said: (text: string) => void,
  ) {
    more.onclick = () => void this.load(this.next).catch((error: unknown) => this.say(message(error)));
  }

  /** Lists the newest jobs, or those before a number. */
  async load(before: number | null = null): Promise<void> {
    const page = await this.desk.jobs(before);
    if (this.end.signal.aborted) return; // another token has been entered meanwhile
    for (const job of page.jobs) this.add(job, false);
    this.next = page.next;
    this.more.hidden = page.next === null;
    if (!this.shown.size) this.say("No jobs yet.");
  }

  add(job: Job, isNew: boolean): void {
    const known = this.shown.get(job.id);
    if (known) return known.show(job);
    const card = new JobCard(job, () => void this.cancel(job.id));
    this.shown.set(job.id, card);
    if (isNew) {
      this.root.prepend(card.root);
      this.say("");
    } else this.root.append(card.root);
    if (!ENDED.has(job.state)) void this.watch(card);
  }

  clear(): void {
    this.end.abort();
    for (const card of this.shown.values()) card.isGone = true;
    this.shown.clear();
    this.root.replaceChildren();
    this.say("");
  }

  private say(text: string): void {
    this.isAway = false;
    this.said(text);
  }

  private answered(): void {
    if (this.isAway) this.say("");
  }

  /** Shows the progress of a job until it ends: by its events, or else by asking. */
  private async watch(card: JobCard): Promise<void> {
    while (!card.isGone && !ENDED.has(card.job.state)) {
      if (this.streams < STREAMS) {
        this.streams++;
        try {
          await this.desk.events(card.job.id, this.end.signal, (event) => {
            card.step(event);
            this.answered();
            if (event.event === "state") void this.look(card);
          });
        } catch {
          // the stream broke, or the service has no place for another: asking works as well
        } finally {
          this.streams--;
        }
      }
      await this.look(card);
      if (!ENDED.has(card.job.state)) await new Promise((resolve) => window.setTimeout(resolve, POLL_MS));
    }
  }

  private async look(card: JobCard): Promise<void> {
    if (card.isGone) return;
    try {
      const before = card.job.state;
      card.show(await this.desk.job(card.job.id));
      if (card.job.state !== before) this.say(`${card.job.plan.name}: ${card.job.state}`);
      else this.answered();
    } catch (error) {
      this.say(message(error)); // the service is away; it may come back
      this.isAway = true;
    }
  }

  private async cancel(id: string): Promise<void> {
    const card = this.shown.get(id);
    try {
      card?.show(await this.desk.cancel(id));
    } catch (error) {
      this.say(message(error));
    }
  }
}

class JobCard {
  readonly root: HTMLElement;
  isGone = false;
  private readonly state = element("span", { class: "state" });
  private readonly bar = element("progress", { max: 1, value: 0 });
  private readonly line = element("p", { class: "note" });
  private readonly end = element("button", { type: "button" }, "Cancel");
  private readonly link = element("p");

  constructor(
    public job: Job,
    cancel: () => void,
  ) {
    const { name, title } = job.plan;
    this.end.setAttribute("aria-label", `Cancel ${name}`);
    this.bar.setAttribute("aria-label", `Progress of ${name}`);
    this.end.addEventListener("click", cancel);
    const heading = element("h3", {}, name, this.state);
    this.root = element("li", {}, heading, element("p", { class: "note" }, title), this.bar, this.line, this.link, this.end);
    this.root.dataset.job = job.id;
    this.show(job);
  }

  show(job: Job): void {
    this.job = job;
    this.root.dataset.state = job.state;
    this.state.textContent = job.cancelling ? "cancelling" : job.state;
    const isEnded = ENDED.has(job.state);
    this.end.hidden = isEnded;
    this.end.disabled = job.cancelling;
    this.bar.hidden = isEnded;
    this.advance(job.done, job.total);
    const facts = [];
    if (job.state === "queued" && job.ahead !== null) facts.push(job.ahead ? `${job.ahead} jobs before it` : "next");
    if (job.total) facts.push(`${count(job.done)} of ${count(job.total)} tasks`);
    if (isEnded) facts.push(`${short(job.used_core_hours)} core hours`);
    if (job.message) facts.push(job.message);
    this.line.textContent = facts.join(", ");
    this.link.replaceChildren();
    if (job.page) this.link.append(element("a", { href: job.page }, "Look at the dataset"));
  }

  /** Shows an event of the job's progress. */
  step(event: Event): void {
    const { done, total, eta } = event;
    if (typeof done !== "number" || typeof total !== "number") return;
    this.advance(done, total);
    const left = typeof eta === "number" && done < total ? `, about ${duration(eta)} left` : "";
    this.line.textContent = `${count(done)} of ${count(total)} tasks${left}`;
  }

  private advance(done: number, total: number): void {
    this.bar.max = Math.max(1, total);
    this.bar.value = done;
  }
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
