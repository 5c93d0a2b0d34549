// The page of a release: histograms that filter each other, the items that are left, and the code that opens them.

import { ask, askJson, message } from "../common/api";
import { makeCopyButtons } from "../common/copy";
import { byId, debounced, element, makeTabs, pageData } from "../common/dom";
import { count } from "../common/numbers";
import { Archive } from "./archive";
import { nmcdistCode, type Opening, xarrayCode } from "./code";
import { brushesOf, type Column, conditionOf } from "./condition";
import { type Brush, Crossfilter } from "./crossfilter";
import { Histogram } from "./histogram";
import { Items, type Places } from "./items";

const [FEWEST_BINS, MOST_BINS] = [12, 64];
const SHOWN = 6; // columns at first
const PAUSE_MS = 250; // of the brush, before the service is asked

interface Columns {
  total: number;
  rows: number;
  columns: Column[];
  further: number; // columns that are not among these
}

interface Page extends Places {
  opening: Opening;
}

class Explorer {
  private readonly columns: Map<string, Column>;
  private readonly filter: Crossfilter;
  private readonly shown = new Map<string, Histogram>();
  private readonly all = new Map<string, Uint32Array>();
  private brushes = new Map<string, Brush>();
  private written: string | null = null; // a condition that brushes cannot show
  private frame = 0;
  private readonly ask = debounced(PAUSE_MS, () => this.askService());

  constructor(
    private readonly page: Page,
    private readonly known: Columns,
    private readonly items: Items,
  ) {
    this.columns = new Map(known.columns.map((column) => [column.name, column]));
    this.filter = new Crossfilter(known.rows);
  }

  async start(): Promise<void> {
    const asked = new URLSearchParams(location.search);
    const listed = asked.get("columns")?.split(",").filter((name) => this.columns.has(name));
    this.read(asked.get("where") ?? "");
    const first = listed?.length ? listed : [...this.columns.keys()].slice(0, SHOWN);
    this.offerColumns(new Set([...first, ...this.brushes.keys()]));
    this.takeCondition();
    byId("reset").addEventListener("click", () => void this.use("").catch(report));
    await this.choose([...first, ...this.brushes.keys()]);
    this.askService();
  }

  private get condition(): string {
    return this.written ?? conditionOf(this.brushes, this.columns);
  }

  /** Sets the condition, as brushes if they can show it. */
  private read(condition: string): void {
    const brushes = brushesOf(condition, this.columns);
    this.brushes = brushes ?? new Map();
    this.written = brushes ? null : condition;
  }

  private async use(condition: string): Promise<void> {
    this.read(condition);
    await this.choose([...this.shown.keys(), ...this.brushes.keys()]);
    for (const name of this.shown.keys()) this.filter.set(name, this.brushes.get(name) ?? null);
    this.update(true);
  }

  /** Shows the histograms of columns, whose bins are fetched first if they are not yet here. */
  private async choose(names: string[]): Promise<void> {
    const missing = names.filter((name) => !this.filter.has(name));
    if (missing.length) await this.fetch([...new Set(missing)]);
    const root = byId("histograms");
    for (const name of names) {
      const column = this.columns.get(name);
      if (!column || this.shown.has(name)) continue;
      const histogram = new Histogram(column, (brush) => this.brush(name, brush));
      this.shown.set(name, histogram);
      this.filter.set(name, this.brushes.get(name) ?? null);
      root.append(histogram.root);
      const box = document.querySelector<HTMLInputElement>(`input[name=column][value="${name}"]`);
      if (box) box.checked = true;
    }
    this.update(false);
  }

  private async fetch(names: string[]): Promise<void> {
    const query = new URLSearchParams({ columns: names.join(","), bins: String(binsFor(this.page.total)) });
    const bins = new Uint8Array(await (await ask(`${this.page.api}/bins?${query}`)).arrayBuffer());
    const { rows } = this.known;
    names.forEach((name, place) => {
      if (this.filter.has(name)) return; // asked for twice
      this.filter.add(name, bins.subarray(place * rows, (place + 1) * rows));
      const counts = new Uint32Array(256);
      for (let row = place * rows; row < (place + 1) * rows; row++) counts[bins[row]]++;
      this.all.set(name, counts);
    });
  }

  private brush(name: string, brush: Brush | null): void {
    if (this.written !== null) return;
    if (brush) this.brushes.set(name, brush);
    else this.brushes.delete(name);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      performance.mark("brush-start");
      this.filter.set(name, this.brushes.get(name) ?? null);
      this.update(true);
      performance.measure("brush", "brush-start"); // which the browser's profiler shows, and a test limits
    });
  }

  /** Shows the histograms, the count and the code; the service is asked once the brush has paused. */
  private update(isNew: boolean): void {
    for (const [name, histogram] of this.shown) {
      histogram.disabled = this.written !== null;
      const counts = this.written === null ? this.filter.counts(name) : (this.all.get(name) ?? new Uint32Array(256));
      histogram.show(this.all.get(name) ?? counts, counts, this.brushes.get(name) ?? null);
    }
    if (this.written === null) this.showCount(this.filter.selected(), this.known.rows);
    this.showCondition();
    if (isNew) this.ask();
  }

  private showCount(selected: number, of: number): void {
    byId("count").textContent = `${count(selected)} of ${count(of)} ${of < this.known.total ? "sampled items" : "items"}`;
  }

  private showCondition(): void {
    const { condition } = this;
    const field = byId<HTMLInputElement>("where");
    if (document.activeElement !== field) field.value = condition;
    byId("by-hand").hidden = this.written === null || !this.columns.size;
    byId("reset").hidden = !condition;
    byId("code-xarray").textContent = xarrayCode(condition, this.page.opening);
    byId("code-nmcdist").textContent = nmcdistCode(condition, this.page.opening);
    for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-table]")) {
      link.href = `${this.page.api}/exports?${new URLSearchParams({ where: condition, format: link.dataset.table ?? "" })}`;
    }
  }

  private askService(): void {
    const { condition } = this;
    const address = new URL(location.href);
    if (condition) address.searchParams.set("where", condition);
    else address.searchParams.delete("where");
    const names = [...this.shown.keys()];
    const isFirst = names.every((name, place) => name === this.known.columns[place]?.name) && names.length === Math.min(SHOWN, this.known.columns.length);
    if (isFirst) address.searchParams.delete("columns");
    else address.searchParams.set("columns", names.join(","));
    if (address.href !== location.href) history.replaceState(null, "", address);
    const asked = [...this.brushes.keys(), ...names.filter((name) => !this.brushes.has(name))].slice(0, 3);
    this.items.show(condition, asked, new Map([...this.columns].map(([name, column]) => [name, shortTitle(column)])));
  }

  private takeCondition(): void {
    const form = byId<HTMLFormElement>("condition");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.use(byId<HTMLInputElement>("where").value).catch(report);
    });
  }

  private offerColumns(first: Set<string>): void {
    const boxes = this.known.columns.map((column) => {
      const box = element("input", { type: "checkbox", name: "column", value: column.name, checked: first.has(column.name) });
      box.addEventListener("change", () => {
        if (box.checked) void this.pick(column.name, box);
        else this.drop(column.name);
      });
      return element("label", {}, box, ` ${column.title}`);
    });
    byId("columns").append(...boxes);
    const { further } = this.known;
    const note = `${further} further columns have no histogram. A condition takes them by their names, as in the table (CSV).`;
    if (further) byId("columns").after(element("p", { class: "note" }, note));
    byId("choose").hidden = boxes.length === 0;
  }

  private async pick(name: string, box: HTMLInputElement): Promise<void> {
    try {
      if (!this.filter.has(name)) await this.fetch([name]);
      if (!box.checked) return; // taken back meanwhile
      await this.choose([name]);
      this.ask();
    } catch (error) {
      box.checked = false;
      report(error);
    }
  }

  private drop(name: string): void {
    if (!this.shown.has(name)) return; // its bins are on their way
    this.shown.get(name)?.root.remove();
    this.shown.delete(name);
    this.brushes.delete(name);
    this.filter.set(name, null);
    this.update(true);
  }
}

/** Returns the title of a column without its explanation; where labels follow the colon, they stay. */
function shortTitle({ name, title }: Column): string {
  return name.includes(".") ? title : title.split(": ")[0];
}

/** Returns how many bins suit so many items. */
function binsFor(total: number): number {
  return Math.round(Math.min(Math.max(2 * Math.sqrt(total), FEWEST_BINS), MOST_BINS));
}

function report(error: unknown): void {
  byId("status").textContent = message(error);
}

async function start(): Promise<void> {
  makeCopyButtons(document);
  document.querySelectorAll<HTMLElement>("[role=tablist]").forEach(makeTabs);
  const page = pageData<Page>("page");
  const archive = page.virtual ? null : new Archive(page.api);
  const showFound = (found: number | null, condition: string) => {
    if (page.virtual) return;
    byId("count").textContent = `${found === null ? "?" : count(found)} of ${count(page.total)} items`;
    archive?.show(condition, found ?? 0);
  };
  archive?.offer().catch(report);
  const items = new Items(page, byId("items"), byId<HTMLButtonElement>("more"), byId("status"), showFound);
  if (!page.virtual) {
    const known = await askJson<Columns>(`${page.api}/columns?bins=${binsFor(page.total)}`);
    byId("how").hidden = !known.columns.length; // a condition still chooses by the number of an item
    await new Explorer(page, known, items).start();
  } else {
    byId("code-xarray").textContent = xarrayCode("", page.opening);
    byId("code-nmcdist").textContent = nmcdistCode("", page.opening);
    items.show("", [], new Map());
  }
}

start().catch(report);
