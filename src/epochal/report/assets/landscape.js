// The loss on a plane through weight space, with the runs' trajectories through it.

const LEVELS = 9;
const LABEL_GAP = 22; // pixels between the losses written on contours, and from the sides

class Landscape {
  constructor(figure, data, state) {
    Object.assign(this, { figure, data, state, cursor: null });
    this.canvases = buildCanvases(figure);
    this.heights = new Heights(data.loss);
    this.trajectories = data.trajectories.map((trajectory) => ({ ...trajectory, shown: true }));
    this.rows = this.trajectories.map((trajectory) => this.addRow(trajectory));
    this.listen();
  }

  addRow(trajectory) {
    const row = this.figure.querySelector("tbody").insertRow(), head = document.createElement("th"), label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => { trajectory.shown = box.checked; row.classList.toggle("off", !box.checked); this.draw(); });
    const name = document.createElement("span");
    name.textContent = trajectory.run;
    head.scope = "row";
    label.append(box, swatch(trajectory.style, true), name);
    head.append(label);
    row.append(head);
    const cell = row.insertCell(), last = trajectory.loss.length - 1;
    return { cell, last };
  }

  word(name) {
    const holder = this.figure.querySelector(`[data-word="${name}"]`);
    return (holder.querySelector(`[lang="${root.lang}"]`) ?? holder).textContent.trim();
  }

  draw() {
    this.paint(prepare(this.canvases.picture));
    this.read();
  }

  // Draw it elsewhere, in another size, and leave the map as it stands on the page.
  copyTo(surface) {
    const { scales } = this;
    this.paint(surface);
    this.scales = scales;
  }

  // The shown trajectories, for a legend.
  legend() {
    return this.trajectories.filter(({ shown }) => shown).map(({ style, run }) => ({ style, isMarked: true, name: run }));
  }

  paint({ pen, width, height }) {
    const { x: xs, y: ys } = this.data;
    const box = { left: 58, right: width - (width > 560 ? 84 : 14), top: 26, bottom: height - 44 };
    const x = new Scale(xs[0], xs[xs.length - 1], box.left, box.right, false);
    const y = new Scale(ys[0], ys[ys.length - 1], box.bottom, box.top, false);
    this.scales = { x, y, box };
    this.heights.paint(pen, box);
    this.drawContours(pen, box);
    drawAxes(pen, box, x, y, { x: this.word("x"), y: this.word("y"), grid: false });
    pen.save();
    pen.beginPath(); pen.rect(box.left, box.top, box.right - box.left, box.bottom - box.top); pen.clip();
    for (const trajectory of this.trajectories) if (trajectory.shown) this.drawTrajectory(pen, trajectory);
    pen.restore();
    if (width > 560) this.drawKey(pen, box);
    this.drawExplained(pen, box);
  }

  // The share of variance stands on the picture itself, so that no copy of it goes without.
  drawExplained(pen, box) {
    const text = this.word("explained");
    if (!text) return;
    pen.textAlign = "right"; pen.textBaseline = "bottom";
    const wide = pen.measureText(text).width;
    pen.globalAlpha = 0.82; pen.fillStyle = colour("paper");
    pen.fillRect(box.right - wide - 20, box.bottom - 30, wide + 14, 22);
    pen.globalAlpha = 1; pen.fillStyle = colour("ink");
    pen.fillText(text, box.right - 13, box.bottom - 12);
  }

  levels() { return Array.from({ length: LEVELS }, (_, place) => (place + 1) / (LEVELS + 1)); }

  drawContours(pen, box) {
    const { rows: heights } = this.heights, rows = heights.length - 1, columns = heights[0].length - 1;
    const at = ([column, row]) => [box.left + (column / columns) * (box.right - box.left), box.bottom - (row / rows) * (box.bottom - box.top)];
    const dots = this.dots(), ray = this.rayForLevels(box, dots), colours = ramp(), written = [];
    pen.strokeStyle = colour("contour");
    pen.lineWidth = 1;
    for (const level of this.levels()) {
      const segments = [];
      for (let row = 0; row < rows; row += 1) {
        for (let column = 0; column < columns; column += 1) {
          const corners = [heights[row][column], heights[row][column + 1], heights[row + 1][column + 1], heights[row + 1][column]];
          segments.push(...crossings(corners, level, column, row).map((segment) => segment.map(at)));
        }
      }
      pen.globalAlpha = 0.4;
      pen.beginPath();
      for (const [first, second] of segments) { pen.moveTo(...first); pen.lineTo(...second); }
      pen.stroke();
      pen.globalAlpha = 1;
      const place = this.placeOfLevel(ray, segments, box);
      if (place && ![...written, ...dots].some(([x, y]) => Math.hypot(x - place[0], y - place[1]) < LABEL_GAP)) {
        written.push(place);
        this.drawLevel(pen, place, level, colours[Math.round(level * 255)]);
      }
      pen.strokeStyle = colour("contour");
      pen.lineWidth = 1;
    }
  }

  // Where a contour crosses the ray from the valley's floor that keeps clear of the trajectories; null near the edge.
  placeOfLevel(ray, segments, box) {
    let best = null, bestGap = 12;
    for (const [first, second] of segments) {
      const [x, y] = [(first[0] + second[0]) / 2 - ray.x, (first[1] + second[1]) / 2 - ray.y];
      const gap = Math.abs(x * ray.down - y * ray.across);
      if (x * ray.across + y * ray.down > 0 && gap < bestGap) [best, bestGap] = [[x + ray.x, y + ray.y], gap];
    }
    const isInside = best && best[0] > box.left + LABEL_GAP && best[0] < box.right - LABEL_GAP
      && best[1] > box.top + LABEL_GAP / 2 && best[1] < box.bottom - LABEL_GAP / 2;
    return isInside ? best : null;
  }

  // Write a contour's loss on it.
  drawLevel(pen, place, level, shade) {
    const text = shortened(this.heights.lossOf(level));
    pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.strokeStyle = `rgb(${shade.map(Math.round).join(" ")})`; pen.lineWidth = 4; pen.strokeText(text, ...place);
    pen.fillStyle = colour(level < 0.45 ? "map-low" : "map-high"); pen.fillText(text, ...place);
  }

  // The longest of 24 rays from the lowest point; one with a dot of a trajectory near it must be thrice as long.
  rayForLevels(box, dots) {
    const [x, y] = this.floor(box);
    const rays = Array.from({ length: 24 }, (_, place) => {
      const [across, down] = [Math.cos((place * Math.PI) / 12), Math.sin((place * Math.PI) / 12)];
      const toSide = across > 0 ? (box.right - x) / across : across < 0 ? (box.left - x) / across : Infinity;
      const toEnd = down > 0 ? (box.bottom - y) / down : down < 0 ? (box.top - y) / down : Infinity;
      const isFree = dots.every(([a, b]) => (a - x) * across + (b - y) * down < 0 || Math.abs((a - x) * down - (b - y) * across) > 45);
      return { x, y, across, down, worth: Math.min(toSide, toEnd) * (isFree ? 3 : 1) };
    });
    return rays.reduce((best, ray) => (ray.worth > best.worth ? ray : best));
  }

  dots() {
    const { x, y } = this.scales;
    return this.trajectories.flatMap((trajectory) => trajectory.x.map((value, dot) => [x.toPixel(value), y.toPixel(trajectory.y[dot])]));
  }

  // The lowest point of the grid, or the nearest to it that is not at the picture's edge.
  floor(box) {
    const { rows: heights } = this.heights, rows = heights.length - 1, columns = heights[0].length - 1;
    let best = [0, 0];
    heights.forEach((row, i) => row.forEach((height, j) => { if (height < heights[best[0]][best[1]]) best = [i, j]; }));
    const [across, up] = [best[1] / columns, best[0] / rows].map((share) => Math.min(Math.max(share, 0.1), 0.9));
    return [box.left + across * (box.right - box.left), box.bottom - up * (box.bottom - box.top)];
  }

  drawTrajectory(pen, trajectory) {
    const { x, y } = this.scales, points = trajectory.x.map((value, dot) => [x.toPixel(value), y.toPixel(trajectory.y[dot])]);
    const line = () => { pen.beginPath(); points.forEach((point) => pen.lineTo(...point)); pen.stroke(); };
    pen.strokeStyle = colour("paper"); pen.lineWidth = 4.5; pen.globalAlpha = 0.85; line(); pen.globalAlpha = 1;
    pen.strokeStyle = pen.fillStyle = colour(`s${trajectory.style % 8}`);
    pen.lineWidth = 2;
    pen.setLineDash(DASHES[trajectory.style % 8]); line(); pen.setLineDash([]);
    points.forEach((point, dot) => {
      if (!Number.isInteger(trajectory.epoch[dot]) && dot !== points.length - 1) return;
      drawMark(pen, trajectory.style, ...point, 4);
    });
    const end = points[points.length - 1];
    for (const [ink, thick] of [["paper", 4.5], [`s${trajectory.style % 8}`, 2]]) {
      pen.beginPath(); pen.arc(...end, 8.5, 0, 2 * Math.PI); pen.strokeStyle = colour(ink); pen.lineWidth = thick; pen.stroke();
    }
  }

  // The key to the shades, with the contours' losses.
  drawKey(pen, box) {
    const left = box.right + 14, colours = ramp(), height = box.bottom - box.top;
    for (let row = 0; row < height; row += 1) {
      const [red, green, blue] = colours[Math.round((1 - row / height) * 255)];
      pen.fillStyle = `rgb(${red} ${green} ${blue})`;
      pen.fillRect(left, box.top + row, 12, 1.5);
    }
    pen.fillStyle = colour("soft"); pen.strokeStyle = colour("contour");
    pen.textAlign = "left"; pen.textBaseline = "middle"; pen.lineWidth = 1;
    for (const level of this.levels()) {
      const at = box.bottom - level * height, loss = this.heights.lossOf(level);
      pen.beginPath(); pen.moveTo(left, at); pen.lineTo(left + 12, at); pen.stroke();
      pen.fillText(shortened(loss), left + 18, at);
    }
    pen.textBaseline = "top";
    pen.fillText(this.state.words.axis_loss, left, 2);
  }

  listen() {
    const plot = this.figure.querySelector(".plot");
    plot.addEventListener("pointermove", (event) => {
      const { left, top } = plot.getBoundingClientRect();
      this.cursor = [event.clientX - left, event.clientY - top];
      this.read();
    });
    plot.addEventListener("pointerleave", () => { this.cursor = null; this.read(); });
    const moves = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
    plot.addEventListener("keydown", (event) => {
      if (!moves[event.key]) return;
      event.preventDefault();
      const { box } = this.scales, [across, down] = moves[event.key];
      const [x, y] = this.cursor ?? [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
      this.cursor = [x + across, y + down];
      this.read();
    });
  }

  // Write the loss at the cursor and each trajectory's nearest dot, or its last one.
  read() {
    const { pen } = prepare(this.canvases.over), { x, y, box } = this.scales, { words } = this.state;
    let text = this.heights.top < this.heights.highest ? words.clipped.replace("{limit}", shortened(this.heights.top)) : "";
    if (this.cursor) {
      const [px, py] = [Math.min(Math.max(this.cursor[0], box.left), box.right), Math.min(Math.max(this.cursor[1], box.top), box.bottom)];
      this.cursor = [px, py];
      const loss = this.heights.lossOf(this.heights.between((px - box.left) / (box.right - box.left), (box.bottom - py) / (box.bottom - box.top)));
      text = words.point.replace("{loss}", decimal(loss, 3)).replace("{x}", decimal(x.toValue(px), 2)).replace("{y}", decimal(y.toValue(py), 2));
      pen.strokeStyle = colour("ink");
      pen.beginPath(); pen.moveTo(px - 8, py); pen.lineTo(px + 8, py); pen.moveTo(px, py - 8); pen.lineTo(px, py + 8); pen.stroke();
    }
    this.figure.querySelector(".at").textContent = text;
    this.trajectories.forEach((trajectory, number) => this.readTrajectory(pen, trajectory, this.rows[number]));
  }

  readTrajectory(pen, trajectory, row) {
    const { x, y } = this.scales, { words } = this.state;
    let best = row.last;
    if (this.cursor) {
      const far = (dot) => (x.toPixel(trajectory.x[dot]) - this.cursor[0]) ** 2 + (y.toPixel(trajectory.y[dot]) - this.cursor[1]) ** 2;
      trajectory.x.forEach((_, dot) => { if (far(dot) < far(best)) best = dot; });
      if (trajectory.shown) {
        pen.strokeStyle = colour(`s${trajectory.style % 8}`); pen.lineWidth = 2;
        pen.beginPath(); pen.arc(x.toPixel(trajectory.x[best]), y.toPixel(trajectory.y[best]), 6, 0, 2 * Math.PI); pen.stroke();
      }
    }
    const epoch = Number.isInteger(trajectory.epoch[best]) ? count(trajectory.epoch[best]) : decimal(trajectory.epoch[best], 2);
    row.cell.textContent = words.dot.replace("{epoch}", epoch).replace("{iteration}", count(trajectory.iteration[best])).replace("{loss}", decimal(trajectory.loss[best] ?? NaN));
  }
}
