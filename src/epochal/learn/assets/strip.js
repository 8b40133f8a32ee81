// An epoch as the strip of its batches; very many of them as a beam with a lens on the batch in hand.

const MOST_BLOCKS = 96, IN_LENS = 15;

const strip = {
  canvas: find("[data-strip]"),

  // Where the batches lie: all as blocks, or a few of them under the lens. Each is as wide as it has samples.
  lay(width) {
    const { facts, position, hasEnded } = world.main, batches = facts.batches_per_epoch;
    const done = hasEnded ? batches : position.batch, isMany = batches > MOST_BLOCKS;
    const first = isMany ? Math.max(0, Math.min(done - Math.floor(IN_LENS / 2), batches - IN_LENS)) : 0;
    const shown = isMany ? IN_LENS : batches, gap = shown > 60 ? 1 : shown > 24 ? 2 : 3;
    const isLastIn = first + shown === batches, share = facts.last_batch_size / facts.batch_size;
    const unit = (width - gap * (shown - 1)) / (shown - (isLastIn ? 1 - share : 0));
    this.layout = { batches, done, isMany, first, shown, gap, unit, share, width, top: isMany ? 26 : 0, height: 34 };
  },

  box(batch) {
    const { first, unit, gap, batches, share, top, height } = this.layout;
    const wide = batch === batches - 1 ? unit * share : unit;
    return [(batch - first) * (unit + gap), top, Math.max(wide, 1), height];
  },

  draw() {
    this.canvas.parentElement.classList.toggle("blocks", world.main.facts.batches_per_epoch <= MOST_BLOCKS);
    const { pen, width } = prepare(this.canvas);
    this.lay(width);
    const { isMany, first, shown, done } = this.layout, { hasEnded } = world.main;
    if (isMany) this.drawBeam(pen);
    for (let batch = first; batch < first + shown; batch += 1) {
      this.drawBlock(pen, batch, batch < done ? "used" : batch === done && !hasEnded ? "hand" : "unused");
    }
    this.write();
  },

  drawBlock(pen, batch, state) {
    const [x, y, wide, high] = this.box(batch), text = count(batch + 1);
    pen.fillStyle = colour(state);
    pen.beginPath(); pen.roundRect(x, y, wide, high, Math.min(4, wide / 3)); pen.fill();
    pen.font = `600 ${this.layout.shown > 30 ? 11 : 13}px ${getComputedStyle(document.body).fontFamily}`;
    if (pen.measureText(text).width > wide - 4) return;
    pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.fillStyle = colour(`on-${state}`);
    pen.fillText(text, x + wide / 2, y + high / 2 + 0.5);
  },

  // The whole epoch as one thin beam, and lines to the part of it that the lens shows.
  drawBeam(pen) {
    const { batches, done, first, shown, width, top } = this.layout, at = (batch) => (batch / batches) * width;
    const { hasEnded } = world.main;
    pen.fillStyle = colour("unused"); pen.beginPath(); pen.roundRect(0, 0, width, 10, 3); pen.fill();
    pen.fillStyle = colour("used"); pen.beginPath(); pen.roundRect(0, 0, at(done), 10, 3); pen.fill();
    pen.fillStyle = colour("lens");
    pen.beginPath(); pen.moveTo(at(first), 11); pen.lineTo(at(first + shown), 11); pen.lineTo(width, top - 2); pen.lineTo(0, top - 2); pen.fill();
    if (hasEnded) return;
    pen.fillStyle = colour("hand");
    pen.fillRect(Math.min(at(done), width - 3), -1, Math.max(3, width / batches), 12);
  },

  write() {
    const { main } = world, { batches, done } = this.layout, { facts } = main;
    const isRagged = facts.last_batch_size !== facts.batch_size;
    setText("[data-strip-title]", word("learn.strip_title", { n: batches, epoch: main.shownEpoch, batches }));
    const rows = Object.fromEntries(facts.rows.map((row) => [row.key, row]));
    const parts = [`${rows.batches_per_epoch.formula} = ${count(rows.batches_per_epoch.number)}`];
    if (isRagged && rows.last_batch) parts.push(word("learn.last_batch", { samples: rows.last_batch.number, formula: rows.last_batch.formula }));
    setText("[data-formula]", parts.join(" · "));
    this.canvas.setAttribute("aria-label", word("learn.strip_state", { done, batches, epoch: main.shownEpoch }));
    this.canvas.setAttribute("aria-valuetext", word("learn.batch_at", { batch: Math.min(done + 1, batches), batches }));
    for (const [name, value] of [["min", 0], ["max", batches], ["now", done]]) this.canvas.setAttribute(`aria-value${name}`, value);
  },

  at(x, y) {
    const { isMany, batches, width, top, first, shown } = this.layout;
    if (isMany && y < top - 8) return Math.min(batches - 1, Math.max(0, Math.floor((x / width) * batches)));
    for (let batch = first; batch < first + shown; batch += 1) {
      const [left, , wide] = this.box(batch);
      if (x >= left - 1 && x <= left + wide + 2) return batch;
    }
    return null;
  },

  centre(batch) {
    const { first, shown, top, height, width, batches } = this.layout;
    if (batch < first || batch >= first + shown) return [(batch / batches) * width, 5];
    const [left, , wide] = this.box(batch);
    return [left + wide / 2, top + height / 2];
  },

  show(batch, x, y) {
    const { main } = world, { facts } = main, { batches, done } = this.layout;
    const start = batch * facts.batch_size, samples = batch === batches - 1 ? facts.last_batch_size : facts.batch_size;
    const key = batch < done ? "learn.used" : batch === done && !main.hasEnded ? "learn.in_hand" : "learn.unused";
    const iteration = this.iterationOf(batch), recorded = main.view.losses.find(([at]) => at === iteration + 1);
    const lines = [word("learn.batch_at", { batch: batch + 1, batches }), word("learn.batch_samples", { n: samples, samples, start, stop: start + samples }), word(key)];
    if (recorded && batch < done) lines.push(word("learn.batch_loss", { loss: written(recorded[1]) }));
    if (batch !== done || main.hasEnded) lines.push(word("learn.batch_take"));
    tip.show(x, y, make("span", {}, ...lines.flatMap((line, place) => (place ? [make("br"), make("small", { textContent: line })] : [make("b", { textContent: line })]))));
  },

  // How many iterations were done when this batch of the shown epoch is in hand.
  iterationOf(batch) { return (world.main.shownEpoch - 1) * world.main.facts.batches_per_epoch + batch; },

  listen() {
    const move = (batch, key) => {
      const { batches } = this.layout, next = batch + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 }[key];
      return Math.min(batches - 1, Math.max(0, next));
    };
    listenTo(this.canvas, {
      at: (x, y) => this.at(x, y), centre: (batch) => this.centre(batch), move, first: () => Math.min(this.layout.done, this.layout.batches - 1),
      show: (batch, x, y) => this.show(batch, x, y), choose: (batch) => actions.goTo(this.iterationOf(batch)),
    });
  },
};
