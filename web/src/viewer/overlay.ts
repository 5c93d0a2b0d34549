// What lies over the picture: the scale bar, and the directions of the axes.

import { type OrthographicCamera, Vector3 } from "three";
import { length } from "../common/numbers";

const STEPS = [1, 2, 5];
const LONGEST = 0.28; // of the width of the picture
const ARM = 22; // of an axis, in the units of its drawing

/** Returns the longest round length below one in nm. */
export function roundBelow(nm: number): number {
  const power = 10 ** Math.floor(Math.log10(nm));
  return power * Math.max(...STEPS.filter((step) => step * power <= nm));
}

export interface Bar {
  nm: number;
  pixels: number;
  text: string;
}

export function barOf(camera: OrthographicCamera, width: number): Bar {
  const nmPerPixel = (camera.right - camera.left) / camera.zoom / width;
  const nm = roundBelow(LONGEST * width * nmPerPixel);
  return { nm, pixels: nm / nmPerPixel, text: length(nm) };
}

export function showBar(root: HTMLElement, bar: Bar): void {
  root.style.width = `${bar.pixels}px`;
  root.textContent = bar.text;
}

/** Shows where the axes point, those towards the viewer last. */
export function showAxes(root: Element, camera: OrthographicCamera): void {
  const turn = camera.quaternion.clone().invert();
  const axes = ["x", "y", "z"].map((name, k) => ({
    name,
    end: new Vector3().setComponent(k, ARM).applyQuaternion(turn),
  }));
  for (const { name, end } of axes.sort((a, b) => a.end.z - b.end.z)) {
    const group = root.querySelector(`[data-axis=${name}]`);
    const [line, text] = [group?.querySelector("line"), group?.querySelector("text")];
    if (!group || !line || !text) continue;
    line.setAttribute("x2", end.x.toFixed(1));
    line.setAttribute("y2", (-end.y).toFixed(1));
    text.setAttribute("x", (end.x * 1.35).toFixed(1));
    text.setAttribute("y", (-end.y * 1.35).toFixed(1));
    root.append(group);
  }
}

/** Returns the picture with its scale bar, on the ground of the page. */
export function pictureOf(canvas: HTMLCanvasElement, bar: Bar): HTMLCanvasElement {
  const made = document.createElement("canvas");
  [made.width, made.height] = [canvas.width, canvas.height];
  const pen = made.getContext("2d");
  if (!pen) throw new Error("the browser cannot draw");
  const style = getComputedStyle(document.body);
  const ratio = canvas.width / canvas.clientWidth;
  pen.fillStyle = style.backgroundColor;
  pen.fillRect(0, 0, made.width, made.height);
  pen.drawImage(canvas, 0, 0);
  pen.scale(ratio, ratio);
  const [left, bottom] = [16, canvas.clientHeight - 16];
  pen.fillStyle = style.color;
  pen.fillRect(left, bottom - 4, bar.pixels, 4);
  pen.font = `14px ${style.fontFamily}`;
  pen.fillText(bar.text, left, bottom - 10);
  return made;
}
