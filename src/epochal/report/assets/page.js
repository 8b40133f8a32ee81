// The page: charts from the numbers, and what its controls do.

const numbers = JSON.parse(document.getElementById("numbers").textContent);
const root = document.documentElement;
const keep = {
  read(name) { try { return sessionStorage.getItem(`epochal-${name}`); } catch { return null; } },
  write(name, value) { try { sessionStorage.setItem(`epochal-${name}`, value); } catch { /* a page without storage forgets */ } },
};
const state = { unit: "epochs", isLogX: false, isLogY: true, view: null, extent: [0, 1], words: numbers.words[root.lang] };
const runs = numbers.runs.map((data, style) => new Run(data, style));
const charts = new Map();
const lineCharts = [];
const maps = [];
const strips = [];

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

// A line's name in the legend: the run's, and what is measured where that differs.
const titled = (line, key) => {
  line.title = () => {
    const name = document.createElement("span"), kind = document.createElement("small");
    name.textContent = line.name;
    kind.dataset.word = key;
    return key ? [name, kind] : [name];
  };
  return line;
};

const lossLines = {
  every: () => runs.map((run) => titled(run.losses(), "")),
  losses: () => runs.flatMap((run) => [titled(run.trainLoss(), "train"), titled(run.test("loss"), "test")]),
};
const metricLines = (name) => () => runs.map((run) => titled(run.test(name), ""));

const buildCharts = () => {
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const { chart: name, metric } = figure.dataset, isMetric = metric !== undefined;
    const linesOf = isMetric ? metricLines(name) : lossLines[name];
    const isShare = isMetric && name.endsWith("accuracy");
    const options = { isLoss: !isMetric, hasBands: name === "every" && !isMetric, isShare, linesOf, yTitle: isMetric ? "" : "axis_loss" };
    charts.set(isMetric ? `metric ${name}` : name, new Chart(figure, linesOf(), state, options));
  }
};

// The loss along straight lines between weights: a chart with a scale of its own.
const buildLineCharts = () => {
  for (const figure of document.querySelectorAll("[data-lines]")) {
    const lines = numbers.landscapes[figure.dataset.lines].lines.map(straightLine);
    const places = lines.flatMap((line) => [line.places[0], line.places.at(-1)]);
    const own = { unit: "t", isLogX: false, view: null, extent: [Math.min(...places), Math.max(...places)],
      get isLogY() { return state.isLogY; }, get words() { return state.words; } };
    const chart = new Chart(figure, lines, own, { isLoss: true, hasBands: false, yTitle: "axis_loss" });
    lineCharts.push(chart);
    listenToPointer(chart, (value) => chart.read(value), false);
    listenToKeys(chart, (value) => chart.read(value), false);
  }
};

const straightLine = ({ start, end, t, loss }, style) => {
  const values = Float32Array.from(loss, (value) => value ?? NaN);
  const line = new Line({ style, name: "", iterations: t, low: values, mean: values, high: values, bare: true });
  const key = start[0] === end[0] ? "within" : "between";
  const [run, first, last] = key === "within" ? [start[0], start[1], end[1]] : ["", start[0], end[0]];
  line.places = t;
  line.x = () => t;
  line.title = () => {
    const name = document.createElement("span");
    Object.assign(name.dataset, { word: key, run, first, last });
    return [name];
  };
  return line;
};

const buildStrips = () => {
  const held = new Map(Object.entries(numbers.samples).map(([data, samples]) => [data, new Samples(samples)]));
  for (const figure of document.querySelectorAll("[data-strip]")) {
    const run = runs[figure.dataset.strip];
    strips.push(new Strip(figure, run, held.get(run.strip.data), state));
  }
};

const drawAll = () => {
  let [low, high] = [Infinity, -Infinity];
  for (const chart of charts.values()) {
    const [first, last] = chart.extent();
    [low, high] = [Math.min(low, first), Math.max(high, last)];
  }
  state.extent = high > low ? [low, high] : [state.isLogX ? 1 : 0, Math.max(high, 1) + (high === low ? 1e-9 : 0)];
  root.toggleAttribute("data-dark", isDark());
  for (const chart of [...charts.values(), ...lineCharts]) chart.draw();
  for (const map of maps) map.draw();
  for (const strip of strips) strip.draw();
  for (const button of document.querySelectorAll('[data-do="all"], [data-do="out"]')) button.disabled = !state.view;
};

const readAll = (value) => { for (const chart of charts.values()) chart.read(value); };

// Show x from `low` to `high`, within what there is; everything for nothing.
const show = (low, high) => {
  const [first, last] = state.extent;
  if (low === undefined || (low <= first && high >= last)) state.view = null;
  else state.view = [Math.max(low, first), Math.min(high, last)];
  drawAll();
};

const zoom = (factor, around) => {
  const [low, high] = state.view ?? state.extent;
  const scale = new Scale(low, high, 0, 1, state.isLogX);
  const centre = around === null ? 0.5 : scale.toPixel(around);
  const from = centre - centre * factor, to = centre + (1 - centre) * factor;
  const isLeast = to - from < 1 && scale.toValue(to) - scale.toValue(from) < 1e-6 * (state.extent[1] || 1);
  if (!isLeast) show(scale.toValue(from), scale.toValue(to));
};

const shift = (part) => {
  const [low, high] = state.view ?? state.extent;
  const scale = new Scale(low, high, 0, 1, state.isLogX), [first, last] = state.extent;
  const by = part < 0 ? Math.max(part, scale.toPixel(first)) : Math.min(part, scale.toPixel(last) - 1);
  if (Math.abs(by) > 1e-9) show(scale.toValue(by), scale.toValue(1 + by));
};

const listenToPointer = (chart, read = readAll, canZoom = true) => {
  const plot = chart.figure.querySelector(".plot");
  let from = null;
  const valueAt = (event) => {
    const { x, box } = chart.scales;
    const pixel = event.clientX - plot.getBoundingClientRect().left;
    return x.toValue(Math.min(Math.max(pixel, box.left), box.right));
  };
  plot.addEventListener("pointerdown", (event) => {
    if (!chart.scales || event.button || !canZoom) return;
    from = { pixel: event.clientX, value: valueAt(event) };
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => {
    if (!chart.scales) return;
    plot.cursorValue = valueAt(event);
    read(plot.cursorValue);
    if (from) chart.select(from.value, plot.cursorValue);
  });
  plot.addEventListener("pointerup", (event) => {
    if (from && Math.abs(event.clientX - from.pixel) > 6) {
      const to = valueAt(event);
      show(Math.min(from.value, to), Math.max(from.value, to));
    }
    from = null;
  });
  plot.addEventListener("pointercancel", () => { from = null; });
  plot.addEventListener("pointerleave", () => { if (!from) { plot.cursorValue = undefined; read(null); } });
  if (canZoom) plot.addEventListener("dblclick", () => show());
};

const listenToKeys = (chart, read = readAll, canZoom = true) => {
  const plot = chart.figure.querySelector(".plot");
  const move = (pixels) => {
    const { x, box } = chart.scales;
    const at = plot.cursorValue === undefined ? (box.left + box.right) / 2 : x.toPixel(plot.cursorValue);
    plot.cursorValue = x.toValue(Math.min(Math.max(at + pixels, box.left), box.right));
    read(plot.cursorValue);
  };
  const moves = { ArrowLeft: () => move(-4), ArrowRight: () => move(4), Home: () => move(-1e9), End: () => move(1e9) };
  const actions = !canZoom ? moves : {
    ...moves,
    ArrowLeft: (event) => (event.shiftKey ? shift(-0.25) : move(-4)),
    ArrowRight: (event) => (event.shiftKey ? shift(0.25) : move(4)),
    "+": () => zoom(0.5, plot.cursorValue ?? null), "=": () => zoom(0.5, plot.cursorValue ?? null),
    "-": () => zoom(2, plot.cursorValue ?? null), 0: () => show(), Escape: () => show(),
  };
  plot.addEventListener("keydown", (event) => {
    if (!chart.scales || !actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key](event);
  });
  plot.addEventListener("blur", () => read(null));
};

const listenToButtons = () => {
  document.addEventListener("click", (event) => {
    const action = event.target.closest("[data-do]")?.dataset.do;
    if (action === "in") zoom(0.5, null);
    else if (action === "out") zoom(2, null);
    else if (action === "all") show();
  });
};

const setLanguage = (language) => {
  root.lang = language;
  state.words = numbers.words[language];
  for (const element of document.querySelectorAll("[data-word]")) {
    const { word, run, first, last } = element.dataset;
    if (state.words[word]) element.textContent = state.words[word].replace("{run}", run).replace("{first}", first).replace("{last}", last);
  }
  drawAll();
};

const listenToChoices = () => {
  document.addEventListener("change", ({ target }) => {
    if (target.name === "lang") { keep.write("lang", target.value); setLanguage(target.value); }
    else if (target.name === "theme") { keep.write("theme", target.value); root.dataset.theme = target.value; drawAll(); }
    else if (["x-unit", "x-scale", "y-scale"].includes(target.name)) {
      if (target.name !== "y-scale") state.view = null;
      readControls();
      drawAll();
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
};

const readControls = () => {
  Object.assign(state, { unit: chosen("x-unit"), isLogX: chosen("x-scale") === "log", isLogY: chosen("y-scale") === "log" });
};

const restoreChoices = () => {
  for (const name of ["lang", "theme"]) {
    const input = document.querySelector(`input[name="${name}"][value="${keep.read(name)}"]`);
    if (input) input.checked = true;
  }
  root.dataset.theme = chosen("theme");
};

const start = () => {
  restoreChoices();
  readControls();
  buildCharts();
  for (const figure of document.querySelectorAll("[data-map]")) {
    maps.push(new Landscape(figure, numbers.landscapes[figure.dataset.map], state));
  }
  buildLineCharts();
  buildStrips();
  const pictures = buildPictures();
  for (const chart of charts.values()) { listenToPointer(chart); listenToKeys(chart); }
  listenToButtons();
  listenToChoices();
  addEventListener("beforeprint", () => drawHandout(pictures));
  setLanguage(chosen("lang"));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
  if (numbers.watch) watch();
  window.epochal = { charts, maps, strips, pictures, runs, state, crossings, Order, orderNamed };
  root.dataset.ready = "true";
};
