// What charts and landscapes share, and the chart of lines.

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [1, 5], [5, 2, 2, 2], [12, 3, 3, 3, 3, 3]];
const HOVER_LINE = [3, 3];
const WIDEST_BAND = 30000; // highest over lowest loss that a logarithmic axis still shows in full

// The canvases of a plot: the picture, and the read-out over it.
const buildCanvases = (figure) => {
  const names = ["picture", "over"];
  const canvases = names.map((name) => Object.assign(document.createElement("canvas"), { className: name }));
  figure.querySelector(".plot").replaceChildren(...canvases);
  return Object.fromEntries(names.map((name, place) => [name, canvases[place]]));
};

// A run's mark in its colour: circle, square, triangle or diamond, full for the first four runs, hollow for the next.
const drawMark = (pen, style, x, y, size, edge = 1.2) => {
  pen.beginPath();
  if (style % 4 === 0) pen.arc(x, y, size, 0, 2 * Math.PI);
  else if (style % 4 === 1) pen.rect(x - size, y - size, 2 * size, 2 * size);
  else if (style % 4 === 2) { pen.moveTo(x, y - 1.3 * size); pen.lineTo(x + 1.2 * size, y + size); pen.lineTo(x - 1.2 * size, y + size); }
  else { pen.moveTo(x, y - 1.4 * size); pen.lineTo(x + 1.4 * size, y); pen.lineTo(x, y + 1.4 * size); pen.lineTo(x - 1.4 * size, y); }
  pen.closePath();
  const isHollow = style % 8 > 3;
  pen.fillStyle = colour(isHollow ? "paper" : `s${style % 8}`);
  pen.strokeStyle = colour(isHollow ? `s${style % 8}` : "paper");
  pen.lineWidth = edge;
  pen.fill();
  pen.stroke();
};

const swatch = (style, isMarked) => {
  const marks = ['<circle cx="17" cy="6" r="4"/>', '<path d="M13 2h8v8h-8z"/>', '<path d="M17 1l5 9.5h-10z"/>',
    '<path d="M17 .5l5.5 5.5-5.5 5.5-5.5-5.5z"/>'];
  const template = document.createElement("template");
  template.innerHTML = `<svg class="swatch s${style % 8}" viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">`
    + `<path class="stroke dash${style % 8}" d="M1 6H33"/>${isMarked ? marks[style % 4] : ""}</svg>`;
  return template.content.firstChild;
};

// The axes, their marks and titles, around the box {left, right, top, bottom}.
const drawAxes = (pen, box, x, y, titles, yText) => {
  pen.fillStyle = colour("soft");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.strokeStyle = colour("line");
  for (const { value, text } of y.marks((box.bottom - box.top) / 56)) {
    const at = Math.round(y.toPixel(value)) + 0.5;
    if (titles.grid) { pen.beginPath(); pen.moveTo(box.left, at); pen.lineTo(box.right, at); pen.stroke(); }
    pen.fillText(yText ? yText(value) : text, box.left - 8, at);
  }
  pen.textAlign = "center";
  pen.textBaseline = "top";
  let free = -Infinity;
  pen.strokeStyle = colour("strong");
  for (const { value, text } of x.marks((box.right - box.left) / 84)) {
    const at = x.toPixel(value), half = pen.measureText(text).width / 2;
    pen.beginPath(); pen.moveTo(Math.round(at) + 0.5, box.bottom); pen.lineTo(Math.round(at) + 0.5, box.bottom + 4); pen.stroke();
    if (at - half > free) { pen.fillText(text, at, box.bottom + 7); free = at + half + 10; }
  }
  pen.beginPath(); pen.moveTo(box.left, box.bottom + 0.5); pen.lineTo(box.right, box.bottom + 0.5); pen.stroke();
  pen.textAlign = "right";
  pen.fillText(titles.x, box.right, box.bottom + 23);
  pen.textAlign = "left";
  pen.fillText(titles.y, 0, 2);
};

class Chart {
  // `state` is shared by all charts: unit, isLogX, isLogY, view ([low, high] or null), words.
  // `isLoss`: whether y may be logarithmic; `isShare`: whether values are shares, written in percent.
  constructor(figure, lines, state, { yTitle, isLoss, hasBands, isShare = false, linesOf = null }) {
    Object.assign(this, { figure, state, yTitle, isLoss, hasBands, isShare, linesOf, entries: [], scales: null });
    this.canvases = buildCanvases(figure);
    this.lines = lines;
    this.rows = lines.map((line) => this.addRow(line));
    this.sayWhetherEmpty();
  }

  // Take the numbers of newer lines, one for each of these.
  renew(lines) {
    lines.forEach((line, number) => {
      const { iterations, low, mean, high, cache } = line;
      Object.assign(this.lines[number], { iterations, low, mean, high, cache });
    });
    this.sayWhetherEmpty();
  }

  sayWhetherEmpty() {
    this.figure.querySelector(".nothing").hidden = this.lines.some((line) => line.mean.length);
  }

  get drawn() { return this.lines.filter((line) => line.shown && line.mean.length); }

  addRow(line) {
    const row = this.figure.querySelector("tbody").insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    const label = document.createElement("label"), box = document.createElement("input"), name = document.createElement("span");
    Object.assign(box, { type: "checkbox", checked: true });
    box.addEventListener("change", () => { line.shown = box.checked; row.classList.toggle("off", !box.checked); this.draw(); });
    name.append(...line.title());
    label.append(box, swatch(line.style, line.marked), name);
    head.append(label);
    row.append(head);
    const where = Object.assign(row.insertCell(), { className: "where" });
    return { where, value: row.insertCell(), range: this.hasBands ? row.insertCell() : null };
  }

  // Lowest and highest x of what there is to see.
  extent() {
    let low = Infinity, high = -Infinity;
    for (const line of this.lines) {
      const x = line.x(this.state.unit);
      if (!x.length) continue;
      low = Math.min(low, this.state.isLogX ? x.find((value) => value > 0) ?? Infinity : 0);
      high = Math.max(high, x[x.length - 1]);
    }
    return [low, high];
  }

  draw() {
    this.paint(prepare(this.canvases.picture));
    prepare(this.canvases.over);
    this.read(null);
  }

  // Draw all of it elsewhere, in another size, and leave the chart as it stands on the page.
  copyTo(surface) {
    const { entries, scales, clipped } = this, { from, to } = this.figure.dataset;
    this.paint(surface);
    Object.assign(this, { entries, scales, clipped });
    Object.assign(this.figure.dataset, { from, to });
  }

  // The shown lines, for a legend: style, whether marked, and the name as the page has it.
  legend() {
    const named = this.lines.map((line, number) => ({ line, name: this.nameOf(number) }));
    return named.filter(({ line }) => this.drawn.includes(line)).map(({ line, name }) => ({ style: line.style, isMarked: line.marked, name }));
  }

  nameOf(number) {
    const parts = this.rows[number].where.parentElement.querySelector("label > span:last-child").childNodes;
    return [...parts].map((part) => part.textContent.trim()).filter(Boolean).join(" ");
  }

  paint({ pen, width, height }) {
    const { unit, isLogX, words } = this.state;
    let [low, high] = this.state.view ?? this.state.extent;
    if (!(high > low)) [low, high] = [isLogX ? high / 2 : high - 1, high * 1.0001 + (high ? 0 : 1)];
    const box = { left: 58, right: width - 14, top: 26, bottom: height - 44 };
    const x = new Scale(low, high, box.left, box.right, isLogX);
    this.entries = this.drawn.map((line) => reduce(line, unit, x));
    const isLog = this.isLoss && this.state.isLogY;
    const range = this.range(isLog);
    this.scales = null;
    Object.assign(this.figure.dataset, { from: low, to: high });
    if (!range) return;
    const y = new Scale(...range, box.bottom, box.top, isLog);
    this.scales = { x, y, box };
    drawAxes(pen, box, x, y, { x: words[`axis_${unit}`], y: words[this.yTitle] ?? textOf(this.figure.querySelector("h3")), grid: true }, this.isShare ? (share) => `${+(100 * share).toFixed(4)} %` : null);
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top - 6, box.right - box.left + 8, box.bottom - box.top + 6);
    pen.clip();
    this.drawPhases(pen, box, x);
    this.drawn.forEach((line, place) => this.drawBand(pen, line, this.entries[place], y));
    this.drawn.forEach((line, place) => this.drawLine(pen, line, this.entries[place], y));
    pen.restore();
    this.drawClipped(pen, box, range);
  }

  // Where a run's batch size changes: a line down, and the size from there on where there is room to write it.
  drawPhases(pen, box, x) {
    pen.save();
    pen.strokeStyle = pen.fillStyle = colour("soft");
    pen.setLineDash([2, 4]);
    pen.textAlign = "left"; pen.textBaseline = "top";
    for (const run of new Set(this.drawn.map((line) => line.run))) {
      let free = box.left;
      for (const { iteration, batch } of run?.time?.phases ?? []) {
        const at = x.toPixel(run.time.worth([iteration], this.state.unit)[0]), text = `B = ${count(batch)}`;
        if (at <= box.left || at >= box.right) continue;
        pen.beginPath(); pen.moveTo(at, box.top); pen.lineTo(at, box.bottom); pen.stroke();
        if (at < free || at + 4 + pen.measureText(text).width > box.right) continue;
        pen.fillText(text, at + 4, box.top);
        free = at + 12 + pen.measureText(text).width;
      }
    }
    pen.restore();
  }

  // The y range: every mean, and the bands, where they do not squeeze the means; `drawClipped` says what is outside.
  range(isLog) {
    let low = Infinity, high = -Infinity, lowest = Infinity, highest = -Infinity;
    for (const entry of this.entries.flat()) {
      if (!entry.number || (isLog && entry.mean <= 0)) continue;
      low = Math.min(low, entry.mean);
      high = Math.max(high, entry.mean);
      if (!isLog || entry.low > 0) lowest = Math.min(lowest, entry.low);
      highest = Math.max(highest, entry.high);
    }
    if (low > high) return null;
    this.clipped = [lowest, highest];
    if (isLog) {
      const room = highest / lowest < WIDEST_BAND ? Infinity : 4;
      return [Math.max(lowest, low / room) / 1.1, Math.min(highest, high * room) * 1.1];
    }
    const height = high - low || Math.abs(high) || 1;
    const [from, to] = [Math.max(lowest, low - height), Math.min(highest, high + height)];
    const air = (to - from || 1) * 0.04;
    return [this.isLoss && from >= 0 ? Math.max(0, from - air) : from - air, to + air];
  }

  drawBand(pen, line, entries, y) {
    if (entries.every((entry) => entry.single)) return;
    const limit = (value) => Math.max(Math.min(y.toPixel(Math.max(value, y.isLog ? y.low / 10 : value)), y.from + 9), y.to - 99);
    const solid = entries.filter((entry) => entry.number);
    pen.beginPath();
    solid.forEach((entry) => pen.lineTo(entry.x, limit(entry.high)));
    solid.reverse().forEach((entry) => pen.lineTo(entry.x, limit(entry.low)));
    pen.closePath();
    pen.globalAlpha = this.drawn.length > 1 ? 0.14 : 0.22;
    pen.fillStyle = colour(`s${line.style % 8}`);
    pen.fill();
    pen.globalAlpha = 1;
  }

  drawLine(pen, line, entries, y) {
    pen.strokeStyle = pen.fillStyle = colour(`s${line.style % 8}`);
    pen.lineWidth = line.marked || entries.every((entry) => entry.single) ? 1.75 : 1.4;
    pen.setLineDash(DASHES[line.style % 8]);
    pen.beginPath();
    let isDown = false;
    for (const entry of entries) {
      const isThere = Number.isFinite(entry.mean) && (!y.isLog || entry.mean > 0);
      if (isThere && isDown) pen.lineTo(entry.x, y.toPixel(entry.mean));
      else if (isThere) pen.moveTo(entry.x, y.toPixel(entry.mean));
      isDown = isThere;
    }
    pen.stroke();
    pen.setLineDash([]);
    this.drawMarks(pen, line, entries, y);
  }

  // A mark on every entry where there is room; else on every so many, so that lines differ without colour.
  drawMarks(pen, line, entries, y) {
    const solid = entries.filter((entry) => Number.isFinite(entry.mean) && (!y.isLog || entry.mean > 0));
    if (!solid.length) return;
    const isSparse = solid.length < 70, isAlone = solid.length === 1;
    if (line.bare && !isAlone) return;
    const room = isSparse ? 0 : line.marked ? 28 : 130;
    let free = isSparse || line.marked ? -Infinity : solid[0].x + 30 + 37 * (line.style % 4);
    for (const entry of solid) {
      if (entry.x < free) continue;
      free = entry.x + room;
      drawMark(pen, line.style, entry.x, y.toPixel(entry.mean), isSparse && !line.marked ? 2.9 : 4);
    }
  }

  // Say what of the bands lies outside the picture.
  drawClipped(pen, box, [low, high]) {
    const { words } = this.state, [lowest, highest] = this.clipped;
    pen.fillStyle = colour("soft");
    pen.textAlign = "right";
    pen.textBaseline = "top";
    if (highest > high) pen.fillText(`▲ ${words.above.replace("{value}", decimal(highest, 3))}`, box.right, 2);
    pen.textBaseline = "bottom";
    if (lowest < low) pen.fillText(`▼ ${words.below.replace("{value}", decimal(lowest, 3))}`, box.right, box.bottom - 3);
  }

  // Write what the lines are at x, or at their ends for `null`, into the table; mark it in the picture.
  read(value) {
    if (!this.scales) return;
    const { x, y, box } = this.scales;
    const { pen } = prepare(this.canvases.over);
    const pixel = value === null ? Infinity : Math.min(Math.max(x.toPixel(value), box.left), box.right);
    if (value !== null) {
      pen.strokeStyle = colour("soft");
      pen.setLineDash(HOVER_LINE);
      pen.beginPath(); pen.moveTo(Math.round(pixel) + 0.5, box.top); pen.lineTo(Math.round(pixel) + 0.5, box.bottom); pen.stroke();
      pen.setLineDash([]);
    }
    this.figure.querySelector(".at").textContent = value === null ? "" : this.place(value);
    this.lines.forEach((line, number) => this.readLine(pen, line, this.rows[number], pixel, value !== null));
  }

  // Show what a drag from one x to another would zoom into.
  select(first, last) {
    const { x, box } = this.scales, pen = this.canvases.over.getContext("2d");
    const [from, to] = [first, last].map((value) => x.toPixel(value));
    pen.globalAlpha = 0.12;
    pen.fillStyle = colour("accent");
    pen.fillRect(Math.min(from, to), box.top, Math.abs(to - from), box.bottom - box.top);
    pen.globalAlpha = 1;
  }

  readLine(pen, line, row, pixel, isMarked) {
    const drawn = this.drawn.indexOf(line);
    const entry = drawn < 0 ? undefined : this.nearest(this.entries[drawn], pixel);
    row.value.textContent = entry?.number ? this.text(entry.mean) : "–";
    row.where.textContent = entry ? this.iterationsOf(line, entry) : "";
    if (row.range) row.range.textContent = entry?.number && !entry.single ? this.rangeText(entry) : "–";
    if (!entry) return;
    if (isMarked && entry.number && entry.x >= this.scales.box.left - 1 && entry.x <= this.scales.box.right + 1) {
      drawMark(pen, line.style, entry.x, this.scales.y.toPixel(entry.mean), 5, 1.5);
    }
  }

  rangeText({ low, high }) {
    return this.state.words.lowest.replace("{low}", this.text(low)).replace("{high}", this.text(high));
  }

  iterationsOf(line, entry) {
    if (line.places) return decimal(line.places[entry.first], 2);
    const first = line.iterations[entry.first] - (line.every > 1 ? Math.min(line.every, line.iterations[entry.first]) - 1 : 0);
    const last = line.iterations[entry.last];
    return first === last ? count(first) : `${count(first)}–\u200b${count(last)}`;
  }

  nearest(entries, pixel) {
    if (pixel === Infinity) return entries.findLast((entry) => entry.number) ?? entries.at(-1);
    let best;
    for (const entry of entries) if (!best || Math.abs(entry.x - pixel) < Math.abs(best.x - pixel)) best = entry;
    return best;
  }

  text(value) { return this.isShare ? percent(value) : decimal(value); }

  place(value) {
    const { unit, words } = this.state;
    const text = ["epochs", "seconds", "t"].includes(unit) ? decimal(value, 2) : count(value);
    return `${words[`axis_${unit}`]}: ${text}`;
  }
}
