/* Shows the theorem, equation, figure or source that a link leads to, when the link is pointed at
   or focused. It stays while the pointer is on it, and Escape closes it. What other pages show comes
   from the script that bookkit.previews writes beside each of them: a page that was opened from the
   disk may load scripts, but read no page. Without this script, links are just links. */

addEventListener("DOMContentLoaded", () => {
  "use strict";

  const SHOWN = "div.proof, div.math, figure, div.citation";
  const LEFT_OUT = ".headerlink, script, .bookkit-provenance";
  const DELAY = 250; // milliseconds
  const LINKS = "article a.reference.internal[href*='#']:not(.headerlink)";

  const box = document.createElement("div");
  box.id = "preview";
  box.className = "book-preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  document.body.append(box);

  const pages = new Map(); // address of a page -> promise of what links into it show
  let timer = 0;
  let current = null; // the link that is shown

  /* Called by the script of a page, with the HTML of what it can show by label. */
  window.bookPreviews = (previews) => {
    document.currentScript.previews = previews;
  };

  function page(url) {
    const address = url.href.split(/[?#]/)[0].replace(/\.html$/, ".previews.js");
    if (!pages.has(address)) {
      const read = (resolve, reject) => {
        const script = document.createElement("script");
        script.src = address;
        script.onload = () => resolve(script.previews);
        script.onerror = reject;
        document.head.append(script);
      };
      pages.set(address, new Promise(read));
    }
    return pages.get(address);
  }

  /* A copy of what the link leads to, or null; without what makes no sense twice on a page. */
  async function target(link) {
    const url = new URL(link.href);
    const here = url.pathname === location.pathname;
    const label = decodeURIComponent(url.hash.slice(1));
    const copy = here
      ? document.getElementById(label)?.cloneNode(true)
      : parse((await page(url))[label]);
    if (!copy?.matches(SHOWN)) {
      return null;
    }
    copy.querySelectorAll(LEFT_OUT).forEach((node) => node.remove());
    [copy, ...copy.querySelectorAll("[id]")].forEach((node) => node.removeAttribute("id"));
    copy.querySelectorAll("[href], [src]").forEach((node) => {
      const name = node.hasAttribute("href") ? "href" : "src";
      node.setAttribute(name, new URL(node.getAttribute(name), url).href);
    });
    return { copy, here };
  }

  /* The element that a text describes, if any; nothing of it is loaded yet. */
  function parse(html) {
    return new DOMParser().parseFromString(html ?? "", "text/html").body.firstElementChild;
  }

  async function open(link) {
    let shown = null;
    try {
      shown = await target(link);
    } catch {
      return; // There is no script beside the other page.
    }
    if (!shown || current !== link) {
      return;
    }
    box.replaceChildren(shown.copy);
    box.hidden = false;
    if (!shown.here && window.MathJax?.typesetPromise) {
      await window.MathJax.typesetPromise([box]); // It came as it is in its file.
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
