// All samples of the training set: a cell each, which fills up as an epoch uses them.

const isUsed = (bits, index) => (bits[index >> 3] >> (index & 7)) & 1;

const rgb = (text) => (text.startsWith("#") ? parseColour(text) : text.match(/[\d.]+/g).slice(0, 3).map(Number));

const setGrid = {
  canvas: find("[data-set-grid]"), columns: 1, side: 1,

  // As square as its box; cells of whole pixels where there is room.
  lay(width, samples) {
    this.samples = samples;
    this.columns = Math.max(1, Math.ceil(Math.sqrt(samples)));
    this.side = width / this.columns;
    this.rows = Math.ceil(samples / this.columns);
  },

  draw() {
    const { problem, main } = world, width = this.canvas.clientWidth;
    this.lay(width, problem.samples);
    this.canvas.style.height = `${Math.max(8, Math.ceil(this.rows * this.side))}px`;
    const { pen } = prepare(this.canvas), bits = bytesOf(main.view.used);
    const hand = new Set(main.view.in_hand?.indices ?? []), isNext = main.hasEnded;
    const stateOf = (index) => (!isNext && hand.has(index) ? 2 : isUsed(bits, index) ? 1 : 0);
    const shades = ["unused", "used", "hand"].map((name) => colour(name));
    if (this.side < 3) this.drawPixels(pen, stateOf, shades.map(rgb));
    else this.drawCells(pen, stateOf, shades);
    if (isNext && this.side >= 9) this.drawNext(pen, hand);
    const pointed = world.pointed ?? world.opened?.index;
    if (pointed !== undefined && pointed !== null) this.drawPointed(pen, pointed);
    const state = word("learn.grid_state", { used: main.view.audit.samples, samples: problem.samples });
    this.canvas.setAttribute("aria-label", state);
  },

  drawCells(pen, stateOf, shades) {
    const { side, columns, samples } = this, gap = side > 9 ? 1.5 : 1, round = side > 8 ? 2 : 0.5;
    for (let index = 0; index < samples; index += 1) {
      pen.fillStyle = shades[stateOf(index)];
      pen.beginPath();
      pen.roundRect((index % columns) * side, Math.floor(index / columns) * side, side - gap, side - gap, round);
      pen.fill();
    }
  },

  drawPixels(pen, stateOf, shades) {
    const { columns, rows, samples, side } = this, image = new ImageData(columns, rows);
    for (let index = 0; index < samples; index += 1) image.data.set([...shades[stateOf(index)], 255], index * 4);
    const small = make("canvas", { width: columns, height: rows });
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = side < 1;
    pen.drawImage(small, 0, 0, columns * side, rows * side);
  },

  // When an epoch is over its cells stay lit; the first batch of the next one is only outlined.
  drawNext(pen, hand) {
    const { side, columns } = this;
    pen.strokeStyle = colour("hand");
    pen.lineWidth = Math.min(2, side / 4);
    for (const index of hand) pen.strokeRect((index % columns) * side + 0.5, Math.floor(index / columns) * side + 0.5, side - 2, side - 2);
  },

  drawPointed(pen, index) {
    const [x, y] = this.centre(index), half = Math.max(4, this.side / 2);
    pen.strokeStyle = colour("ink"); pen.lineWidth = 2;
    pen.beginPath(); pen.roundRect(x - half, y - half, 2 * half - 1, 2 * half - 1, 2); pen.stroke();
  },

  centre(index) { return [((index % this.columns) + 0.5) * this.side, (Math.floor(index / this.columns) + 0.5) * this.side]; },

  // Where a sample's cell is on the screen.
  placeOf(index) {
    const { left, top } = this.canvas.getBoundingClientRect(), [x, y] = this.centre(index);
    return [left + x, top + y];
  },

  at(x, y) {
    const index = Math.floor(y / this.side) * this.columns + Math.floor(x / this.side);
    return x >= 0 && y >= 0 && x < this.columns * this.side && index < this.samples ? index : null;
  },

  show(index, x, y) {
    const { view, hasEnded } = world.main;
    const key = !hasEnded && view.in_hand?.indices.includes(index) ? "learn.in_hand" : isUsed(bytesOf(view.used), index) ? "learn.used" : "learn.unused";
    const image = world.imageOf(index), label = world.answer.labels?.[index];
    const picture = image ? make("canvas", { className: "thumb" }) : null;
    if (picture) drawImage(picture, image);
    const isNamed = label !== undefined && world.problem.classes !== null;
    const name = isNamed ? word("learn.sample_class", { index, label: world.className(label) }) : word("learn.sample", { index });
    const text = make("span", {}, make("b", { textContent: name }), make("br"), make("small", { textContent: word(key) }));
    tip.show(x, y, ...(picture ? [picture] : []), text);
  },

  listen() {
    const move = (index, key) => {
      const next = index + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[key];
      return next >= 0 && next < this.samples ? next : index;
    };
    listenTo(this.canvas, {
      at: (x, y) => this.at(x, y), centre: (index) => this.centre(index), move, first: () => 0,
      show: (index, x, y) => this.show(index, x, y), choose: (index) => actions.openSample(index),
    });
  },
};
