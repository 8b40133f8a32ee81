// The loss landscape with the ways of the three methods through it, where the model stands, and its next move.

const CONTOURS = 11;
const METHOD_NAMES = { bgd: () => "BGD", sgd: () => "SGD", mbgd: () => word("learn.mini") };
const MARKS = { bgd: 1, sgd: 2, mbgd: 0 };

const map = {
  canvas: find("[data-map]"), moving: 1, from: null, ground: null,

  begin() { Object.assign(this, { ground: null, from: null, moving: 1 }); },

  // Pixels of the picture for one unit of the plane, across and up.
  stretch() {
    const { landscape } = world, width = this.canvas.clientWidth || 1, height = this.canvas.clientHeight || 1;
    if (!landscape) return [1, 1];
    const { x, y } = landscape;
    return [width / (x.at(-1) - x[0]), height / (y.at(-1) - y[0])];
  },

  draw() {
    const { pen, width, height } = prepare(this.canvas), { landscape } = world;
    setText("[data-map-key] .mbgd", METHOD_NAMES[world.main.facts.method]());
    if (!landscape) { this.drawWaiting(pen, width, height); return; }
    const { x, y } = landscape;
    this.x = new Scale(x[0], x.at(-1), 0, width, false);
    this.y = new Scale(y[0], y.at(-1), height, 0, false);
    pen.drawImage(this.groundOf(width, height), 0, 0, width, height);
    for (const name of LANES) this.drawGhost(pen, name);
    for (const name of ["sgd", "bgd", "mbgd"]) this.drawTrail(pen, world.lanes[name]);
    this.drawPlace(pen);
    this.write();
  },

  drawWaiting(pen, width, height) {
    const { waiting } = world, share = waiting && waiting.total ? waiting.done / waiting.total : 0;
    pen.fillStyle = colour("raised"); pen.beginPath(); pen.roundRect(0, 0, width, height, 8); pen.fill();
    pen.fillStyle = colour("soft"); pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.fillText(word(world.noLandscape ? "learn.land_none" : "learn.land_waiting"), width / 2, height / 2 - 10);
    if (world.noLandscape) return;
    pen.fillStyle = colour("line"); pen.fillRect(width * 0.25, height / 2 + 12, width * 0.5, 4);
    pen.fillStyle = colour("accent"); pen.fillRect(width * 0.25, height / 2 + 12, width * 0.5 * share, 4);
    setText("[data-axis]", "");
  },

  // Shades and contours, painted once for each size and theme.
  groundOf(width, height) {
    const key = `${width} ${height} ${devicePixelRatio} ${isDark()}`;
    if (this.ground?.key === key) return this.ground.canvas;
    const ratio = devicePixelRatio || 1, canvas = make("canvas", { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)) });
    const pen = canvas.getContext("2d");
    this.heights = new Heights(world.landscape.loss);
    pen.scale(ratio, ratio);
    this.heights.paint(pen, { left: 0, right: width, top: 0, bottom: height });
    this.drawContours(pen, width, height);
    this.ground = { key, canvas };
    return canvas;
  },

  drawContours(pen, width, height) {
    const { rows } = this.heights, last = rows.length - 1, wide = rows[0].length - 1;
    pen.strokeStyle = colour("contour"); pen.lineWidth = 0.8; pen.globalAlpha = 0.32;
    for (let level = 1; level <= CONTOURS; level += 1) {
      pen.beginPath();
      for (let row = 0; row < last; row += 1) {
        for (let column = 0; column < wide; column += 1) {
          const corners = [rows[row][column], rows[row][column + 1], rows[row + 1][column + 1], rows[row + 1][column]];
          for (const [[a, b], [c, d]] of crossings(corners, level / (CONTOURS + 1), column, row)) {
            pen.moveTo((a / wide) * width, height - (b / last) * height); pen.lineTo((c / wide) * width, height - (d / last) * height);
          }
        }
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
  },

  at(place) { return [this.x.toPixel(place[0]), this.y.toPixel(place[1])]; },

  // The whole way of the first fast run, barely there.
  drawGhost(pen, name) {
    const points = (world.landscape.trajectories[name] ?? []).map((place) => this.at(place));
    pen.strokeStyle = colour(name); pen.lineWidth = 1; pen.globalAlpha = 0.3; pen.setLineDash([2, 3]);
    pen.beginPath(); points.forEach((point) => pen.lineTo(...point)); pen.stroke();
    pen.setLineDash([]); pen.globalAlpha = 1;
  },

  drawTrail(pen, lane) {
    if (!lane.view) return;
    const trail = lane.trail(world.landscape), points = trail.map(([, place]) => this.at(place)), isMain = lane.name === MAIN;
    if (isMain && this.moving < 1 && points.length > 1 && this.from) points[points.length - 1] = this.here(points.at(-1));
    if (!points.length) return;
    for (const [ink, thick, alpha] of [["trail-edge", isMain ? 5 : 3.4, 0.7], [lane.name, isMain ? 2.6 : 1.6, 1]]) {
      pen.strokeStyle = colour(ink); pen.lineWidth = thick; pen.globalAlpha = alpha; pen.lineJoin = "round";
      pen.beginPath(); points.forEach((point) => pen.lineTo(...point)); pen.stroke();
    }
    pen.globalAlpha = 1;
    trail.forEach(([iteration], dot) => {
      const isEpoch = iteration % lane.facts.batches_per_epoch === 0, isLast = dot === points.length - 1;
      if (!isEpoch && !isLast && !(isMain && trail.length < 40)) return;
      this.mark(pen, lane.name, points[dot], isLast ? 5 : isEpoch ? 3.6 : 1.8);
    });
  },

  mark(pen, name, [x, y], size) {
    pen.beginPath();
    if (MARKS[name] === 1) pen.rect(x - size, y - size, 2 * size, 2 * size);
    else if (MARKS[name] === 2) { pen.moveTo(x, y - 1.3 * size); pen.lineTo(x + 1.2 * size, y + size); pen.lineTo(x - 1.2 * size, y + size); pen.closePath(); }
    else pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.fillStyle = colour(name); pen.fill();
    pen.strokeStyle = colour("trail-edge"); pen.lineWidth = 1; pen.stroke();
  },

  // A place beyond the map is shown at its edge.
  inside([x, y]) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.isOutside = x < 0 || y < 0 || x > width || y > height;
    return [Math.min(Math.max(x, 11), width - 11), Math.min(Math.max(y, 11), height - 11)];
  },

  here(end) {
    const from = this.at(this.from), share = easing(this.moving);
    return [from[0] + (end[0] - from[0]) * share, from[1] + (end[1] - from[1]) * share];
  },

  // The place of the main lane, with the pulls of the batch in hand and the move that they make together.
  drawPlace(pen) {
    const { view } = world.main, { place, mean_pull: mean, in_hand: hand } = view;
    if (!place) return;
    const end = this.inside(this.at([place.x, place.y])), at = this.moving < 1 && this.from ? this.here(end) : end;
    if (this.moving === 1 && hand?.pulls && mean) this.drawPulls(pen, at, hand.pulls, mean);
    for (const [ink, thick] of [["trail-edge", 5], [MAIN, 2.5]]) {
      pen.beginPath(); pen.arc(...at, 9, 0, 2 * Math.PI); pen.strokeStyle = colour(ink); pen.lineWidth = thick; pen.stroke();
    }
  },

  drawPulls(pen, at, arrows, mean) {
    const [across, up] = this.stretch(), { lr } = world.problem;
    const lengths = arrows.map(([x, y]) => Math.hypot(x * across, y * up)).sort((a, b) => a - b);
    const scale = 42 / (lengths[Math.floor((lengths.length - 1) * 0.9)] || 1);
    pen.strokeStyle = pen.fillStyle = colour("hand");
    if (world.stage >= 1) {
      pen.globalAlpha = arrows.length > 40 ? 0.35 : 0.75;
      for (const [x, y] of arrows) {
        const long = Math.min(scale, 60 / (Math.hypot(x * across, y * up) || 1));
        drawArrow(pen, at, [at[0] + x * across * long, at[1] - y * up * long], 1, 4);
      }
      pen.globalAlpha = 1;
    }
    if (world.stage < 2) return;
    const [x, y] = [mean[0] * across * lr, -mean[1] * up * lr], long = Math.hypot(x, y) || 1, least = Math.max(1, 26 / long);
    this.isLengthened = least > 1;
    for (const [ink, thick, head] of [["trail-edge", 6, 12], [MAIN, 3, 10]]) {
      pen.strokeStyle = pen.fillStyle = colour(ink);
      drawArrow(pen, at, [at[0] + x * least, at[1] + y * least], thick, head);
    }
  },

  write() {
    const { landscape } = world, isExact = landscape.kind === "exact";
    const gaps = isExact ? { x: landscape.axes[0], y: landscape.axes[1] } : { share: landscape.explained ? percent(landscape.explained[0] + landscape.explained[1]) : "–" };
    setText("[data-axis]", word(isExact ? "learn.axis_exact" : "learn.axis_pca", gaps) + (this.isOutside ? word("learn.beyond") : ""));
    this.canvas.setAttribute("aria-label", word("learn.map_picture"));
  },

  // The main lane has moved: let the dot follow the arrow.
  move(from, milliseconds) {
    this.from = from;
    animate("place", milliseconds, (share) => { this.moving = share; this.draw(); });
  },

  listen() {
    const cursor = (x, y) => (world.landscape ? [x, y] : null);
    const step = ([x, y], key) => {
      const [a, b] = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[key];
      return [Math.min(Math.max(x + a, 0), this.canvas.clientWidth - 1), Math.min(Math.max(y + b, 0), this.canvas.clientHeight - 1)];
    };
    listenTo(this.canvas, {
      at: cursor, centre: (place) => place, move: step, first: () => (world.landscape ? [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2] : null),
      show: ([x, y], px, py) => {
        const loss = this.heights.lossOf(this.heights.between(x / this.canvas.clientWidth, 1 - y / this.canvas.clientHeight));
        tip.show(px, py, make("span", { textContent: word("learn.loss_here", { loss: written(loss) }) }));
      },
    });
  },
};
