// Buttons that copy the code beside them.

export function makeCopyButtons(root: ParentNode): void {
  for (const button of root.querySelectorAll<HTMLButtonElement>("button[data-copies]")) {
    const source = document.getElementById(button.dataset.copies ?? "");
    const label = button.textContent ?? "";
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.textContent = (await copy(source?.textContent ?? "")) ? "Copied" : "Press Ctrl+C";
      window.setTimeout(() => (button.textContent = label), 1500);
    });

    /** Copies text; where the browser allows no page to do so, selects it for the user. */
    async function copy(text: string): Promise<boolean> {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch {
        if (source) window.getSelection()?.selectAllChildren(source);
        return false;
      }
    }
  }
}
