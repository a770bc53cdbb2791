/* Shows the theorem, equation, figure or source that a link leads to, when the link is pointed at
   or focused. It stays while the pointer is on it, and Escape closes it. Without this script, or
   where another page cannot be read (a book opened from the disk), links are just links. */

addEventListener("DOMContentLoaded", () => {
  "use strict";

  const SHOWN = "div.proof, div.math, figure, div.citation";
  const DELAY = 250; // milliseconds
  const LINKS = "article a.reference.internal[href*='#']:not(.headerlink)";

  const box = document.createElement("div");
  box.id = "preview";
  box.className = "book-preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  document.body.append(box);

  const pages = new Map(); // address of a page -> promise of its document
  let timer = 0;
  let current = null; // the link that is shown

  function page(url) {
    const address = url.href.split("#")[0];
    if (!pages.has(address)) {
      const read = async () => {
        const text = await (await fetch(address)).text();
        return new DOMParser().parseFromString(text, "text/html");
      };
      pages.set(address, read());
    }
    return pages.get(address);
  }

  /* A copy of what the link leads to, or null; without what makes no sense twice on a page. */
  async function target(link) {
    const url = new URL(link.href);
    const here = url.pathname === location.pathname;
    const root = here ? document : await page(url);
    const found = root.getElementById(decodeURIComponent(url.hash.slice(1)));
    if (!found || !found.matches(SHOWN)) {
      return null;
    }
    const copy = found.cloneNode(true);
    copy.querySelectorAll(".headerlink, script, .bookkit-provenance").forEach((node) => node.remove());
    [copy, ...copy.querySelectorAll("[id]")].forEach((node) => node.removeAttribute("id"));
    copy.querySelectorAll("[href], [src]").forEach((node) => {
      const name = node.hasAttribute("href") ? "href" : "src";
      node.setAttribute(name, new URL(node.getAttribute(name), url).href);
    });
    return { copy, here };
  }

  async function open(link) {
    let shown = null;
    try {
      shown = await target(link);
    } catch {
      return; // The other page cannot be read.
    }
    if (!shown || current !== link) {
      return;
    }
    box.replaceChildren(shown.copy);
    box.hidden = false;
    if (!shown.here && window.MathJax?.typesetPromise) {
      await window.MathJax.typesetPromise([box]); // The page came as it is in its file.
    }
    place(link);
    link.setAttribute("aria-describedby", box.id);
  }

  /* Below the link if there is room, else above; never beyond the sides. */
  function place(link) {
    const at = link.getBoundingClientRect();
    const { width, height } = box.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8));
    const below = at.bottom + height + 8 < innerHeight || at.top < height + 8;
    box.style.left = `${left + scrollX}px`;
    box.style.top = `${(below ? at.bottom + 4 : at.top - height - 4) + scrollY}px`;
  }

  function close() {
    clearTimeout(timer);
    current?.removeAttribute("aria-describedby");
    current = null;
    box.hidden = true;
  }

  function later(action) {
    clearTimeout(timer);
    timer = setTimeout(action, DELAY);
  }

  document.querySelectorAll(LINKS).forEach((link) => {
    const show = () =>
      later(() => {
        close();
        current = link;
        open(link);
      });
    link.addEventListener("mouseenter", show);
    link.addEventListener("focus", show);
    link.addEventListener("mouseleave", () => later(close));
    link.addEventListener("blur", () => later(close));
  });
  box.addEventListener("mouseenter", () => clearTimeout(timer));
  box.addEventListener("mouseleave", () => later(close));
  addEventListener("keydown", (event) => event.key === "Escape" && close());
});
