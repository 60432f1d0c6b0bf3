// @ts-check
// <code-editor>: CodeMirror in the place of the textarea inside it, which stays what the form sends; without it, the
// textarea is used. It lives in a shadow root, so that its styles need no style element, which the page's policy forbids.

const SOURCE = new URL("../../vendor/codemirror-6.0.2/codemirror.js", import.meta.url).href;

/**
 * Where a mark of the inspection lies in a text: from the first letter of its line to the end of it.
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

export class CodeEditor extends (globalThis.HTMLElement ?? Object) {
  async connectedCallback() {
    const area = /** @type {HTMLTextAreaElement | null} */ (this.querySelector("textarea"));
    if (!area || this.shadowRoot) return;
    const code = await import(SOURCE);
    if (!this.isConnected || this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    const label = this.querySelector("label")?.textContent?.trim() || "Code";
    root.append(document.createElement("slot"));
    const place = document.createElement("div");
    root.append(place);
    this.view = new code.EditorView({
      parent: place,
      root,
      state: code.EditorState.create({ doc: area.value, extensions: this.extensions(code, area, label) }),
    });
    area.hidden = true;
    area.addEventListener("focus", () => this.view.focus());
    this.querySelector("label")?.addEventListener("click", () => this.view.focus());
    area.form?.addEventListener("reset", () => this.replace(area.defaultValue));
    this.mark(code);
  }

  disconnectedCallback() {
    this.view?.destroy();
  }

  /** @param {string} text */
  replace(text) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  /** @param {any} code @param {HTMLTextAreaElement} area @param {string} label */
  extensions(code, area, label) {
    const { tags } = code;
    const colours = code.HighlightStyle.define([
      { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], color: "var(--s-accent-ink)", fontWeight: "600" },
      { tag: [tags.string, tags.special(tags.string)], color: "var(--s-ok)" },
      { tag: [tags.comment], color: "var(--s-muted)", fontStyle: "italic" },
      { tag: [tags.number, tags.bool, tags.null], color: "var(--s-warn)" },
      { tag: [tags.definition(tags.variableName), tags.className], color: "var(--s-text)", fontWeight: "600" },
    ]);
    return [
      code.basicSetup,
      code.python(),
      code.lintGutter(),
      code.syntaxHighlighting(colours),
      code.EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
      code.EditorView.updateListener.of((/** @type {any} */ update) => {
        if (!update.docChanged) return;
        area.value = update.state.doc.toString();
        area.dispatchEvent(new Event("input", { bubbles: true }));
      }),
      code.EditorView.theme({
        "&": { maxHeight: "70vh", fontSize: "0.8125rem", border: "1px solid var(--s-control)", color: "var(--s-text)" },
        "&.cm-focused": { outline: "2px solid var(--s-accent)" },
        ".cm-content": { caretColor: "var(--s-text)", minHeight: "20rem" },
        ".cm-cursor": { borderLeftColor: "var(--s-text)" },
        ".cm-gutters": { background: "var(--s-bg)", color: "var(--s-muted)", border: "none" },
        ".cm-activeLine, .cm-activeLineGutter": { background: "var(--s-accent-soft)" },
        "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
          background: "var(--s-idle-soft)",
        },
        ".cm-tooltip, .cm-panels": { background: "var(--s-raised)", color: "var(--s-text)" },
      }),
    ];
  }

  /** Show what the inspection said of a line. @param {any} code */
  mark(code) {
    const range = lineRange(this.view.state.doc.toString(), Number(this.dataset.line));
    if (!range) return;
    const message = this.dataset.reason || "The inspection complains about this line.";
    this.view.dispatch(code.setDiagnostics(this.view.state, [{ ...range, severity: "error", message }]));
    this.view.dispatch({ effects: code.EditorView.scrollIntoView(range.from, { y: "center" }) });
  }
}

globalThis.customElements?.define("code-editor", CodeEditor);
