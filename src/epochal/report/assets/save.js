// Pictures to keep: a chart with its title and legend, as SVG or as PNG in twice its size.

const SAVED_WIDTH = 900, SAVED_EDGE = 24, PNG_SCALE = 2;
const MOST_LEGEND = 0.3; // of the height of a picture on paper

// Draw in the colours of a theme: light ones as on paper, whatever the page has.
const inColours = (theme, draw) => {
  const before = palette;
  palette = getComputedStyle(document.querySelector(theme === "dark" ? "#night" : "#day"));
  try { return draw(); } finally { palette = before; }
};

const setSize = (pen, size, weight = 400) => { pen.font = pen.font.replace(/^(\d{3} )?\d+px/, `${weight === 400 ? "" : `${weight} `}${size}px`); };

// Lines of a text that are at most so wide; Chinese breaks between any two signs.
const wrapped = (pen, text, width) => {
  const lines = [""];
  for (const word of text.match(/[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+\s*|\s+/g) ?? []) {
    const longer = lines.at(-1) + word;
    if (lines.at(-1) && pen.measureText(longer.trimEnd()).width > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.map((line) => line.trim()).filter(Boolean);
};

// A picture on the page that can be saved: what it is called, and how it is drawn `width` wide.
class Picture {
  // `paint({ pen, width, height })` draws it; `height` is a number, or tells it for a width.
  constructor(figure, { title, about = () => "", paint, height, legend = () => [] }) {
    Object.assign(this, { figure, title, about, paint, legend, heightOf: typeof height === "number" ? () => height : height });
    this.button = figure.querySelector("[data-save]");
    this.menu = figure.querySelector(".menu");
    this.button.addEventListener("click", () => this.toggle(this.menu.hidden));
    this.menu.addEventListener("click", ({ target }) => {
      const kind = target.closest("[data-as]")?.dataset.as;
      if (kind) this.save(kind);
    });
    this.button.parentElement.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.menu.hidden) { this.toggle(false); this.button.focus(); }
    });
    document.addEventListener("pointerdown", ({ target }) => { if (!this.button.parentElement.contains(target)) this.toggle(false); });
    this.button.parentElement.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !this.button.parentElement.contains(relatedTarget)) this.toggle(false);
    });
  }

  toggle(isOpen) {
    this.menu.hidden = !isOpen;
    this.button.setAttribute("aria-expanded", isOpen);
  }

  // Title, picture and legend, one below the other: what stands where, and how high it is together. With a `height`
  // the picture has what is left of that.
  layout(pen, { width, height = null, edge = SAVED_EDGE, title = 16, isShort = false }) {
    const inner = width - 2 * edge, note = [document.querySelector("h1").innerText, this.about()].filter(Boolean).join(" · ");
    setSize(pen, title, 600);
    const titles = wrapped(pen, this.title(), inner).map((text, line) => ({ text, y: edge + 1.4 * title * line }));
    setSize(pen, 12);
    const below = edge + 1.4 * title * titles.length;
    const notes = isShort ? [] : wrapped(pen, note, inner).map((text, line) => ({ text, y: below + 17 * line }));
    const plotTop = below + 17 * notes.length + (isShort ? 4 : 14);
    let [x, y] = [0, 0];
    let entries = this.legend().map(({ style, isMarked, isPoint, name: whole }) => {
      const name = fitted(pen, whole, inner - 44), wide = 44 + pen.measureText(name).width;
      if (x && x + wide > inner) [x, y] = [0, y + 19];
      const entry = { style, isMarked, isPoint, name, x: edge + x, y };
      x += wide + 22;
      return entry;
    });
    if (isShort && y + 32 > height * MOST_LEGEND) entries = []; // the table of runs has the marks too
    const legendHeight = entries.length ? y + 32 : 0;
    const plotHeight = height === null ? this.heightOf(inner) : Math.max(110, height - plotTop - legendHeight - edge);
    for (const entry of entries) entry.y += plotTop + plotHeight + 22;
    return { width, inner, edge, title, titles, notes, plotTop, plotHeight, entries, height: plotTop + plotHeight + legendHeight + edge };
  }

  draw(pen, { width, inner, edge, title, titles, notes, plotTop, plotHeight, entries, height }) {
    pen.fillStyle = colour("paper"); pen.fillRect(0, 0, width, height);
    pen.textAlign = "left"; pen.textBaseline = "top";
    pen.fillStyle = colour("ink"); setSize(pen, title, 600);
    for (const { text, y } of titles) pen.fillText(text, edge, y);
    pen.fillStyle = colour("soft"); setSize(pen, 12);
    for (const { text, y } of notes) pen.fillText(text, edge, y);
    pen.save(); pen.translate(edge, plotTop);
    this.paint({ pen, width: inner, height: plotHeight });
    pen.restore();
    for (const { style, isMarked, isPoint, name, x, y } of entries) {
      pen.strokeStyle = colour(`s${style % 8}`); pen.lineWidth = 2; pen.setLineDash(DASHES[style % 8]);
      if (!isPoint) { pen.beginPath(); pen.moveTo(x, y); pen.lineTo(x + 34, y); pen.stroke(); }
      pen.setLineDash([]);
      if (isMarked) drawMark(pen, style, x + 17, y, 4);
      pen.fillStyle = colour("ink"); pen.textAlign = "left"; pen.textBaseline = "middle";
      pen.fillText(name, x + 42, y);
    }
  }

  svg(theme, form = { width: SAVED_WIDTH }) {
    return inColours(theme, () => {
      const pen = SvgPen.named(), layout = this.layout(pen, form);
      this.draw(pen, layout);
      return pen.text(layout.width, layout.height, this.title());
    });
  }

  canvas(theme) {
    return inColours(theme, () => {
      const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
      const font = `12px ${getComputedStyle(document.body).fontFamily}`;
      pen.font = font;
      const layout = this.layout(pen, { width: SAVED_WIDTH });
      Object.assign(canvas, { width: PNG_SCALE * SAVED_WIDTH, height: Math.ceil(PNG_SCALE * layout.height) });
      pen.scale(PNG_SCALE, PNG_SCALE);
      Object.assign(pen, { font, lineJoin: "round" });
      this.draw(pen, layout);
      return canvas;
    });
  }

  // As a file: the page's title and the picture's, in the page's language.
  fileName(kind) {
    const words = `${document.querySelector("h1").innerText} ${this.title()}`;
    const safe = words.normalize("NFC").replace(/[\s\p{C}\/\\:*?"<>|.·]+/gu, "-").replace(/-+/g, "-").replace(/^-|-$/g, "");
    return `${[...safe].slice(0, 80).join("").replace(/-$/, "") || "epochal"}.${kind}`;
  }

  async save(kind) {
    const theme = this.menu.querySelector("input").checked ? "dark" : "light";
    const file = kind === "svg" ? new Blob([this.svg(theme)], { type: "image/svg+xml" })
      : await new Promise((done) => { this.canvas(theme).toBlob(done, "image/png"); });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: this.fileName(kind) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.toggle(false);
    this.button.focus();
  }
}

// A confusion matrix, drawn from its table: columns as wide as what they hold, and wider where there is room.
const MATRIX_ROW = 26, MATRIX_MOST = 64;
const columnsOf = (pen, rows, width) => {
  const least = [];
  for (const row of rows) {
    let column = 0;
    for (const cell of row.cells) {
      if (cell.colSpan === 1) least[column] = Math.max(least[column] ?? 0, pen.measureText(cell.innerText).width + 10);
      column += cell.colSpan;
    }
  }
  least[0] = Math.min(least[0], width / 3);
  const sum = least.reduce((one, other) => one + other, 0), spare = Math.max(0, width - sum) / Math.max(1, least.length - 1);
  const wide = least.map((one, column) => (column ? Math.max(one, Math.min(MATRIX_MOST, one + spare)) : one) * Math.min(1, width / sum));
  return wide.reduce((edges, one) => [...edges, edges.at(-1) + one], [0]);
};

const paintTable = (table) => ({ pen, width }) => {
  const rows = [...table.rows], edges = columnsOf(pen, rows, width), high = MATRIX_ROW;
  rows.forEach((row, line) => {
    let column = 0;
    for (const cell of row.cells) {
      const [left, right] = [edges[column], edges[column + cell.colSpan]];
      const isRight = cell.classList.contains("right"), isWrong = cell.classList.contains("wrong");
      if (isRight || isWrong) {
        pen.fillStyle = isRight ? colour("accent-soft") : `rgb(${colour("wrong")})`;
        pen.globalAlpha = isRight ? 1 : 0.08 + 0.42 * Number(cell.style.getPropertyValue("--share") || 0);
        pen.fillRect(left + 1, line * high + 1, right - left - 2, high - 2);
        pen.globalAlpha = 1;
      }
      pen.fillStyle = colour(isRight ? "accent" : isWrong ? "ink" : "soft");
      pen.textAlign = column ? "center" : "right"; pen.textBaseline = "middle";
      pen.fillText(fitted(pen, cell.innerText, right - left - 2), column ? (left + right) / 2 : right - 8, (line + 0.5) * high);
      column += cell.colSpan;
    }
  });
};

// A text as much as there is room for.
const fitted = (pen, text, width) => {
  const fits = (length) => pen.measureText(`${text.slice(0, length)}…`).width <= width;
  if (pen.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && !fits(length)) length -= 1;
  return `${text.slice(0, length)}…`;
};

const textOf = (element) => element?.innerText.replace(/\s+/g, " ").trim() ?? "";

// Every picture of the page with its menu.
const buildPictures = () => {
  const captionOf = (figure) => ({ title: () => textOf(figure.querySelector("figcaption h3")), about: () => textOf(figure.querySelector("figcaption p")) });
  const drawnBy = (picture) => ({ paint: (surface) => picture.copyTo(surface), legend: () => picture.legend() });
  const pictures = [];
  for (const chart of [...charts.values(), ...lineCharts]) {
    pictures.push(new Picture(chart.figure, { ...captionOf(chart.figure), ...drawnBy(chart), height: 400 }));
  }
  for (const map of maps) pictures.push(new Picture(map.figure, { ...captionOf(map.figure), ...drawnBy(map), height: 560 }));
  const titleOf = (run, element) => () => (runs.length > 1 ? `${run.name}: ${textOf(element)}` : textOf(element));
  for (const strip of strips.filter(({ timeline }) => timeline.epochs)) {
    const title = titleOf(strip.run, document.querySelector("#plan h2"));
    pictures.push(new Picture(strip.figure, { title, paint: (surface) => strip.copyTo(surface), height: strip.copyHeight }));
  }
  for (const figure of document.querySelectorAll("[data-matrix]")) {
    const table = figure.querySelector("table"), title = titleOf(runs[figure.dataset.matrix], table.caption);
    pictures.push(new Picture(figure, { title, paint: paintTable(table), height: () => MATRIX_ROW * table.rows.length }));
  }
  return pictures;
};
