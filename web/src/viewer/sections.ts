// The sections that the service draws: one for each axis, moved by a slider.

import { ask } from "../common/api";
import { debounced } from "../common/dom";

const PAUSE_MS = 80;

export function makeSections(
  root: ParentNode,
  api: string,
  colouring: () => string,
  done: () => void,
  failed: (error: unknown) => void,
): () => void {
  const updates: (() => void)[] = [];
  for (const figure of root.querySelectorAll<HTMLElement>("figure[data-axis]")) {
    const picture = figure.querySelector("img");
    const slider = figure.querySelector<HTMLInputElement>("input");
    if (!picture || !slider) continue;
    const address = () => {
      const query = { axis: figure.dataset.axis ?? "z", at: String(Number(slider.value) / 100), size: "320" };
      return `${api}/section.png?${new URLSearchParams({ ...query, colouring: colouring() })}`;
    };
    const show = debounced(PAUSE_MS, () => void shown(picture, address()).then(done, failed));
    slider.addEventListener("input", () => {
      slider.setAttribute("aria-valuetext", `${slider.value} percent`);
      show();
    });
    slider.disabled = false;
    updates.push(show);
  }
  return () => updates.forEach((update) => update());
}

/** Shows a picture once it is here, unless another one has been asked for meanwhile; on an error the one before stays. */
async function shown(picture: HTMLImageElement, address: string): Promise<void> {
  picture.dataset.asked = address;
  await ask(address); // waits while the service is busy; the picture then comes from the browser's cache
  if (picture.dataset.asked === address) picture.src = address;
}
