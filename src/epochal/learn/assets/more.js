// What stands below the machine: epochs and their audit, orders, micro-batches, formulas.

const epochTable = {
  draw() {
    const { epochs } = world.main.view, shown = epochs.length > 12 ? [epochs[0], null, ...epochs.slice(-10)] : epochs;
    const cell = (text, properties = {}) => make("td", { textContent: text, ...properties });
    const row = (one) => {
      if (one === null) return make("tr", { className: "left-out" }, make("td", { colSpan: 5, textContent: "…" }));
      const proof = make("td", {}, make("span", { className: one.exact ? "yes" : "no", textContent: `${one.exact ? "✓" : "✗"} ${count(one.samples)}` }));
      return make("tr", {}, make("th", { scope: "row", textContent: count(one.epoch) }), cell(written(one.train_loss)), cell(written(one.test_loss)), cell(one.test_accuracy === null || one.test_accuracy === undefined ? "–" : percent(one.test_accuracy)), proof);
    };
    const rows = shown.length ? shown.map(row) : [make("tr", {}, make("td", { colSpan: 5, className: "nothing", textContent: word("learn.no_epoch") }))];
    find("[data-epochs]").replaceChildren(...rows);
  },
};

// The orders of two epochs: the same samples, one after the other, as shades in the grid and as the first images.
const MOST_NAMED = 240; // samples that are shown one by one
const MOST_ROWS = 24; // batches that are shown one by one

const orders = {
  epochs: null,

  begin() { this.epochs = null; Object.assign(find("[data-orders]"), { hidden: true }).dataset.drawn = ""; },

  draw() {
    const box = find("[data-orders]");
    box.hidden = this.epochs === null;
    if (this.epochs === null) return;
    const key = `${world.id} ${this.epochs} ${root.lang} ${isDark()}`;
    if (box.dataset.drawn === key) return;
    box.dataset.drawn = key;
    box.replaceChildren(...this.epochs.map((epoch) => this.section(epoch)), make("p", { className: "note", data: { orderSaid: "" }, ariaLive: "polite" }));
    findAll("canvas.order", box).forEach((canvas, place) => this.shade(canvas, world.orders.get(this.epochs[place])));
  },

  section(epoch) {
    const order = world.orders.get(epoch), title = make("h3", { textContent: word("learn.order_of", { epoch: epoch + 1 }) });
    if (order.length <= MOST_NAMED && world.main.facts.batches_per_epoch <= MOST_ROWS) return make("section", {}, title, ...this.batches(epoch, order));
    const first = order.slice(0, 12), known = order.length, isPart = known < world.problem.samples;
    const images = first.map((index) => {
      const image = world.images ? world.imageOf(index) : null, item = make("li", {});
      if (image) { const picture = make("canvas", { className: "thumb" }); drawImage(picture, image); item.append(picture); }
      item.append(make("small", { textContent: String(index) }));
      return item;
    });
    return make("section", {},
      title,
      make("canvas", { className: "order", role: "img", ariaLabel: word("learn.order_picture", { epoch: epoch + 1 }) }),
      make("p", { className: "note", textContent: word(isPart ? "learn.order_part" : "learn.order_first", { known }) }),
      make("ol", { className: "first" }, ...images));
  },

  // Few samples: every batch with its samples; one that is pointed at is shown in both epochs.
  batches(epoch, order) {
    const { batch_size: size, batches_per_epoch: batches } = world.main.facts;
    return Array.from({ length: batches }, (_, batch) => {
      const items = order.slice(batch * size, (batch + 1) * size).map((index) => this.item(index));
      return make("div", { className: "order-batch", data: { orderBatch: String(batch + 1) } }, make("b", { textContent: word("learn.order_batch", { batch: batch + 1 }) }), make("span", {}, ...items));
    });
  },

  item(index) {
    const image = world.imageOf(index), name = make("small", { textContent: String(index) });
    const item = make("button", { type: "button", ariaLabel: this.turns(index), data: { orderSample: String(index) } }, name);
    if (image) { const picture = make("canvas", { className: "thumb", ariaHidden: "true" }); drawImage(picture, image); item.prepend(picture); }
    const point = (isOn) => { for (const one of findAll(`[data-order-sample="${index}"]`)) one.classList.toggle("same-sample", isOn); };
    for (const name of ["pointerenter", "focus", "click"]) item.addEventListener(name, () => { point(true); this.say(index); });
    for (const name of ["pointerleave", "blur"]) item.addEventListener(name, () => point(false));
    return item;
  },

  // In which batch of each epoch a sample's turn comes.
  turns(index) {
    const size = world.main.facts.batch_size, parts = this.epochs.map((epoch) => word("learn.order_turn", { epoch: epoch + 1, batch: Math.floor(world.orders.get(epoch).indexOf(index) / size) + 1 }));
    return word("learn.order_turns", { index, first: parts[0], second: parts[1] });
  },

  say(index) { setText("[data-order-said]", this.turns(index)); },

  // A sample's cell is the lighter the later its turn comes.
  shade(canvas, order) {
    const { pen, width } = prepare(canvas), { samples: all } = world.problem, columns = Math.ceil(Math.sqrt(all)), side = width / columns;
    const [early, late] = ["used", "unused"].map((name) => rgb(colour(name)));
    if (order.length < all) {
      pen.fillStyle = colour("unused");
      pen.fillRect(0, 0, width, Math.floor(all / columns) * side);
      pen.fillRect(0, 0, (all % columns) * side, Math.ceil(all / columns) * side);
    }
    order.forEach((index, turn) => {
      const part = turn / Math.max(1, order.length - 1);
      pen.fillStyle = `rgb(${early.map((value, channel) => Math.round(value + (late[channel] - value) * part)).join(" ")})`;
      pen.fillRect((index % columns) * side, Math.floor(index / columns) * side, side - (side > 3 ? 1 : 0), side - (side > 3 ? 1 : 0));
    });
  },
};

// A batch computed whole, and cut into slices whose sums add up.
const micro = {
  answer: null,

  begin() { this.answer = null; find("[data-micro-size]").value = ""; },

  draw() {
    const box = find("[data-micro-result]"), { answer } = this;
    box.hidden = answer === null;
    if (!answer) return;
    const { whole, micro: cut } = answer, size = cut.slices.reduce((sum, one) => sum + one, 0);
    const slice = (samples, kind) => {
      const part = make("span", { className: `slice ${kind}`, textContent: count(samples) });
      part.style.flexGrow = samples;
      return part;
    };
    const shown = cut.slices.length > 40 ? cut.slices.slice(0, 40) : cut.slices;
    const row = (key, gaps, parts, loss) => make("div", { className: "micro-row" }, make("b", { textContent: word(key, gaps) }), make("span", { className: "slices" }, ...parts), make("span", { className: "micro-loss", textContent: word("learn.loss_is", { loss: written(loss) }) }));
    box.replaceChildren(
      row("learn.micro_whole", {}, [slice(size, "whole")], whole.loss),
      row("learn.micro_cut", { n: cut.slices.length, slices: cut.slices.length }, shown.flatMap((one, place) => (place ? [make("i", { textContent: "+" }), slice(one, "cut")] : [slice(one, "cut")])), cut.loss),
      make("p", { className: "verdict", textContent: word("learn.micro_verdict", { iterations: answer.iterations, updates: answer.updates }) }),
      make("p", { className: "note", textContent: word("learn.micro_difference", { difference: tiny(answer.largest_difference), weight: tiny(answer.largest_weight) }) }),
    );
  },
};

// The article's formulas with today's numbers in them: an epoch as the plan writes it, and how far the training has come.
const BUDGET = new Set(["full_epochs", "iterations", "updates", "samples_used"]); // a learner stops where they like

const formulas = {
  draw() {
    const { facts, position } = world.main, per = facts.batches_per_epoch, now = position.iteration;
    const quotient = `${count(now)} / ${count(per)}`;
    const rows = facts.rows.filter((row) => !BUDGET.has(row.key)).map((row) => [word(`fact.${row.key}`), row.formula || word(`how.${row.how}`, row.values), row.number]);
    rows.push([word("learn.iterations_so_far"), word("how.one_each_batch"), now]);
    rows.push([word("learn.epochs_so_far"), now % per ? `⌊${quotient}⌋` : quotient, position.epoch]);
    rows.push([word("learn.samples_so_far"), word("how.as_used"), position.samples_used]);
    find("[data-formulas]").replaceChildren(...rows.map(([name, how, number]) => make("tr", {}, make("th", { scope: "row", className: "text", textContent: name }), make("td", { className: "text how", textContent: how }), make("td", { textContent: number === null ? "–" : count(number) }))));
  },
};
