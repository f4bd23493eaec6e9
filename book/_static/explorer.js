// The results explorer. src/hybrid_batch/explorer.py puts the figures into the page; this filters, draws and sorts
// them, and computes none. The address of the page holds the state, so that a link leads to what is seen.
(() => {
  "use strict";
  const root = document.querySelector(".explorer");
  if (!root || root.dataset.ready) return;
  root.dataset.ready = "yes";
  const data = JSON.parse(root.querySelector(".explorer-data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const SELECTS = ["study", "part", "benchmark", "measure", "language"];
  const NAMES = { study: "Study", part: "Part", benchmark: "Benchmark", measure: "Measure", language: "Language of the question" };
  const COLUMNS = [["condition", "Condition"], ["system", "System"], ["value", "Value"], ["low", "Low"],
    ["high", "High"], ["groups", "Groups"], ["seeds", "Seeds"], ["device", "Device"]];
  const SYSTEMS = { plain: "plain, as trained", "centring": "centring" };
  const WORDS = ["condition", "system", "device"];
  const known = new Set([...SELECTS, "condition", "system", "sort", "down"]);
  const measures = new Map(data.measures.map(([name, label, better, digits, space]) =>
    [name, { label, better, digits, space }]));
  const state = {};
  const parts = {};

  // Elements. Texts go in as texts, never as HTML.

  const fill = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };
  const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  // What there is to choose from.

  const unique = (values) => [...new Set(values)];
  const study = () => data.studies.find((made) => made.name === state.study);
  const inPart = () => study().series.filter((made) => made[0] === state.part);
  const series = () => inPart().filter((made) => made[2] === state.benchmark);
  const columns = () => study().columns[state.benchmark];
  const has = (place) => series().some((made) => made[6][3 * place] !== null);
  const choices = {
    study: () => data.studies.map((made) => made.name),
    part: () => unique(study().series.map((made) => made[0])),
    benchmark: () => unique(inPart().map((made) => made[2])),
    measure: () => {
      const there = new Set(columns().filter((_, place) => has(place)).map(([figure]) => figure));
      return [...measures.keys()].filter((figure) => there.has(figure));
    },
    language: () => unique(columns().filter(([figure], place) => figure === state.measure && has(place))
      .map(([, language]) => language)),
    condition: () => unique(series().map((made) => made[1])),
    system: () => unique(series().map((made) => made[3]))
      .sort((a, b) => (b === "plain") - (a === "plain") || a.localeCompare(b)),
  };
  const title = {
    study: (name) => data.studies.find((made) => made.name === name).title,
    part: (name) => data.labels[name],
    benchmark: (name) => data.labels[name],
    measure: (name) => measures.get(name).label + (measures.get(name).better === "lower is better" ? " (lower is better)" : ""),
    language: (name) => name === "all" ? "all (macro)" : `${data.languages[name] || name} (${name})`,
    condition: (name) => state.part === "alpha" ? `alpha ${name}` : name,
    system: (name) => SYSTEMS[name] || (name.startsWith("interpolated ")
      ? `interpolated: ${name.slice(13)} of the way` : name),
  };

  // A choice that the figures do not offer gives way to the first view's, or to the first there is.
  const settle = () => {
    for (const name of SELECTS) {
      const there = choices[name]();
      if (!there.includes(state[name])) state[name] = there.includes(data.start[name]) ? data.start[name] : there[0];
    }
    const systems = choices.system();
    if (state.systems.size && !systems.some((system) => state.systems.has(system))) state.systems.add(systems[0]);
  };

  const rows = () => {
    const found = [];
    for (const [, cell, , system, seeds, device, values] of series()) {
      if (state.without.has(cell) || !state.systems.has(system)) continue;
      columns().forEach(([figure, language, groups], place) => {
        const [value, low, high] = values.slice(3 * place, 3 * place + 3);
        if (figure !== state.measure || language !== state.language || value === null) return;
        found.push({ condition: title.condition(cell), cell, system, value, low, high, groups, seeds, device });
      });
    }
    if (!state.sort) return found;
    const compare = WORDS.includes(state.sort)
      ? (a, b) => a[state.sort].localeCompare(b[state.sort], "en", { numeric: true })
      : (a, b) => (a[state.sort] ?? -Infinity) - (b[state.sort] ?? -Infinity);
    return found.sort((a, b) => state.down ? compare(b, a) : compare(a, b));
  };

  const shown = (row, column) => {
    const value = row[column];
    if (value === null || value === undefined) return "";
    return ["value", "low", "high"].includes(column) ? value.toFixed(measures.get(state.measure).digits) : String(value);
  };

  // The address.

  const reset = () => {
    Object.assign(state, { ...data.start, systems: new Set([data.start.system]), without: new Set(), sort: "", down: false });
    delete state.system;
    settle();
  };

  const hash = () => {
    const made = new URLSearchParams(SELECTS.map((name) => [name, state[name]]));
    const cells = choices.condition();
    if (cells.some((cell) => state.without.has(cell))) {
      const left = cells.filter((cell) => !state.without.has(cell));
      for (const cell of left.length ? left : [""]) made.append("condition", cell);
    }
    for (const system of state.systems.size ? state.systems : [""]) made.append("system", system);
    if (state.sort) made.append("sort", state.sort);
    if (state.sort && state.down) made.append("down", "1");
    return `#${made}`;
  };

  // Returns the sentence to say, or null if the address is not one of ours.
  const restore = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (![...asked.keys()].some((key) => known.has(key))) return null;
    reset();
    for (const name of SELECTS) if (asked.has(name)) state[name] = asked.get(name);
    if (!asked.has("study") && !choices.part().includes(state.part)) { // another study may have this part
      const other = data.studies.find((made) => made.series.some(([part]) => part === state.part));
      if (other) state.study = other.name;
    }
    const wanted = { ...state };
    settle();
    if (asked.has("condition")) {
      const kept = new Set(asked.getAll("condition"));
      state.without = new Set(choices.condition().filter((cell) => !kept.has(cell)));
    }
    if (asked.has("system")) state.systems = new Set(asked.getAll("system").filter(Boolean));
    settle();
    if (COLUMNS.some(([name]) => name === asked.get("sort"))) state.sort = asked.get("sort");
    state.down = asked.get("down") === "1";
    const missing = SELECTS.filter((name) => asked.has(name) && wanted[name] !== state[name]);
    return missing.map((name) => `Not in these results: ${NAMES[name].toLowerCase()} “${wanted[name]}”.`).join(" ");
  };

  const keep = () => {
    try { history.replaceState(null, "", hash()); } catch { location.hash = hash(); }
  };

  // Controls.

  const boxes = (name, legend, ticked, change) => {
    const all = choices[name]();
    parts[name].replaceChildren(make("legend", {}, legend), ...all.map((value) => make("label", {},
      make("input", { type: "checkbox", value, checked: ticked(value),
        onchange: (event) => { change(value, event.target.checked); update(); } }), title[name](value))));
    if (name === "condition") parts[name].append(make("span", { class: "explorer-buttons" },
      make("button", { type: "button", onclick: () => { all.forEach((v) => state.without.delete(v)); refresh(); parts[name].querySelector("button").focus(); } }, "All"),
      make("button", { type: "button", onclick: () => { all.forEach((v) => state.without.add(v)); refresh(); parts[name].querySelectorAll("button")[1].focus(); } }, "None")));
  };

  const controls = () => {
    for (const name of SELECTS) {
      const there = choices[name]();
      parts[name].replaceChildren(...there.map((value) =>
        make("option", { value, selected: value === state[name] }, title[name](value))));
      parts[name].value = state[name];
      parts[name].disabled = there.length < 2;
    }
    boxes("condition", state.part === "reproduction" ? "Training strategies" : "Conditions", (cell) => !state.without.has(cell),
      (cell, on) => on ? state.without.delete(cell) : state.without.add(cell));
    boxes("system", "Systems", (system) => state.systems.has(system),
      (system, on) => on ? state.systems.add(system) : state.systems.delete(system));
  };

  // The plot.

  const ticks = (low, high, count) => {
    const rough = (high - low || Math.abs(high) || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((size) => size * power >= rough * 0.999);
    const first = Math.floor(low / step + 1e-9), last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
    const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return Array.from({ length: last - first + 1 }, (_, i) => [(first + i) * step, ((first + i) * step).toFixed(places)]);
  };

  const marker = (system, x, y) => {
    if (system === "plain") return draw("circle", { class: "plain", cx: x, cy: y, r: 6 });
    if (system === "centring") return draw("rect", { class: "removed", x: x - 5, y: y - 5, width: 10, height: 10 });
    return draw("path", { class: "mixed", d: `M${x} ${y - 7.5}L${x + 7.5} ${y}L${x} ${y + 7.5}L${x - 7.5} ${y}Z` });
  };

  const name = (row) => row.system === "plain" ? row.condition : `${row.condition}, ${row.system}`;

  const plot = (table) => {
    const width = Math.max(240, Math.floor(parts.plot.clientWidth)), wide = width >= 560;
    if (!table.length) {
      parts.plot.replaceChildren(make("p", { class: "explorer-empty" }, "Nothing to draw: tick a condition and a system."));
      return;
    }
    const lengths = table.map((row) => name(row).length), number = Math.max(...table.map((row) => shown(row, "value").length));
    const left = wide ? Math.min(width * 0.42, 8 * Math.max(...lengths) + 24) : 20;
    const right = wide ? width - 9 * number - 32 : width - 20;
    const high = wide ? 30 : 48, top = wide ? 8 : 4, bottom = top + high * table.length;
    const middle = (i) => top + high * i + (wide ? high / 2 : 31);
    const marks = ticks(Math.min(...table.map((row) => row.low ?? row.value)),
      Math.max(...table.map((row) => row.high ?? row.value)), wide ? 6 : 4);
    const from = marks[0][0], to = marks[marks.length - 1][0];
    const x = (value) => left + (right - left) * (value - from) / (to - from);
    const { label, better } = measures.get(state.measure);
    const svg = draw("svg", { width, height: bottom + 42, viewBox: `0 0 ${width} ${bottom + 42}`, role: "img",
      "aria-label": `Dot plot of ${table.length} rows: ${label}, ${better}. The table below has the same numbers.` });
    for (const [value, text] of marks) svg.append(
      draw("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: bottom }),
      draw("text", { class: "tick", x: x(value), y: bottom + 17, "text-anchor": "middle" }, text));
    const base = table.find((row) => row.cell === "untrained" && row.system === "plain");
    if (base) svg.append(draw("line", { class: "base", x1: x(base.value), x2: x(base.value), y1: top, y2: bottom }));
    table.forEach((row, i) => {
      const y = middle(i), group = draw("g", { class: "explorer-mark" },
        draw("title", {}, `${name(row)}: ${shown(row, "value")}, from ${shown(row, "low")} to ${shown(row, "high")}`),
        draw("line", { class: "guide", x1: left, x2: right, y1: y, y2: y }));
      if (row.low !== null && row.high !== null && row.low !== row.high) group.append(
        draw("path", { class: "interval", d: `M${x(row.low)} ${y}H${x(row.high)}M${x(row.low)} ${y - 5}v10M${x(row.high)} ${y - 5}v10` }));
      group.append(marker(row.system, x(row.value), y),
        draw("text", { class: "name", x: wide ? left - 14 : 0, y: wide ? y + 5 : y - 14, "text-anchor": wide ? "end" : "start" }, name(row)),
        draw("text", { class: "number", x: width - 2, y: wide ? y + 5 : y - 14, "text-anchor": "end" }, shown(row, "value")));
      svg.append(group);
    });
    if (better.startsWith("higher")) svg.append(draw("text", { class: "tick", x: right, y: bottom + 36, "text-anchor": "end" }, "better →"));
    if (better === "lower is better") svg.append(draw("text", { class: "tick", x: left, y: bottom + 36 }, "← better"));
    parts.plot.replaceChildren(svg);
    for (const text of svg.querySelectorAll(".name")) { // a label longer than its place is drawn narrower
      const room = wide ? left - 16 : width - 9 * number - 12;
      if (text.getComputedTextLength() > room) text.setAttribute("textLength", room), text.setAttribute("lengthAdjust", "spacingAndGlyphs");
    }
  };

  // The table.

  const sort = (column) => {
    if (state.sort !== column) Object.assign(state, { sort: column, down: false });
    else if (!state.down) state.down = true;
    else Object.assign(state, { sort: "", down: false });
    update();
    parts.head.querySelector(`[data-column="${column}"]`).focus();
  };

  const tabulate = (table) => {
    parts.head.replaceChildren(make("tr", {}, ...COLUMNS.map(([column, label]) => {
      const now = state.sort === column, way = state.down ? "descending" : "ascending";
      return make("th", { scope: "col", "aria-sort": now && way },
        make("button", { type: "button", "data-column": column, onclick: () => sort(column) }, label,
          make("span", { "aria-hidden": "true" }, now ? (state.down ? "▼" : "▲") : "↕")));
    })));
    parts.body.replaceChildren(...table.map((row) => make("tr", {}, ...COLUMNS.map(([column], i) =>
      make(i ? "td" : "th", { ...(i ? {} : { scope: "row" }), class: !WORDS.includes(column) && "number" }, shown(row, column))))));
  };

  const csv = () => {
    const quote = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const view = SELECTS.map((column) => state[column]);
    return [[...SELECTS, ...COLUMNS.map(([column]) => column)],
      ...rows().map((row) => [...view, ...COLUMNS.map(([column]) => shown(row, column))])]
      .map((line) => line.map(quote).join(",") + "\r\n").join("");
  };

  const download = () => {
    const link = make("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv;charset=utf-8" })),
      download: `${SELECTS.map((column) => state[column]).join("-").replace(/[^\w-]+/g, "-")}.csv` });
    root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say("The CSV file was handed to the browser.");
  };

  const copy = async () => {
    keep();
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link was copied.");
    } catch { // no clipboard outside https and localhost
      const field = make("textarea", { class: "explorer-copied", "aria-hidden": "true" }, location.href);
      root.append(field);
      field.select();
      const done = document.execCommand("copy");
      field.remove();
      parts.copy.focus();
      say(done ? "The link was copied." : "The browser did not let the link be copied. It is in the address line.");
    }
  };

  const say = (text) => { parts.status.textContent = text; };

  const update = (first = "") => {
    const table = rows(), { label, better, space } = measures.get(state.measure);
    const lines = !space ? "Lines: 95 % intervals."
      : table.some((row) => row.seeds > 1) ? "Lines: 95 % intervals over seeds." : "One seed: no lines.";
    parts.caption.replaceChildren(make("b", {}, `${label}: ${better}.`),
      ` ${title.study(state.study)}; ${title.part(state.part)}; ${title.benchmark(state.benchmark)}; language: ${title.language(state.language)}. ${lines}`
      + (table.some((row) => row.cell === "untrained" && row.system === "plain") ? " Dashed: untrained." : "")
      + " The axis need not begin at 0.");
    plot(table);
    tabulate(table);
    say(`${first || ""} ${table.length === 1 ? "1 row" : `${table.length} rows`} shown, of ${series().length}.`
      + (table.length ? "" : " Tick a condition and a system."));
    if (first !== null) keep();
  };

  const refresh = (first) => { settle(); controls(); update(first); };

  // The page.

  for (const name of SELECTS) parts[name] = make("select", { id: `explorer-${name}`, onchange: (event) => {
    state[name] = event.target.value;
    refresh();
  } });
  for (const name of ["condition", "system"]) parts[name] = make("fieldset", {});
  parts.caption = make("figcaption", {});
  parts.plot = make("div", { class: "explorer-plot" });
  parts.head = make("thead");
  parts.body = make("tbody");
  parts.status = make("p", { role: "status", "aria-live": "polite", class: "explorer-status" });
  parts.copy = make("button", { type: "button", onclick: copy }, "Copy link");
  root.querySelector(".explorer-static").remove();
  root.tabIndex = -1;
  root.append(
    make("form", { class: "explorer-form", "aria-label": "What to show", onsubmit: (event) => event.preventDefault() },
      make("div", { class: "explorer-selects" }, ...SELECTS.map((name) =>
        make("div", {}, make("label", { for: `explorer-${name}` }, NAMES[name]), parts[name]))),
      parts.condition, parts.system),
    make("div", { class: "explorer-bar" }, parts.status, make("span", { class: "explorer-buttons" }, parts.copy,
      make("button", { type: "button", onclick: download }, "Download CSV"),
      make("button", { type: "button", onclick: () => { reset(); refresh(); } }, "Start again"))),
    make("figure", { class: "explorer-figure" }, parts.caption, parts.plot),
    make("p", { id: "explorer-note" }, "The same numbers as a table. The head of a column sorts it and the plot."),
    make("div", { class: "explorer-scroll", tabindex: "0", role: "region", "aria-label": "Table of what is shown" },
      make("table", { class: "explorer-table", "aria-labelledby": "explorer-note" }, parts.head, parts.body)));

  const follow = (message) => {
    refresh(message);
    root.focus({ preventScroll: true });
    root.scrollIntoView({ block: "start" });
  };
  const message = restore();
  if (message === null) {
    reset();
    controls();
    update(null);
  } else follow(message);
  addEventListener("hashchange", () => {
    const asked = restore();
    if (asked !== null) follow(asked);
  });
  let width = parts.plot.clientWidth;
  new ResizeObserver(() => {
    if (parts.plot.clientWidth === width) return;
    width = parts.plot.clientWidth;
    plot(rows());
  }).observe(parts.plot);
})();
