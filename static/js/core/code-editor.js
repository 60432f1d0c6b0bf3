// @ts-check
// <code-editor data-language="python | yaml">: CodeMirror in the place of the textarea inside it, which stays what the form
// sends; without it, the textarea is used. It lives in a shadow root, so that its styles need no style element, which the
// page's policy forbids. Inside a fold it is fetched when the fold is opened.

const SOURCE = new URL("../../vendor/codemirror-6.0.2/codemirror.js", import.meta.url).href;

/** @typedef {{line: number, message: string}} Complaint about a line, counted from 1 */

/**
 * Where a mark lies in a text: from the first letter of its line to the end of it.
 * @param {string} text @param {number} line from 1 @returns {{from: number, to: number} | null}
 */
export function lineRange(text, line) {
  const lines = text.split("\n");
  if (!(line >= 1 && line <= lines.length)) return null;
  let start = 0;
  for (const before of lines.slice(0, line - 1)) start += before.length + 1;
  const words = lines[line - 1];
  const indent = words.length - words.trimStart().length;
  return { from: start + Math.min(indent, words.length), to: start + words.length };
}

/**
 * The one change that makes a text another one; what both begin and end with stays, and with it the place of a cursor there.
 * @param {string} before @param {string} after
 */
export function difference(before, after) {
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before[from] === after[from]) from++;
  let end = 0;
  while (end < shorter - from && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  return { from, to: before.length - end, insert: after.slice(from, after.length - end) };
}

/**
 * What a line of YAML begins with that follows another one: as far in, or further below a name without a value.
 * @param {string} above the part of it before the cursor
 */
export const indentBelow = (above) => above.slice(0, above.length - above.trimStart().length) + (/:\s*(#.*)?$/.test(above) ? "  " : "");

/** @param {Complaint[]} complaints */
const invalid = (complaints) => (complaints.length ? { "aria-invalid": "true" } : {});

export class CodeEditor extends (globalThis.HTMLElement ?? Object) {
  connectedCallback() {
    this.area = /** @type {HTMLTextAreaElement | null} */ (this.querySelector("textarea"));
    if (!this.area || this.shadowRoot) return;
    /** @type {Complaint[]} */
    this.complaints = [];
    const { line, reason } = this.dataset;
    if (line) this.complaints = [{ line: Number(line), message: reason || "The inspection complains about this line." }];
    const fold = this.closest("details:not([open])");
    if (fold) fold.addEventListener("toggle", () => this.begin(), { once: true });
    else void this.begin();
  }

  disconnectedCallback() {
    this.view?.destroy();
  }

  async begin() {
    const code = await import(SOURCE);
    const { area } = this;
    if (!this.isConnected || this.shadowRoot || !area) return;
    const root = this.attachShadow({ mode: "open" });
    const place = document.createElement("div");
    // What is typed here is told once, by the textarea: seen from outside, this would be an input of something else.
    place.addEventListener("input", (event) => event.stopPropagation());
    root.append(document.createElement("slot"), this.about(area), place);
    this.code = code;
    this.view = new code.EditorView({
      parent: place,
      root,
      state: code.EditorState.create({ doc: area.value, extensions: this.extensions(code, area) }),
    });
    const hadFocus = document.activeElement === area;
    area.hidden = true;
    if (hadFocus) this.view.focus();
    area.addEventListener("focus", () => this.view.focus());
    for (const label of area.labels ?? []) label.addEventListener("click", () => this.view.focus());
    area.form?.addEventListener("reset", () => this.change(area.defaultValue));
    const [first] = this.mark();
    if (first) this.view.dispatch({ effects: code.EditorView.scrollIntoView(first.from, { y: "center" }) });
  }

  /** What describes the textarea, where the editor can refer to it. @param {HTMLTextAreaElement} area */
  about(area) {
    const about = document.createElement("p");
    about.id = "about";
    about.hidden = true;
    const ids = (area.getAttribute("aria-describedby") ?? "").split(/\s+/).filter(Boolean);
    about.textContent = ids.map((id) => document.getElementById(id)?.textContent?.trim() ?? "").filter(Boolean).join(" ");
    return about;
  }

  /** Another text, as if it were typed. @param {string} text */
  change(text) {
    this.view.dispatch({ changes: difference(this.view.state.doc.toString(), text) });
  }

  /** Another text that comes from the page itself: nobody hears of it. @param {string} text */
  show(text) {
    if (!this.area) return;
    this.area.value = text;
    if (!this.view) return;
    this.silent = true;
    this.change(text);
    this.silent = false;
  }

  /** Mark lines and say what is wrong there; none when nothing is. @param {Complaint[]} complaints */
  complain(complaints) {
    const same = JSON.stringify(complaints) === JSON.stringify(this.complaints);
    this.complaints = complaints;
    if (this.view && !same) this.mark();
  }

  mark() {
    const { code, view, complaints = [] } = this;
    const text = view.state.doc.toString();
    const found = complaints.flatMap(({ line, message }) => {
      const range = lineRange(text, line);
      return range ? [{ ...range, severity: "error", message }] : [];
    });
    view.dispatch(code.setDiagnostics(view.state, found));
    return found;
  }

  /** @param {any} code @param {HTMLTextAreaElement} area */
  extensions(code, area) {
    const label = area.labels?.[0]?.textContent?.trim() || "Code";
    const isYaml = this.dataset.language === "yaml";
    return [
      isYaml ? code.EditorView.domEventHandlers({ keydown: breakLine }) : [], // before the keys of the basic setup
      code.basicSetup,
      isYaml ? code.yaml() : code.python(),
      code.lintGutter(),
      code.syntaxHighlighting(colours(code)),
      code.EditorView.contentAttributes.of(() => ({ "aria-label": label, "aria-describedby": "about", spellcheck: "false", autocapitalize: "off", ...invalid(this.complaints ?? []) })),
      code.EditorView.updateListener.of((/** @type {any} */ update) => {
        if (!update.docChanged || this.silent) return;
        area.value = update.state.doc.toString();
        area.dispatchEvent(new Event("input", { bubbles: true }));
      }),
      code.EditorView.theme(THEME),
    ];
  }
}

/** Enter in YAML: what CodeMirror makes of it lies below the value above. @param {KeyboardEvent} event @param {any} view */
function breakLine(event, view) {
  if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  const { from } = view.state.selection.main;
  const line = view.state.doc.lineAt(from);
  view.dispatch(view.state.replaceSelection(`\n${indentBelow(line.text.slice(0, from - line.from))}`), { scrollIntoView: true, userEvent: "input" });
  return true;
}

/** @param {any} code */
function colours({ HighlightStyle, tags }) {
  return HighlightStyle.define([
    { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], color: "var(--s-accent-ink)", fontWeight: "600" },
    { tag: [tags.definition(tags.propertyName)], color: "var(--s-accent-ink)" },
    { tag: [tags.string, tags.special(tags.string)], color: "var(--s-ok)" },
    { tag: [tags.comment], color: "var(--s-muted)", fontStyle: "italic" },
    { tag: [tags.number, tags.bool, tags.null], color: "var(--s-warn)" },
    { tag: [tags.definition(tags.variableName), tags.className], color: "var(--s-text)", fontWeight: "600" },
  ]);
}

const THEME = {
  "&": { maxHeight: "70vh", fontSize: "0.8125rem", border: "1px solid var(--s-control)", color: "var(--s-text)" },
  "&.cm-focused": { outline: "2px solid var(--s-accent)" },
  ".cm-content, .cm-gutter": { minHeight: "20rem" },
  ".cm-content": { caretColor: "var(--s-text)" },
  ".cm-cursor": { borderLeftColor: "var(--s-text)" },
  ".cm-gutters": { background: "var(--s-bg)", color: "var(--s-muted)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "var(--s-accent-soft)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "var(--s-idle-soft)",
  },
  ".cm-tooltip, .cm-panels": { background: "var(--s-raised)", color: "var(--s-text)" },
};

globalThis.customElements?.define("code-editor", CodeEditor);
