"use strict";

// What scrolls sideways can be reached by keyboard; what does not scroll is no stop on the way.
function makeScrollable() {
  const boxes = `.cell_output, .text_html, .parallel-texts, .explorer-scroll, .pst-scrollable-table-container, div.math,
    mjx-container[display], pre`;
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
    } else {
      box.removeAttribute("tabindex");
    }
  }
}

window.addEventListener("load", () => {
  makeScrollable();
  new ResizeObserver(makeScrollable).observe(document.body);
  window.MathJax?.startup?.promise.then(makeScrollable);
});

// On paper everything folded is open; afterwards it is as it was.
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((part) => { part.open = true; });
});
window.addEventListener("afterprint", () => {
  opened.forEach((part) => { part.open = false; });
});

// Opened from disk, a browser may not read other pages: the search shows titles without excerpts.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
