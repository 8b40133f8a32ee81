// Three pictures of a study of batch sizes, both axes logarithmic: updates, seconds and learning rates by size.

const data = JSON.parse(document.getElementById("numbers").textContent);
const root = document.documentElement;
const keep = {
  read(name) { try { return sessionStorage.getItem(`epochal-${name}`); } catch { return null; } },
  write(name, value) { try { sessionStorage.setItem(`epochal-${name}`, value); } catch { /* a page without storage forgets */ } },
};
const AIR = 1.25, POINT = 4.2, LEAST_DECADES = 0.7;

// A logarithmic axis whose marks are batch sizes.
class SizeScale extends Scale {
  constructor(sizes, from, to) {
    super(...span(sizes), from, to, true);
    this.sizes = sizes;
  }

  marks() { return this.sizes.map((size) => ({ value: size, text: count(size) })); }
}

// A logarithmic axis with marks at 1, 2 and 5 where there is room for them.
class FineScale extends Scale {
  marks(wanted) { return this.powers(1.8 * wanted); }
}

const span = (values) => {
  const known = values.filter((value) => value > 0);
  let [low, high] = [Math.min(...known), Math.max(...known)];
  const short = 10 ** LEAST_DECADES / (high / low);
  if (short > 1) [low, high] = [low / Math.sqrt(short), high * Math.sqrt(short)];
  return [low / AIR, high * AIR];
};

const least = (value) => (value >= 100 ? count(value) : String(+value.toPrecision(3)));
const seconds = (value) => `${least(value)}\u00a0${words().second}`;
const words = () => data.words[root.lang];

// A chart's frame: axes, what `draw` puts between them, and which row is nearest to the pointer.
class SizeChart {
  constructor(figure, { sizes, values, yTitle, draw, say }) {
    Object.assign(this, { figure, sizes, values, yTitle, drawInside: draw, sayRow: say });
    this.canvases = buildCanvases(figure);
    const plot = figure.querySelector(".plot"), at = figure.querySelector(".at");
    plot.addEventListener("pointermove", (event) => { at.textContent = this.textAt(event.clientX - plot.getBoundingClientRect().left); });
    plot.addEventListener("pointerleave", () => { at.textContent = ""; });
  }

  draw() { this.paint(prepare(this.canvases.picture)); }

  paint({ pen, width, height }) {
    const box = { left: 58, right: width - 14, top: 26, bottom: height - 44 };
    const x = new SizeScale(this.sizes(), box.left, box.right);
    const y = new FineScale(...span(this.values()), box.bottom, box.top, true);
    this.x = x;
    drawAxes(pen, box, x, y, { x: words().axis_size, y: words()[this.yTitle], grid: true });
    pen.save();
    pen.beginPath(); pen.rect(box.left, box.top - 6, box.right - box.left + 8, box.bottom - box.top + 6); pen.clip();
    this.drawInside(pen, box, x, y);
    pen.restore();
  }

  textAt(pixel) {
    const there = data.rows.filter((row) => this.sayRow(row));
    const away = ({ size }) => Math.abs(this.x.toPixel(size) - pixel);
    const row = there.reduce((best, one) => (!best || away(one) < away(best) ? one : best), null);
    return row ? `B = ${count(row.size)}: ${this.sayRow(row)}` : "";
  }
}

// Pieces that the charts are drawn from.
const line = (pen, style, points, width = 1.75, dash = DASHES[style]) => {
  pen.strokeStyle = colour(`s${style}`); pen.lineWidth = width; pen.setLineDash(dash);
  pen.beginPath();
  points.forEach(([x, y], place) => (place ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke(); pen.setLineDash([]);
};

const point = (pen, style, x, y, isHollow) => {
  pen.beginPath(); pen.arc(x, y, POINT, 0, 2 * Math.PI); pen.closePath();
  pen.fillStyle = colour(isHollow ? "paper" : `s${style}`); pen.fill();
  pen.strokeStyle = colour(isHollow ? `s${style}` : "paper"); pen.lineWidth = isHollow ? 1.75 : 1.2; pen.stroke();
};

const area = (pen, name, alpha, points) => {
  pen.beginPath();
  points.forEach(([x, y], place) => (place ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  pen.globalAlpha = alpha; pen.fillStyle = colour(name); pen.fill(); pen.globalAlpha = 1;
};

const placed = (x, y, sizes, values) => sizes.map((size, place) => [x.toPixel(size), y.toPixel(values[place])]);

// Updates: points with the range of their seeds, perfect scaling, the fewest updates, and the fitted law with its band.
const drawUpdates = (pen, box, x, y) => {
  const { curve, rows, guides } = data;
  if (curve) {
    const low = placed(x, y, curve.sizes, curve.low), high = placed(x, y, curve.sizes, curve.high);
    area(pen, "s0", 0.18, [...low, ...high.reverse()]);
  }
  if (guides.scaling) line(pen, 1, placed(x, y, [x.low, x.high], [guides.scaling / x.low, guides.scaling / x.high]), 1.4);
  if (guides.fewest) line(pen, 2, placed(x, y, [x.low, x.high], [guides.fewest, guides.fewest]), 1.4);
  if (curve) drawLaw(pen, placed(x, y, curve.sizes, curve.steps), curve.sizes, curve.measured);
  for (const { size, steps, low, high, edge } of rows.filter((row) => row.steps)) {
    const at = x.toPixel(size);
    pen.strokeStyle = colour("s0"); pen.lineWidth = 1.5;
    pen.beginPath(); pen.moveTo(at, y.toPixel(low)); pen.lineTo(at, y.toPixel(high)); pen.stroke();
    point(pen, 0, at, y.toPixel(steps), edge);
  }
};

// The law is drawn whole among the measured sizes, and in dashes outside of them.
const drawLaw = (pen, points, sizes, [smallest, largest]) => {
  const below = points.filter((_, place) => sizes[place] <= smallest * 1.001), above = points.filter((_, place) => sizes[place] >= largest * 0.999);
  line(pen, 0, points.filter((_, place) => sizes[place] >= smallest * 0.999 && sizes[place] <= largest * 1.001));
  for (const outside of [below, above]) line(pen, 0, outside, 1.75, [3, 4]);
};

// Seconds: a line through the points, and behind it the sizes that are about as fast as the fastest.
const drawSeconds = (pen, box, x, y) => {
  const known = data.rows.filter((row) => row.seconds);
  if (data.range) {
    const [left, right] = [x.toPixel(data.range[0]) - 11, x.toPixel(data.range[1]) + 11];
    area(pen, "accent-soft", 1, [[left, box.top], [right, box.top], [right, box.bottom], [left, box.bottom]]);
    pen.fillStyle = colour("accent"); pen.textBaseline = "top";
    const isRight = right > (box.left + box.right) / 2;
    pen.textAlign = isRight ? "right" : "left";
    pen.fillText(words().as_fast, isRight ? right - 4 : left + 4, box.top + 4);
  }
  line(pen, 0, known.map(({ size, seconds: value }) => [x.toPixel(size), y.toPixel(value)]));
  for (const row of known) point(pen, 0, x.toPixel(row.size), y.toPixel(row.seconds), row.edge);
};

// Rates: the best ones, and what two rules make of the smallest size's.
const drawRates = (pen, box, x, y) => {
  const known = data.rows.filter((row) => row.rate && row.steps), [first] = known;
  if (!first) return;
  const rule = (power) => placed(x, y, [first.size, x.high], [first.rate, first.rate * (x.high / first.size) ** power]);
  line(pen, 1, rule(1), 1.4);
  line(pen, 2, rule(0.5), 1.4);
  line(pen, 0, known.map(({ size, rate }) => [x.toPixel(size), y.toPixel(rate)]));
  for (const row of known) point(pen, 0, x.toPixel(row.size), y.toPixel(row.rate), row.edge);
};

const seedsOf = ({ low, high }) => (low < high ? ` (${count(low)}–${count(high)})` : "");

const sizesWith = (name) => data.rows.filter((row) => row[name]).map(({ size }) => size);

const CHARTS = {
  updates: {
    sizes: () => data.sizes, yTitle: "axis_updates", draw: drawUpdates, values: () => [...data.rows.flatMap(({ low, high }) => [low, high]), ...(data.curve ? [...data.curve.low, ...data.curve.high] : [])],
    say: (row) => row.steps && `${count(row.steps)} ${words().updates}${seedsOf(row)}`,
  },
  seconds: {
    sizes: () => sizesWith("seconds"), yTitle: "axis_seconds", draw: drawSeconds, values: () => data.rows.map((row) => row.seconds),
    say: (row) => row.seconds && seconds(row.seconds),
  },
  rates: {
    sizes: () => sizesWith("rate"), yTitle: "axis_rate", draw: drawRates, values: () => data.rows.map((row) => row.rate),
    say: (row) => row.rate && `${words().axis_rate} ${least(row.rate)}`,
  },
};

const charts = new Map();

const drawAll = () => {
  root.toggleAttribute("data-dark", isDark());
  for (const chart of charts.values()) chart.draw();
};

const pictureOf = (chart, height) => {
  const { figure } = chart;
  return new Picture(figure, {
    title: () => textOf(figure.querySelector("figcaption h3")), about: () => textOf(figure.querySelector("figcaption p")),
    paint: (surface) => chart.paint(surface), height,
    legend: () => [...figure.querySelectorAll("[data-key]")].map((entry) => ({
      style: Number(entry.dataset.key), isMarked: "marked" in entry.dataset, isPoint: "point" in entry.dataset, name: textOf(entry) })),
  });
};

const choose = (name, value) => {
  if (name === "lang") root.lang = value;
  else root.dataset.theme = value;
  drawAll();
};

const listenToChoices = () => {
  for (const name of ["lang", "theme"]) {
    const kept = document.querySelector(`input[name="${name}"][value="${keep.read(name)}"]`);
    if (kept) kept.checked = true;
    choose(name, document.querySelector(`input[name="${name}"]:checked`).value);
  }
  document.addEventListener("change", ({ target }) => {
    if (target.name === "lang" || target.name === "theme") { keep.write(target.name, target.value); choose(target.name, target.value); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
};

// On paper: a sheet whose empty boxes are filled with the pictures.
const printSheet = (pictures) => {
  const handout = document.querySelector(".handout");
  handout.classList.add("measured");
  for (const sheet of handout.querySelectorAll(".sheet")) fitSheet(sheet, pictures);
  handout.classList.remove("measured");
};

const start = () => {
  for (const figure of document.querySelectorAll("[data-sizes]")) charts.set(figure.dataset.sizes, new SizeChart(figure, CHARTS[figure.dataset.sizes]));
  const pictures = Object.fromEntries([...charts].map(([name, chart]) => [name, pictureOf(chart, 400)]));
  listenToChoices();
  addEventListener("beforeprint", () => printSheet(pictures));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
  window.epochal = { charts, pictures };
  root.dataset.ready = "true";
};
