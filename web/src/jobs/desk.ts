// What the service answers about jobs. The token is sent as a header, and never is part of an address.

import { ask, askJson } from "../common/api";
import { type Event, follow } from "./events";

export interface Plan {
  name: string;
  title: string;
  kind: string;
  bundle: string;
  items: number;
  tasks: number;
  files: number;
  bytes: number;
  task_bytes: number;
  core_hours: number;
  facts: Record<string, string>;
}

export interface Job {
  id: string;
  state: string;
  cancelling: boolean;
  ahead: number | null;
  done: number;
  total: number;
  used_core_hours: number;
  message: string;
  plan: Plan;
  page: string | null;
}

export interface Templates {
  templates: { name: string; title: string; yaml: string }[];
  bundles: string[];
}

const JOBS = "/api/jobs";
const PAGE = 20;

export class Desk {
  constructor(private readonly token: string) {}

  templates(): Promise<Templates> {
    return askJson(`${JOBS}/templates`, this.options());
  }

  plan(recipe: string): Promise<Plan & { limits: { bytes: number; core_hours: number } }> {
    return askJson(`${JOBS}/plan`, this.sending(recipe));
  }

  submit(recipe: string): Promise<Job> {
    return askJson(JOBS, this.sending(recipe));
  }

  jobs(before: number | null): Promise<{ next: number | null; jobs: Job[] }> {
    return askJson(`${JOBS}?limit=${PAGE}${before === null ? "" : `&before=${before}`}`, this.options());
  }

  job(id: string): Promise<Job> {
    return askJson(`${JOBS}/${id}`, this.options());
  }

  async cancel(id: string): Promise<Job> {
    return (await ask(`${JOBS}/${id}`, { ...this.options(), method: "DELETE" })).json();
  }

  events(id: string, signal: AbortSignal, seen: (event: Event) => void): Promise<void> {
    return follow(`${JOBS}/${id}/events`, { ...this.options(), signal }, seen);
  }

  private options(): RequestInit {
    return { headers: { Authorization: `Bearer ${this.token}` }, cache: "no-store" };
  }

  private sending(recipe: string): RequestInit {
    const headers = { Authorization: `Bearer ${this.token}`, "Content-Type": "application/yaml" };
    return { method: "POST", headers, body: recipe };
  }
}
