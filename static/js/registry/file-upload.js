// @ts-check
// <file-upload>: sends the chosen or dropped file in chunks when its form is submitted; without it, the form sends the file.
import { UploadError, cancelFile, sendFile } from "./send-file.js";

export class FileUpload extends HTMLElement {
  connectedCallback() {
    const form = this.closest("form");
    const input = /** @type {HTMLInputElement | null} */ (this.querySelector("input[type=file]"));
    const upload = /** @type {HTMLInputElement | null} */ (this.querySelector("input[name=upload]"));
    if (!form || !input || !upload) return;
    this.form = form;
    this.input = input;
    this.upload = upload;
    /** @type {AbortController | null} */
    this.running = null;
    form.addEventListener("submit", (event) => this.onSubmit(event));
    input.addEventListener("change", () => this.onChoice());
    this.find("[data-cancel]").addEventListener("click", () => this.cancel());
    for (const name of ["dragenter", "dragover"]) this.addEventListener(name, (event) => this.onDrag(event, true));
    for (const name of ["dragleave", "drop"]) this.addEventListener(name, (event) => this.onDrag(event, false));
    this.addEventListener("drop", (event) => this.onDrop(event));
  }

  /** @param {string} selector */
  find(selector) {
    return /** @type {HTMLElement} */ (this.querySelector(selector));
  }

  get file() {
    return this.input?.files?.[0] ?? null;
  }

  onChoice() {
    this.cancelled();
    this.show("[data-error]", false);
    if (this.upload) this.upload.value = "";
    const name = /** @type {HTMLInputElement | null} */ (this.form?.elements.namedItem("name"));
    if (name && !name.value && this.file) name.value = this.file.name.replace(/\.[^.]*$/, "").slice(0, 80);
  }

  /** @param {Event} event @param {boolean} over */
  onDrag(event, over) {
    event.preventDefault();
    this.toggleAttribute("data-over", over);
  }

  /** @param {DragEvent} event */
  onDrop(event) {
    const files = event.dataTransfer?.files;
    if (!files?.length || !this.input) return;
    const one = new DataTransfer();
    one.items.add(files[0]);
    this.input.files = one.files;
    this.onChoice();
  }

  /** @param {SubmitEvent} event */
  onSubmit(event) {
    if (!this.file || this.upload?.value) return;
    event.preventDefault();
    if (!this.running) this.send(this.file);
  }

  options() {
    const token = /** @type {HTMLInputElement} */ (this.form?.querySelector("[name=csrfmiddlewaretoken]")).value;
    return { createUrl: this.dataset.url ?? "", token, memory: window.sessionStorage };
  }

  /** @param {File} file */
  async send(file) {
    this.running = new AbortController();
    this.show("[data-error]", false);
    this.show("[data-progress]", true);
    const began = performance.now();
    let first = -1;
    try {
      const id = await sendFile(file, {
        ...this.options(),
        signal: this.running.signal,
        onProgress: (received) => {
          if (first < 0) first = received;
          this.tell(received, file.size, (received - first) / (performance.now() - began));
        },
        onWait: (seconds) => this.say(`The connection was cut; trying again in ${Math.ceil(seconds)} s`),
      });
      if (this.upload && this.input) {
        this.upload.value = id;
        this.input.disabled = true; // the file has arrived; the form carries its id only
      }
      this.say("Uploaded");
      this.form?.requestSubmit();
    } catch (error) {
      this.show("[data-progress]", false);
      if (error instanceof UploadError) this.fail(error.message);
      else if (!this.running?.signal.aborted) throw error;
    } finally {
      this.running = null;
    }
  }

  async cancel() {
    this.cancelled();
    if (this.file) await cancelFile(this.file, this.options());
  }

  cancelled() {
    this.running?.abort();
    this.show("[data-progress]", false);
  }

  /** @param {number} received @param {number} size @param {number} perMs */
  tell(received, size, perMs) {
    const bar = /** @type {HTMLProgressElement} */ (this.find("progress"));
    bar.value = received / size;
    const left = perMs > 0 ? `, about ${Math.ceil((size - received) / perMs / 1000)} s left` : "";
    this.say(`${Math.floor((100 * received) / size)} % of ${(size / 1e6).toFixed(1)} MB${left}`);
  }

  /** @param {string} text */
  say(text) {
    this.find("[data-status]").textContent = text;
  }

  /** @param {string} text */
  fail(text) {
    this.find("[data-error]").textContent = text;
    this.show("[data-error]", true);
  }

  /** @param {string} selector @param {boolean} shown */
  show(selector, shown) {
    this.find(selector).hidden = !shown;
  }
}

customElements.define("file-upload", FileUpload);
