// The toys' picture: points, with the line that is fitted to them or the boundary between two classes.

const plane = {
  canvas: find("[data-plane]"),

  draw() {
    this.canvas.hidden = !world.isToy;
    if (!world.isToy) return;
    const { pen, width, height } = prepare(this.canvas), { answer, main } = world, { x: points, y: targets } = answer.points;
    const isLine = answer.problem.kind === "line", xs = points.map((point) => (Array.isArray(point) ? point[0] : point));
    const ys = isLine ? targets : points.map((point) => point[1]), { view } = main;
    this.scale(xs, ys, width, height, isLine);
    if (!isLine) this.drawField(pen, view, width, height);
    else this.drawAxes(pen, width, height);
    const bits = bytesOf(view.used), hand = new Map((view.in_hand?.indices ?? []).map((index, place) => [index, place]));
    if (isLine) this.drawLine(pen, view.weights, xs, ys, hand);
    this.places = xs.map((x, index) => [this.x.toPixel(x), this.y.toPixel(ys[index])]);
    this.places.forEach(([x, y], index) => {
      const isIn = hand.has(index), state = isIn ? "hand" : isUsed(bits, index) ? "used" : "unused-dot";
      this.drawPoint(pen, x, y, isLine ? null : targets[index], state, isIn ? 6 : 4, world.opened?.index === index);
    });
    this.canvas.setAttribute("aria-label", word(isLine ? "learn.line_picture" : "learn.points_picture", { n: hand.size, samples: hand.size }));
  },

  scale(xs, ys, width, height) {
    const range = (values) => { const [low, high] = [Math.min(...values), Math.max(...values)], room = (high - low) * 0.08 || 1; return [low - room, high + room]; };
    const [left, right] = range(xs), [low, high] = range(ys);
    this.x = new Scale(left, right, 8, width - 8, false);
    this.y = new Scale(low, high, height - 8, 8, false);
  },

  drawAxes(pen, width, height) {
    pen.strokeStyle = colour("line"); pen.lineWidth = 1;
    for (const { value } of this.x.marks(5)) { const at = Math.round(this.x.toPixel(value)) + 0.5; pen.beginPath(); pen.moveTo(at, 0); pen.lineTo(at, height); pen.stroke(); }
    for (const { value } of this.y.marks(5)) { const at = Math.round(this.y.toPixel(value)) + 0.5; pen.beginPath(); pen.moveTo(0, at); pen.lineTo(width, at); pen.stroke(); }
  },

  // The fitted line, and each sample's distance to it: squared, it is the sample's loss.
  drawLine(pen, weights, xs, ys, hand) {
    if (!weights) return;
    const [slope, lift] = weights, { low, high } = this.x, at = (x) => this.y.toPixel(slope * x + lift);
    if (world.stage >= 1) {
      pen.strokeStyle = colour("hand"); pen.lineWidth = 2;
      for (const index of hand.keys()) {
        const x = this.x.toPixel(xs[index]);
        pen.beginPath(); pen.moveTo(x, this.y.toPixel(ys[index])); pen.lineTo(x, at(xs[index])); pen.stroke();
      }
    }
    pen.strokeStyle = colour(MAIN); pen.lineWidth = 3;
    pen.beginPath(); pen.moveTo(this.x.toPixel(low), at(low)); pen.lineTo(this.x.toPixel(high), at(high)); pen.stroke();
  },

  // The probability of the second class as a shade, and the boundary where both are as probable.
  drawField(pen, view, width, height) {
    if (!view.grid) return;
    const { grid } = view, rows = grid.length, columns = grid[0].length;
    const xs = view.grid_x ?? [this.x.low, this.x.high], ys = view.grid_y ?? [this.y.low, this.y.high];
    const box = [this.x.toPixel(xs[0]), this.y.toPixel(ys.at(-1)), this.x.toPixel(xs.at(-1)), this.y.toPixel(ys[0])];
    const image = new ImageData(columns, rows), [first, second, paper] = ["class-a", "class-b", "paper"].map((name) => rgb(colour(name)));
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const share = grid[rows - 1 - row][column] ?? 0.5, sure = 0.08 + Math.abs(share - 0.5) * 0.5, side = share > 0.5 ? second : first;
        image.data.set([...paper.map((value, channel) => value + (side[channel] - value) * sure), 255], 4 * (row * columns + column));
      }
    }
    const small = make("canvas", { width: columns, height: rows });
    small.getContext("2d").putImageData(image, 0, 0);
    pen.drawImage(small, box[0], box[1], box[2] - box[0], box[3] - box[1]);
    pen.strokeStyle = colour(MAIN); pen.lineWidth = 3; pen.lineCap = "round";
    pen.beginPath();
    for (let row = 0; row < rows - 1; row += 1) {
      for (let column = 0; column < columns - 1; column += 1) {
        const corners = [grid[row][column], grid[row][column + 1], grid[row + 1][column + 1], grid[row + 1][column]];
        for (const segment of crossings(corners, 0.5, column, row)) {
          segment.forEach(([a, b], place) => {
            const x = box[0] + (a / (columns - 1)) * (box[2] - box[0]), y = box[3] - (b / (rows - 1)) * (box[3] - box[1]);
            if (place) pen.lineTo(x, y); else pen.moveTo(x, y);
          });
        }
      }
    }
    pen.stroke();
  },

  // Classes differ by shape, states by colour.
  drawPoint(pen, x, y, label, state, size, isOpen) {
    pen.beginPath();
    if (label === 1) pen.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
    else pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.fillStyle = colour(state); pen.fill();
    pen.strokeStyle = colour(isOpen ? "ink" : "paper"); pen.lineWidth = isOpen ? 2.5 : 1.2; pen.stroke();
  },

  listen() {
    const nearest = (x, y) => {
      let best = null, near = 14;
      this.places?.forEach(([a, b], index) => { const far = Math.hypot(a - x, b - y); if (far < near) [best, near] = [index, far]; });
      return best;
    };
    const move = (index, key) => (index + (key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1) + this.places.length) % this.places.length;
    listenTo(this.canvas, {
      at: nearest, centre: (index) => this.places[index], move, first: () => 0,
      show: (index, x, y) => setGrid.show(index, x, y), choose: (index) => actions.openSample(index),
    });
  },
};
