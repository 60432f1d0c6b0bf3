// @ts-check
// <copy-button for="id" hidden><button>…</button></copy-button>: copies the text of an element and says so. Without
// JavaScript, or where the browser lends no clipboard, it stays hidden.

const SAID_MS = 2000;

export class CopyButton extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    if (!button || !navigator.clipboard) return;
    this.hidden = false;
    button.addEventListener("click", () => this.copy());
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  async copy() {
    const text = document.getElementById(this.getAttribute("for") ?? "")?.textContent ?? "";
    const said = await navigator.clipboard.writeText(text).then(() => "Copied", () => "The browser does not allow it: select the text");
    const words = this.querySelector("[role=status]");
    if (!words) return;
    words.textContent = said;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (words.textContent = ""), SAID_MS);
  }
}

if (typeof customElements !== "undefined") customElements.define("copy-button", CopyButton);
