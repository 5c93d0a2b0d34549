// One histogram with its brush: drawn with the pointer, or set by two sliders.

import { element } from "../common/dom";
import { quantity, short, unitText } from "../common/numbers";
import type { Column } from "./condition";
import type { Brush } from "./crossfilter";

const HEIGHT = 84; // CSS pixels
const EDGE = 6; // CSS pixels from an end of the brush within which a drag moves that end

export class Histogram {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly readout: HTMLElement;
  private readonly low: HTMLInputElement;
  private readonly high: HTMLInputElement;
  private readonly clear: HTMLButtonElement;
  private all = new Uint32Array();
  private selected = new Uint32Array();
  private brush: Brush | null = null;

  constructor(
    readonly column: Column,
    private readonly changed: (brush: Brush | null) => void,
  ) {
    const id = `column-${column.name.replace(/\W/g, "-")}`;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.readout = element("p", { class: "range", id: `${id}-range` });
    this.low = this.slider(`${column.title}, from`);
    this.high = this.slider(`${column.title}, to`);
    this.clear = element("button", { type: "button", class: "quiet", hidden: true }, "Clear");
    this.clear.setAttribute("aria-label", `Clear the range of ${column.title}`);
    this.clear.addEventListener("click", () => this.change(null));
    const unit = unitText(column.unit) && ` / ${unitText(column.unit)}`;
    this.root = element(
      "section",
      { class: "histogram", "aria-labelledby": id },
      element("h3", { id }, column.title, element("span", { class: "unit" }, unit), this.clear),
      this.canvas,
      element("div", { class: "sliders" }, this.low, this.high),
      this.readout,
    );
    this.followPointer();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Shows counts of all rows and of the selected ones. */
  show(all: Uint32Array, selected: Uint32Array, brush: Brush | null): void {
    [this.all, this.selected, this.brush] = [all as Uint32Array<ArrayBuffer>, selected as Uint32Array<ArrayBuffer>, brush];
    const { low, high } = brush ?? { low: 0, high: this.bins };
    this.low.value = String(low);
    this.high.value = String(high);
    for (const slider of [this.low, this.high]) {
      slider.setAttribute("aria-valuetext", quantity(this.column.edges[Number(slider.value)], this.column.unit));
    }
    const missing = this.column.missing && !brush ? `, ${this.column.missing} without a value` : "";
    const isEmpty = !this.all.subarray(0, this.bins).some(Boolean);
    const range = `${short(this.column.edges[low])} to ${short(this.column.edges[high])}${missing}`;
    this.readout.textContent = isEmpty ? "No item has a value." : range;
    this.clear.hidden = !brush;
    this.root.classList.toggle("is-brushed", Boolean(brush));
    this.draw();
  }

  set disabled(value: boolean) {
    for (const control of [this.low, this.high]) control.disabled = value;
  }

  private get bins(): number {
    return this.column.edges.length - 1;
  }

  private slider(label: string): HTMLInputElement {
    const made = element("input", { type: "range", min: 0, max: this.bins, step: 1, "aria-label": label });
    made.addEventListener("input", () => {
      const [low, high] = [Number(this.low.value), Number(this.high.value)];
      if (made === this.low) this.change({ low: Math.min(low, high - 1), high });
      else this.change({ low, high: Math.max(high, low + 1) });
    });
    return made;
  }

  private change(brush: Brush | null): void {
    const isAll = brush && brush.low <= 0 && brush.high >= this.bins;
    this.changed(isAll ? null : brush);
  }

  private followPointer(): void {
    let fixed = 0; // the end of the brush that stays, in bins from the left
    let moved: { from: number; brush: Brush } | null = null;
    const place = (event: PointerEvent) => {
      const box = this.canvas.getBoundingClientRect();
      return (this.bins * Math.min(Math.max(event.clientX - box.left, 0), box.width)) / box.width;
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (this.low.disabled || event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      const at = place(event);
      const near = (EDGE * this.bins) / this.canvas.clientWidth;
      const brush = this.brush;
      moved = null;
      if (brush && Math.abs(at - brush.low) < near) fixed = brush.high;
      else if (brush && Math.abs(at - brush.high) < near) fixed = brush.low;
      else if (brush && at > brush.low && at < brush.high) moved = { from: at, brush };
      else fixed = at;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.canvas.hasPointerCapture(event.pointerId)) return;
      const at = place(event);
      if (moved) {
        const { brush, from } = moved;
        const step = Math.round(Math.min(Math.max(at - from, -brush.low), this.bins - brush.high));
        this.change({ low: brush.low + step, high: brush.high + step });
      } else if (Math.abs(at - fixed) > 0.2) {
        this.change({ low: Math.floor(Math.min(at, fixed)), high: Math.ceil(Math.max(at, fixed)) });
      }
    });
    this.canvas.addEventListener("dblclick", () => this.change(null));
  }

  private draw(): void {
    const { canvas, bins } = this;
    const width = canvas.clientWidth;
    if (!width || !this.all.length) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
    const pen = canvas.getContext("2d");
    if (!pen) return;
    const style = getComputedStyle(canvas);
    const colour = (name: string) => style.getPropertyValue(name);
    pen.scale(ratio, ratio);
    const step = width / bins;
    const top = Math.max(1, ...this.all.subarray(0, bins));
    if (this.brush) {
      pen.fillStyle = colour("--brush");
      pen.fillRect(this.brush.low * step, 0, (this.brush.high - this.brush.low) * step, HEIGHT);
    }
    const bars = (counts: Uint32Array, fill: string, { low, high }: Brush) => {
      pen.fillStyle = fill;
      for (let bin = low; bin < high; bin++) {
        if (!counts[bin]) continue;
        const height = Math.max(1, ((HEIGHT - 4) * counts[bin]) / top); // one item of a million still shows
        pen.fillRect(bin * step, HEIGHT - height, Math.max(step - 0.5, 0.5), height);
      }
    };
    const whole = { low: 0, high: bins };
    bars(this.all, colour("--bar-all"), whole);
    bars(this.selected, colour("--bar"), this.brush ?? whole);
    if (this.brush) {
      pen.fillStyle = colour("--accent");
      for (const end of [this.brush.low, this.brush.high]) {
        pen.fillRect(Math.min(Math.max(end * step - 1, 0), width - 2), 0, 2, HEIGHT);
      }
    }
  }
}
