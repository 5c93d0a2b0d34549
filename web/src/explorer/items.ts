// The list of matching items, a page at a time, each with a picture of its section.

import { ask, askJson, message } from "../common/api";
import { element } from "../common/dom";
import { count, quantity } from "../common/numbers";

export interface ItemsPage {
  total: number;
  count: number;
  next: number | null;
  units: Record<string, string>;
  items: Record<string, number | null>[];
}

export interface Places {
  api: string;
  page: string;
  total: number;
  virtual: boolean;
  pictures: boolean;
}

const PAGE = 24;
const PAGE_OF_COMPUTED = 6; // each picture of a virtual item is computed when it is asked for

export class Items {
  private condition = "";
  private columns: string[] = [];
  private titles = new Map<string, string>();
  private after: number | null = null;
  private asked = 0;

  constructor(
    private readonly places: Places,
    private readonly list: HTMLElement,
    private readonly more: HTMLButtonElement,
    private readonly status: HTMLElement,
    private readonly counted: (found: number | null, condition: string) => void, // null: not known
  ) {
    more.addEventListener("click", () => void this.load(++this.asked, false));
  }

  /** Lists the items for which a condition holds, with the values of some columns. */
  show(condition: string, columns: string[], titles: Map<string, string>): void {
    [this.condition, this.columns, this.titles, this.after] = [condition, columns, titles, null];
    void this.load(++this.asked, true);
  }

  private async load(asked: number, anew: boolean): Promise<void> {
    this.more.disabled = true;
    try {
      const page = this.places.virtual ? this.computed() : await this.queried();
      if (asked !== this.asked) return; // a later condition is on its way
      if (anew) this.list.replaceChildren();
      this.list.append(...page.items.map((item) => this.card(item, page.units)));
      this.after = page.next;
      this.more.hidden = page.next === null;
      this.status.textContent = page.count ? "" : "No item matches.";
      this.counted(page.count, this.condition);
    } catch (error) {
      if (asked !== this.asked) return;
      this.status.textContent = message(error);
      if (anew) this.forget();
    } finally {
      if (asked === this.asked) this.more.disabled = false;
    }
  }

  /** Takes away what was listed for another condition. */
  private forget(): void {
    this.list.replaceChildren();
    this.more.hidden = true;
    this.counted(null, this.condition);
  }

  private queried(): Promise<ItemsPage> {
    const query = new URLSearchParams({ where: this.condition, limit: String(PAGE), columns: this.columns.join(",") });
    if (this.after !== null) query.set("after", String(this.after));
    return askJson<ItemsPage>(`${this.places.api}/items?${query}`);
  }

  /** A virtual release cannot be queried: all of its items, by number. */
  private computed(): ItemsPage {
    const { total } = this.places;
    const first = this.after === null ? 0 : this.after + 1;
    const items = Array.from({ length: Math.min(PAGE_OF_COMPUTED, total - first) }, (_, k) => ({ sample: first + k }));
    const last = first + items.length - 1;
    return { total, count: total, next: last + 1 < total ? last : null, units: {}, items };
  }

  private card(item: Record<string, number | null>, units: Record<string, string>): HTMLElement {
    const number = item.sample ?? 0;
    const values = this.columns
      .filter((name) => name !== "sample")
      .slice(0, 3)
      .map((name) => {
        const text = quantity(item[name], units[name] ?? "");
        return element("div", {}, element("dt", {}, this.titles.get(name) ?? name), element("dd", {}, text));
      });
    const link = element("a", { href: `${this.places.page}/i/${number}` }, element("span", {}, `Item ${count(number)}`));
    if (this.places.pictures) link.prepend(this.picture(number));
    return element("li", {}, link, element("dl", {}, ...values));
  }

  private picture(number: number): HTMLImageElement {
    const made = element("img", { alt: "", width: 128, height: 128, loading: "lazy", decoding: "async" });
    made.addEventListener("error", () => void retried(made), { once: true });
    made.src = `${this.places.api}/items/${number}/section.png?size=128`;
    return made;
  }
}

/** Shows a picture that the service was too busy to send, once it is not. */
async function retried(picture: HTMLImageElement): Promise<void> {
  const address = picture.src;
  try {
    await ask(address);
    picture.src = `${address}&`; // the same picture under an address that the browser has not given up
  } catch {
    picture.classList.add("is-missing");
  }
}
