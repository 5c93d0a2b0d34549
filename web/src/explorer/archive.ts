// The files of the items that are shown, in one zip file, as long as they are few.

import { askJson } from "../common/api";
import { byId, element } from "../common/dom";
import { awaitFile } from "../common/files";

const MOST = 100; // items, of which the service makes a zip file

interface Format {
  name: string;
  what: string;
}

export class Archive {
  private readonly select = byId<HTMLSelectElement>("archive-format");
  private condition = "";
  private found = 0;

  constructor(private readonly api: string) {
    this.select.addEventListener("change", () => this.update());
    awaitFile(byId<HTMLAnchorElement>("archive-link"), byId("archive-note"));
  }

  /** Offers the formats of the first item, which are those of all. */
  async offer(): Promise<void> {
    const { formats } = await askJson<{ formats: Format[] }>(`${this.api}/items/0`);
    this.select.append(...formats.map(({ name, what }) => element("option", { value: name }, `${name}: ${what}`)));
    byId("archive").hidden = formats.length === 0;
    this.update();
  }

  show(condition: string, found: number): void {
    [this.condition, this.found] = [condition, found];
    this.update();
  }

  private update(): void {
    const isPossible = this.found > 0 && this.found <= MOST;
    const query = new URLSearchParams({ where: this.condition, format: `${this.select.value}-zip` });
    const link = byId<HTMLAnchorElement>("archive-link");
    link.hidden = !isPossible;
    link.href = `${this.api}/exports?${query}`;
    byId("archive-note").textContent = this.found > MOST ? `For at most ${MOST} items: choose fewer.` : "";
  }
}
