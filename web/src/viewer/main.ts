// The page of an item: its sections, and a view of it in space.

import { askJson, message } from "../common/api";
import { makeCopyButtons } from "../common/copy";
import { byId, element, makeTabs, pageData } from "../common/dom";
import { awaitFile } from "../common/files";
import { length, quantity, short } from "../common/numbers";
import { type Brick, fetchBrick, largest } from "./brick";
import { type Scale, shareColour } from "./colours";
import { type Colouring, type Item, Labels } from "./item";
import { ALONG, Orbit, START } from "./orbit";
import { barOf, pictureOf, showAxes, showBar } from "./overlay";
import { Painter } from "./painter";
import { View } from "./scene";
import { makeSections } from "./sections";

interface Page {
  api: string; // of the item
  name: string; // for files
  titles: Record<string, string>; // of values
}

const AXES = ["x", "y", "z"] as const;
const STEPS = 1000; // of the slider that moves the cut
const LOST = "The browser has taken the graphics away. The view comes back with them, or when you load the page again.";
const COLOURINGS: Record<Colouring, string> = {
  grain: "Grain",
  radius: "Angle to the radius",
  size: "Size of the grain",
  phase: "Phase",
};

class Viewer {
  private readonly view = new View();
  private readonly stage = byId("stage");
  private readonly canvas = byId<HTMLCanvasElement>("view");
  private readonly painter: Painter;
  private readonly orbit: Orbit;
  private most = 0; // largest label

  constructor(
    private readonly page: Page,
    private readonly labels: Labels,
    private readonly colouringChanged: () => void,
  ) {
    this.painter = new Painter(this.canvas, this.view, (isFine) => this.drawn(isFine));
    this.canvas.addEventListener("webglcontextlost", () => {
      this.stage.dataset.state = "lost";
      byId("status").textContent = LOST;
    });
    this.canvas.addEventListener("webglcontextrestored", () => (byId("status").textContent = ""));
    this.orbit = new Orbit(
      this.view.camera,
      this.canvas,
      (isMoving) => this.redraw(isMoving),
      (x, y) => void this.read(x, y),
    );
    const [z, y, x] = labels.item.extent_nm ?? [1, 1, 1];
    this.orbit.radius = Math.hypot(x, y, z) / 2 / (labels.item.kind === "particle" ? 1.6 : 1.02);
  }

  async start(): Promise<void> {
    const { bricks } = this.labels.item;
    const [coarse] = await Promise.all([fetchBrick(this.page.api, bricks[0].edge), this.labels.load()]);
    this.canvas.hidden = false;
    byId("first").hidden = true;
    for (const part of ["bar", "axes", "controls"]) byId(part).removeAttribute("hidden"); // drawings have no property for it
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.resize();
    this.orbit.look(START);
    this.takeControls();
    this.show(coarse);
    this.showLegend();
    if (bricks.length > 1) this.show(await fetchBrick(this.page.api, bricks[bricks.length - 1].edge));
  }

  private show(brick: Brick): void {
    this.most = largest(brick);
    this.stage.dataset.voxel = String(brick.voxelNm);
    this.view.show(brick, this.palette, this.isSmooth);
    this.moveCut();
    byId("voxel").textContent = `Voxels of ${length(brick.voxelNm)}`;
  }

  private get palette() {
    return this.labels.palette(this.most);
  }

  private get isSmooth(): boolean {
    return this.labels.item.kind === "particle";
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.painter.resize(clientWidth, clientHeight, Math.min(window.devicePixelRatio || 1, 2));
    this.orbit.fit();
  }

  private redraw(isMoving: boolean): void {
    this.stage.dataset.state = "moving";
    if (!this.view.isEmpty) this.painter.changed(isMoving);
    showAxes(byId("axes"), this.view.camera);
    showBar(byId("bar"), barOf(this.view.camera, this.canvas.clientWidth || 1));
  }

  private drawn(isFine: boolean): void {
    this.stage.dataset.state = isFine ? "fine" : "coarse";
    performance.mark(isFine ? "fine-3d" : "first-3d");
  }

  private takeControls(): void {
    for (const id of ["cut", "cut-at", "cut-flip", "cut-x", "cut-y", "cut-z"]) {
      byId(id).addEventListener("input", () => this.moveCut(true));
    }
    byId("borders").addEventListener("change", (event) => {
      this.view.borders = (event.target as HTMLInputElement).checked;
      this.redraw(false);
    });
    for (const name of AXES) byId(`along-${name}`).addEventListener("click", () => this.orbit.look(ALONG[name]));
    byId("along-start").addEventListener("click", () => this.orbit.look(START));
    byId("save").addEventListener("click", () => void this.save());
    const select = byId<HTMLSelectElement>("colouring");
    select.append(...this.labels.item.colourings.map((name) => element("option", { value: name }, COLOURINGS[name])));
    select.addEventListener("change", () => {
      this.labels.colouring = select.value as Colouring;
      this.view.paint(this.palette);
      this.showLegend();
      this.redraw(false);
      this.colouringChanged();
    });
  }

  private moveCut(isMoving = false): void {
    const axis = AXES.findIndex((name) => byId<HTMLInputElement>(`cut-${name}`).checked) as 0 | 1 | 2;
    const slider = byId<HTMLInputElement>("cut-at");
    const at = Number(slider.value) / STEPS;
    const text = length(at * this.view.extentNm.getComponent(axis));
    byId("cut-length").textContent = text;
    slider.setAttribute("aria-valuetext", `${AXES[axis]} = ${text}`);
    const isFlipped = byId<HTMLInputElement>("cut-flip").checked !== (axis !== 1); // the open side faces the viewer
    this.view.setCut(byId<HTMLInputElement>("cut").checked ? { axis, at, isFlipped } : null);
    this.redraw(isMoving);
  }

  private showLegend(): void {
    const root = byId("legend");
    const scale = this.labels.scale();
    const { phases } = this.labels.item;
    if (phases) root.replaceChildren(...Object.entries(phases).map(([label, phase]) => this.phaseBox(Number(label), phase)));
    else if (scale) root.replaceChildren(scaleBar(scale), element("p", {}, `${scale.title}: ${short(scale.low)} to ${short(scale.high)} ${scale.unit}`));
    else root.replaceChildren(element("p", { class: "note" }, "A colour tells a grain from its neighbours; it has no other meaning."));
  }

  private phaseBox(label: number, { name, colour }: { name: string; colour: string }): HTMLElement {
    const box = element("input", { type: "checkbox", checked: !this.labels.hidden.has(label) });
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colour;
    box.addEventListener("change", () => {
      if (box.checked) this.labels.hidden.delete(label);
      else this.labels.hidden.add(label);
      this.view.reshape(this.palette, this.isSmooth);
      this.view.paint(this.palette);
      this.redraw(false);
    });
    return element("label", { class: "phase" }, box, swatch, name.replaceAll("_", " "));
  }

  private async read(x: number, y: number): Promise<void> {
    if (this.view.isEmpty) return;
    const label = this.painter.labelAt(x, y);
    byId("reading").textContent = label === null ? "Nothing there." : this.labels.reading(label);
  }

  private async save(): Promise<void> {
    this.painter.finish();
    const picture = pictureOf(this.canvas, barOf(this.view.camera, this.canvas.clientWidth));
    const blob = await new Promise<Blob | null>((resolve) => picture.toBlob(resolve));
    if (!blob) return;
    const address = URL.createObjectURL(blob);
    element("a", { href: address, download: `${this.page.name}.png` }).click();
    window.setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

function scaleBar({ colours }: Scale): HTMLElement {
  const bar = element("canvas", { class: "colours", width: 256, height: 1, "aria-hidden": "true" });
  const pen = bar.getContext("2d");
  for (let x = 0; pen && x < 256; x++) {
    pen.fillStyle = `rgb(${shareColour(x / 255, colours).join(" ")})`;
    pen.fillRect(x, 0, 1, 1);
  }
  return bar;
}

function showValues({ values, units }: Item, titles: Record<string, string>): void {
  const rows = Object.entries(values).map(([name, value]) => {
    const text = quantity(value, units[name] ?? "");
    return element("div", {}, element("dt", {}, titles[name] ?? name), element("dd", {}, text));
  });
  byId("values").replaceChildren(...rows);
  byId("values-title").hidden = !rows.length;
}

function showFiles(api: string, { formats }: Item): void {
  const said = element("p", { class: "note", role: "status" });
  const links = formats.map(({ name, what }) => {
    const link = element("a", { href: `${api}/exports/${encodeURIComponent(name)}`, download: true }, name);
    awaitFile(link, said);
    return element("li", {}, link, element("span", { class: "note" }, ` ${what}`));
  });
  byId("files").prepend(...links);
  byId("files").after(said);
}

async function start(): Promise<void> {
  makeCopyButtons(document);
  document.querySelectorAll<HTMLElement>("[role=tablist]").forEach(makeTabs);
  const page = pageData<Page>("page");
  const item = await askJson<Item>(page.api);
  const labels = new Labels(page.api, item);
  showValues(item, page.titles);
  showFiles(page.api, item);
  const sectionsChanged = makeSections(document, page.api, () => labels.colouring, recovered, report);
  if (!item.bricks.length) {
    byId("status").textContent = item.kind === "none" ? "" : "This item is too large for a view in space.";
    return;
  }
  if (!document.createElement("canvas").getContext("webgl2")) {
    byId("status").textContent = "This browser has no WebGL 2, so there is no view in space; the sections below work.";
    return;
  }
  byId("status").textContent = "";
  await new Viewer(page, labels, sectionsChanged).start();
}

let fault = ""; // reported last

function report(error: unknown): void {
  fault = message(error);
  byId("status").textContent = fault;
}

function recovered(): void {
  const status = byId("status");
  if (status.textContent === fault) status.textContent = "";
}

start().catch(report);
