// The rank explorer. src/hybrid_batch/report/ranks.py puts the ranked lists into the page; this shows the one that is chosen.
// The address of the page holds the choice, so that a link leads to what is seen.
(() => {
  "use strict";
  const root = document.querySelector(".ranks");
  if (!root || root.dataset.ready) return;
  root.dataset.ready = "yes";
  const data = JSON.parse(root.querySelector(".ranks-data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const each = data.pool / data.languages.length; // passages of a language, one language after the other
  const number = (value) => value.toLocaleString("en");
  const OPTIONS = {
    question: data.questions.map(([item, subject, texts]) => [item, `${subject}: ${texts[codes().indexOf("en")]}`]),
    language: data.languages.map(([code, name]) => [code, name]),
    encoder: data.encoders,
  };
  const NAMES = { question: "Question", language: "Asked in", encoder: "Encoder" };
  const state = {};
  const selects = {};

  function codes() { return data.languages.map(([code]) => code); }

  // Texts go in as texts, never as HTML.
  const fill = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  const place = (name) => OPTIONS[name].findIndex(([value]) => value === state[name]);

  const label = (language) => {
    const [code, name, , colour] = data.languages[language];
    return make("span", { class: "ranks-language" }, make("span", { class: "ranks-colour", style: `background:${colour}`,
      "aria-hidden": "true" }), `${name} (${code})`);
  };

  // One line a passage: rank, language, text, and whether it is one of the parallel answers.
  const line = (rank, passage, isAnswer) => {
    const language = Math.floor(passage / each);
    const [code, , direction] = data.languages[language];
    const head = make("div", { class: "ranks-head" }, make("span", { class: "ranks-rank" }, number(rank)), label(language));
    if (isAnswer) head.append(make("strong", { class: "ranks-answer" }, "✓ answer"));
    return make("li", { class: isAnswer ? "ranks-right" : "" }, head,
      make("p", { lang: code, dir: direction }, data.texts[passage]));
  };

  // The ranks of the answers on a logarithmic scale; the first ten places are shaded.
  const strip = (answers, asked) => {
    const x = (rank) => 14 + 332 * Math.log(rank) / Math.log(data.pool);
    const svg = draw("svg", { viewBox: "0 0 360 118", role: "img", "aria-label":
      `Ranks of the answers: ${answers.map(([rank, , code]) => `${code} ${number(rank)}`).join(", ")}` });
    svg.append(draw("rect", { x: x(1) - 8, y: 8, width: x(data.shown) - x(1) + 12, height: 84, class: "ranks-first" }),
      draw("line", { x1: x(1), x2: x(data.pool), y1: 50, y2: 50, class: "ranks-axis" }));
    for (let tick = 1; tick <= data.pool; tick *= 10) {
      svg.append(draw("text", { x: x(tick), y: 110, class: "ranks-tick" }, number(tick)));
    }
    answers.forEach(([rank, passage, code], index) => {
      const y = 50 + [-18, 22, -34, 38][index % 4];
      const colour = data.languages[Math.floor(passage / each)][3];
      svg.append(draw("line", { x1: x(rank), x2: x(rank), y1: 50, y2: y, class: "ranks-stem" }),
        draw("circle", { cx: x(rank), cy: 50, r: 5, fill: colour, class: "ranks-mark" }),
        draw("text", { x: x(rank), y: y + (y < 50 ? -1 : 9), class: code === asked ? "ranks-code ranks-own" : "ranks-code" }, code));
    });
    return svg;
  };

  const status = make("p", { class: "ranks-status", role: "status" });
  const view = make("div");

  const show = () => {
    const question = place("question");
    const language = place("language");
    const [code, name, direction] = data.languages[language];
    const found = data.lists[place("encoder")][question][language];
    const top = found.slice(0, data.shown);
    const relevant = data.relevant[question];
    const answers = found.slice(data.shown).map((rank, index) =>
      [rank, relevant[index], data.languages[Math.floor(relevant[index] / each)][0]]).sort((a, b) => a[0] - b[0]);
    const ranks = answers.map(([rank]) => rank);
    const inside = ranks.filter((rank) => rank <= data.shown).length;
    const own = top.filter((passage) => Math.floor(passage / each) === language && !relevant.includes(passage)).length;
    status.textContent = `Rank distance ${number(Math.max(...ranks) - Math.min(...ranks))}: the ${ranks.length} answers are at `
      + `ranks ${number(Math.min(...ranks))} to ${number(Math.max(...ranks))} of ${number(data.pool)}. Of the first ${data.shown} `
      + `places, answers take ${inside}, and other passages in ${name} take ${own}.`;
    const later = answers.filter(([rank]) => rank > data.shown);
    view.replaceChildren(
      make("p", { class: "ranks-asked" }, make("q", { lang: code, dir: direction }, data.questions[question][2][language])),
      strip(answers, code),
      make("ol", { class: "ranks-list" }, ...top.map((passage, index) => line(index + 1, passage, relevant.includes(passage)))));
    if (later.length) {
      view.append(make("details", {}, make("summary", {}, `${later.length} answers further down`),
        make("ol", { class: "ranks-list" }, ...later.map(([rank, passage]) => line(rank, passage, true)))));
    }
  };

  const settle = () => {
    for (const name of Object.keys(OPTIONS)) {
      if (place(name) < 0) state[name] = data.start[name] ?? OPTIONS[name][0][0];
      selects[name].value = state[name];
    }
    show();
  };

  const restore = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const name of Object.keys(OPTIONS)) if (asked.has(name)) state[name] = asked.get(name);
    settle();
  };

  const choose = (name, value) => {
    state[name] = value;
    show();
    const hash = `#${new URLSearchParams(Object.keys(OPTIONS).map((key) => [key, state[key]]))}`;
    try { history.replaceState(null, "", hash); } catch { location.hash = hash; }
  };

  const controls = make("div", { class: "ranks-controls" });
  for (const [name, options] of Object.entries(OPTIONS)) {
    selects[name] = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
    selects[name].addEventListener("change", (event) => choose(name, event.target.value));
    controls.append(make("label", { class: `ranks-${name}` }, NAMES[name], selects[name]));
  }
  root.querySelector(".ranks-static").replaceWith(controls, status, view);
  window.addEventListener("hashchange", restore);
  restore();
})();
