// @ts-check
// <print-page>: shows the button inside it, which opens the browser's print; without JavaScript its menu does.

export class PrintPage extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}

customElements.define("print-page", PrintPage);
