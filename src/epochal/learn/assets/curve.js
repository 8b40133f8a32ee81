// The loss of every iteration, in epochs, so that the three methods can be compared.

const curve = {
  canvas: find("[data-curve]"),

  points(lane) { return (lane.view?.losses ?? []).filter(([, loss]) => loss !== null).map(([iteration, loss]) => [iteration / lane.facts.batches_per_epoch, loss, iteration]); },

  // The loss over the whole training set at the end of each epoch.
  ends(lane) { return (lane.view?.epochs ?? []).filter((one) => one.train_loss !== null).map((one) => [one.epoch, one.train_loss]); },

  draw() {
    const { pen, width, height } = prepare(this.canvas), { main } = world;
    const lines = LANES.map((name) => ({ name, points: this.points(world.lanes[name]), ends: this.ends(world.lanes[name]) }));
    const box = { left: 46, right: width - 10, top: 22, bottom: height - 40 };
    const far = Math.max(1, ...lines.flatMap(({ points }) => points.map(([epochs]) => epochs)));
    const calm = lines.flatMap(({ name, points, ends }) => [...(name === MAIN || world.lanes[name].facts.method !== "sgd" ? points : []), ...ends]);
    const losses = calm.map(([, loss]) => loss).filter((loss) => loss > 0), high = losses.length ? Math.max(...losses) : 1;
    const x = new Scale(0, far, box.left, box.right, false), y = new Scale(0, high * 1.08, box.bottom, box.top, false);
    this.scales = { x, y, box };
    drawFrame(pen, box, x, y, { x: word("learn.epochs_axis"), y: word("learn.loss") });
    pen.save();
    pen.beginPath(); pen.rect(box.left, box.top - 4, box.right - box.left + 8, box.bottom - box.top + 4); pen.clip();
    for (const name of ["sgd", "bgd", "mbgd"]) this.drawLine(pen, lines.find((line) => line.name === name), name === MAIN);
    pen.restore();
    const last = this.points(main).at(-1);
    setText("[data-curve-at]", last ? word("learn.curve_at", { iteration: last[2], loss: written(last[1]) }) : word("learn.curve_none"));
    this.canvas.setAttribute("aria-label", find("[data-curve-at]").textContent);
  },

  drawLine(pen, { name, points, ends }, isMain) {
    if (!points.length) return;
    const { x, y } = this.scales, isDense = points.length > 80;
    pen.strokeStyle = pen.fillStyle = colour(name);
    pen.lineWidth = isMain ? 2.2 : isDense ? 1 : 1.6; pen.globalAlpha = isDense && !(isMain && points.length < 300) ? 0.35 : 1; pen.lineJoin = "round";
    pen.beginPath(); points.forEach(([epochs, loss]) => pen.lineTo(x.toPixel(epochs), y.toPixel(loss))); pen.stroke();
    pen.globalAlpha = 1;
    if (points.length <= 60) for (const [epochs, loss] of points) map.mark(pen, name, [x.toPixel(epochs), y.toPixel(loss)], isMain ? 2.6 : 2);
    if (ends.length > 1 && isDense) {
      pen.lineWidth = 2; pen.strokeStyle = colour(name);
      pen.beginPath(); ends.forEach(([epochs, loss]) => pen.lineTo(x.toPixel(epochs), y.toPixel(loss))); pen.stroke();
    }
    if (ends.length <= 60) for (const [epochs, loss] of ends) map.mark(pen, name, [x.toPixel(epochs), y.toPixel(loss)], 5);
  },

  listen() {
    const points = () => this.points(world.main);
    const centre = (place) => { const [epochs, loss] = points()[place], { x, y } = this.scales; return [x.toPixel(epochs), y.toPixel(loss)]; };
    const at = (px) => {
      let best = null, near = Infinity;
      points().forEach(([epochs], place) => { const far = Math.abs(this.scales.x.toPixel(epochs) - px); if (far < near) [best, near] = [place, far]; });
      return best;
    };
    const move = (place, key) => Math.min(points().length - 1, Math.max(0, place + (key === "ArrowLeft" || key === "ArrowDown" ? -1 : 1)));
    listenTo(this.canvas, {
      at, centre, move, first: () => (points().length ? points().length - 1 : null),
      show: (place, px, py) => {
        const [, loss, iteration] = points()[place];
        tip.show(px, py, make("span", { textContent: word("learn.curve_at", { iteration, loss: written(loss) }) }));
      },
    });
  },
};

// A chart's axes: few lines, numbers on the left and below, the names at their ends.
const drawFrame = (pen, box, x, y, names) => {
  pen.lineWidth = 1; pen.textBaseline = "middle"; pen.textAlign = "right"; pen.fillStyle = colour("soft");
  for (const { value, text } of y.marks((box.bottom - box.top) / 48)) {
    const at = Math.round(y.toPixel(value)) + 0.5;
    pen.strokeStyle = colour("line"); pen.beginPath(); pen.moveTo(box.left, at); pen.lineTo(box.right, at); pen.stroke();
    pen.fillText(text, box.left - 8, at);
  }
  pen.textAlign = "center"; pen.textBaseline = "top"; pen.strokeStyle = colour("strong");
  for (const { value, text } of x.marks((box.right - box.left) / 70)) {
    if (!Number.isInteger(value)) continue;
    const at = Math.round(x.toPixel(value)) + 0.5;
    pen.beginPath(); pen.moveTo(at, box.bottom); pen.lineTo(at, box.bottom + 4); pen.stroke();
    pen.fillText(text, at, box.bottom + 7);
  }
  pen.beginPath(); pen.moveTo(box.left, box.bottom + 0.5); pen.lineTo(box.right, box.bottom + 0.5); pen.stroke();
  pen.textAlign = "right"; pen.fillText(names.x, box.right, box.bottom + 23);
  pen.textAlign = "left"; pen.fillText(names.y, 0, 0);
};
