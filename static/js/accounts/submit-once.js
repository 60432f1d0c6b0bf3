// @ts-check
// <submit-once>: sends the form inside it as soon as the page is shown; without JavaScript its button does.

export class SubmitOnce extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    // A page that the browser renders ahead of a click must not use the link up.
    if (!form || /** @type {any} */ (document).prerendering) return;
    form.requestSubmit();
  }
}

customElements.define("submit-once", SubmitOnce);
