// Links to files that the service makes when they are asked for: the browser downloads one once it is there. By itself
// it would call a file that takes long, or for which the service is busy, a failed download without a reason.

import { ask, message } from "./api";
import { element } from "./dom";

const TRIES = 12; // a file takes up to ten minutes, and one request waits for less than one

/** Lets a link wait for its file, and a note say so, or what is wrong. */
export function awaitFile(link: HTMLAnchorElement, note: HTMLElement): void {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    void download(link.href, note);
  });
}

async function download(address: string, note: HTMLElement): Promise<void> {
  note.textContent = "The service makes the file.";
  try {
    await ask(address, { headers: { Range: "bytes=0-0" }, cache: "no-store" }, TRIES);
    note.textContent = "";
    element("a", { href: address, download: true }).click();
  } catch (error) {
    note.textContent = message(error);
  }
}
