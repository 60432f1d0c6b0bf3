"""What does not fit the width of a window, or a fingertip."""

from __future__ import annotations

#: WCAG 2.2, 2.5.8: the least width and height of what one points at, in CSS px; links in a line of text may be lower.
TARGET_PX = 24
# Returns words for each page that scrolls sideways, each control outside its page, and each too small to be touched.
AUDIT = """(least) => {
  const width = document.documentElement.clientWidth, wide = document.scrollingElement.scrollWidth;
  const words = (e) => `<${e.tagName.toLowerCase()} class="${e.getAttribute("class") ?? ""}"> ${(e.innerText || e.value || e.getAttribute("aria-label") || "").trim().slice(0, 60)}`;
  const above = (e) => { const all = []; for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) all.push(p); return all; };
  const style = (e) => getComputedStyle(e);
  // In something that scrolls by itself, every place can be reached.
  const isScrolled = (e) => above(e).some((p) => /auto|scroll/.test(style(p).overflowX) && p.scrollWidth > p.clientWidth);
  const cut = (e, box) => above(e).filter((p) => /hidden|clip/.test(style(p).overflowX)).map((p) => p.getBoundingClientRect()).reduce(meet, box);
  const meet = (a, b) => { const left = Math.max(a.left, b.left); return new DOMRect(left, a.top, Math.max(0, Math.min(a.right, b.right) - left), a.height); };
  const join = (a, b) => new DOMRect(Math.min(a.left, b.left), Math.min(a.top, b.top), Math.max(a.right, b.right) - Math.min(a.left, b.left), Math.max(a.bottom, b.bottom) - Math.min(a.top, b.top));
  const found = [];
  if (wide > width) {
    const cause = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > width + 1 && !isScrolled(e) && cut(e, e.getBoundingClientRect()).right > width + 1);
    found.push(`scrolls sideways, ${wide} px wide: ${words(cause.at(-1) ?? document.body)}`);
  }
  for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
    if (!e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || e.closest(".visually-hidden, .skip-link, [inert]")) continue;
    const box = [...(e.labels ?? [])].filter((l) => l.getClientRects().length).map((l) => l.getBoundingClientRect()).reduce(join, e.getBoundingClientRect());
    const seen = cut(e, box);
    if (!isScrolled(e) && (seen.left < -1 || seen.right > width + 1 || seen.width < Math.min(least, box.width))) found.push(`outside, ${Math.round(box.left)} to ${Math.round(box.right)}: ${words(e)}`);
    if (style(e).display !== "inline" && (box.width < least || box.height < least)) found.push(`small, ${box.width.toFixed(1)} x ${box.height.toFixed(1)}: ${words(e)}`);
  }
  return found;
}"""
