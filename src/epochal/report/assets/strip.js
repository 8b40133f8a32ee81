// A run as its epochs, an epoch as its batches, a batch as its samples: what was chosen, where it stands and what it was.

const ROWS_SHOWN = 5; // of samples, at first and with each wish for more
const LEAST_BAR = 0.12; // of the height, so that the lowest loss is seen too

// A run's epochs and batches through every change of its batch size, as epochal/report/timeline.py counts them.
class Timeline {
  constructor(run) { Object.assign(this, run.strip, { run }); }

  // Iterations that are done or planned.
  get iterations() { return Math.max(this.run.total, this.stretches.at(-1).end); }

  endOf(place) { return place === this.stretches.length - 1 ? this.iterations : this.stretches[place].end; }

  batchesFrom(offset, { batch, drop }) {
    const rest = this.samples - offset;
    return drop ? Math.floor(rest / batch) : Math.ceil(rest / batch);
  }

  // Epochs, a last one that is cut short included.
  get epochs() { return this.iterations ? this.at(this.iterations).epoch + 1 : 0; }

  // Epoch and batch of an iteration; all three count from 0, 1 and 1 in turn: iteration 1 is batch 0 of epoch 0.
  at(iteration) {
    const { stretches } = this;
    const stretch = stretches.findLast((one) => one.iteration < iteration) ?? stretches[0];
    const since = iteration - 1 - stretch.iteration, inFirst = this.batchesFrom(stretch.offset, stretch);
    if (since < inFirst) {
      const first = [...this.pieces(stretch.epoch)][0];
      return { epoch: stretch.epoch, batch: iteration - 1 - first.iteration };
    }
    const each = this.batchesFrom(0, stretch);
    return { epoch: stretch.epoch + 1 + Math.floor((since - inFirst) / each), batch: (since - inFirst) % each };
  }

  // Whether training ends inside this epoch.
  isCut(epoch) { return epoch === this.epochs - 1 && this.at(this.iterations + 1).epoch === epoch; }

  * pieces(epoch) {
    for (const [place, stretch] of this.stretches.entries()) {
      if (epoch < stretch.epoch) continue;
      const inFirst = this.batchesFrom(stretch.offset, stretch), each = this.batchesFrom(0, stretch);
      const isFirst = epoch === stretch.epoch;
      const iteration = isFirst ? stretch.iteration : stretch.iteration + inFirst + (epoch - stretch.epoch - 1) * each;
      const batches = Math.min(isFirst ? inFirst : each, this.endOf(place) - iteration);
      if (batches > 0) yield { iteration, offset: isFirst ? stretch.offset : 0, batch: stretch.batch, batches, micro: stretch.micro };
    }
  }

  batches(epoch) { return [...this.pieces(epoch)].reduce((sum, piece) => sum + piece.batches, 0); }

  // A batch's iteration, from 1, and where its samples stand in the epoch's order.
  batch(epoch, number) {
    let rest = number;
    for (const { iteration, offset, batch, batches, micro } of this.pieces(epoch)) {
      if (rest < batches) {
        const start = offset + rest * batch;
        return { iteration: iteration + rest + 1, start, stop: Math.min(start + batch, this.samples), micro };
      }
      rest -= batches;
    }
    return null;
  }
}

// The training samples that the page holds: images from one picture, and labels.
class Samples {
  constructor(data) {
    Object.assign(this, data);
    const places = (text) => (text ? new Map([...numbersOf(text, Uint32Array)].map((index, place) => [index, place])) : null);
    if (this.labels) {
      this.labelled = places(this.labels.of);
      this.values = this.labels.classes ? numbersOf(this.labels.classes, Uint16Array) : numbersOf(this.labels.values, Float32Array);
    }
    if (!this.images) return;
    this.pictured = places(this.images.of);
    this.picture = new Image();
    this.picture.src = this.images.atlas;
    this.ready = this.picture.decode();
  }

  // Whether the page has images of some samples, and of all.
  get isPartial() { return Boolean(this.pictured); }

  has(index) { return Boolean(this.images) && (!this.pictured || this.pictured.has(index)); }

  label(index) {
    const place = this.labelled ? this.labelled.get(index) : index, value = this.values?.[place];
    if (value === undefined) return "";
    return this.labels.classes ? this.names[value] ?? String(value) : decimal(value);
  }

  draw(canvas, index) {
    const { width, height } = this.images, place = this.pictured ? this.pictured.get(index) : index;
    const across = this.picture.naturalWidth / width;
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(this.picture, (place % across) * width, Math.floor(place / across) * height, width, height, 0, 0, width, height);
  }
}

const numbersOf = (text, Kind) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
};

// The boxes that a row has room for: the first, the last and those around the chosen one; null for what is left out.
const boxesAround = (number, chosen, room) => {
  if (number <= room) return Array.from({ length: number }, (_, place) => place);
  const inner = Math.max(1, room - 4);
  const first = Math.min(Math.max(chosen - Math.floor(inner / 2), 1), number - 1 - inner);
  const from = first <= 2 ? 1 : first, to = first + inner >= number - 2 ? number - 1 : first + inner;
  const middle = Array.from({ length: to - from }, (_, place) => from + place);
  return [0, ...(from > 1 ? [null] : []), ...middle, ...(to < number - 1 ? [null] : []), number - 1];
};

class Strip {
  constructor(figure, run, samples, state) {
    Object.assign(this, { figure, run, samples, state, epoch: 0, batch: 0, rows: ROWS_SHOWN });
    this.timeline = new Timeline(run);
    this.order = orderNamed(this.timeline.order, this.timeline.samples, this.timeline.seed);
    if (!this.timeline.epochs) return;
    for (const element of figure.querySelectorAll("[data-explore]")) element.hidden = false;
    this.panel = figure.querySelector(".batch");
    this.panel.hidden = figure.dataset.strip !== "0" || runs.length > 1; // where there are many, the one that is used
    for (const kind of ["epoch", "batch"]) this.prepareRow(kind);
    this.part("more").addEventListener("click", () => { this.rows += ROWS_SHOWN; this.drawBatch(); });
    samples?.ready?.then(() => this.drawBatch());
  }

  part(name) { return this.figure.querySelector(`[data-part="${name}"]`); }

  word(key, gaps = {}) {
    return Object.entries(gaps).reduce((text, [gap, value]) => text.replace(`{${gap}}`, value), this.state.words[key]);
  }

  // Cells, a slider over all of them, and a field for a number, each of which chooses.
  prepareRow(kind) {
    const cells = this.cells(kind);
    cells.removeAttribute("aria-hidden");
    cells.addEventListener("click", (event) => {
      const cell = event.target.closest("button");
      if (cell) this.choose(kind, Number(cell.value));
    });
    cells.addEventListener("keydown", (event) => this.press(kind, event));
    const choose = ({ target }) => { if (target.value) this.choose(kind, Number(target.value) - 1); };
    this.slider(kind).addEventListener("input", choose);
    this.field(kind).addEventListener("change", (event) => { choose(event); this.draw(); });
  }

  cells(kind) { return this.figure.querySelector(`[data-cells="${kind}"]`); }

  slider(kind) { return this.figure.querySelector(`[data-sky="${kind}"] input`); }

  field(kind) { return this.figure.querySelector(`[data-field="${kind}"] input`); }

  numberOf(kind) { return kind === "epoch" ? this.timeline.epochs : this.timeline.batches(this.epoch); }

  press(kind, event) {
    const number = this.numberOf(kind), far = Math.max(1, Math.round(number / 10));
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -far, PageDown: far, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.choose(kind, this[kind] + steps[event.key]);
    this.cells(kind).querySelector('[aria-pressed="true"]').focus();
  }

  choose(kind, number) {
    if (Number.isNaN(number)) return;
    this[kind] = Math.min(Math.max(Math.round(number), 0), this.numberOf(kind) - 1);
    this.rows = ROWS_SHOWN;
    this.panel.hidden = false;
    this.draw();
  }

  draw() {
    if (!this.timeline.epochs) return;
    this.epoch = Math.min(this.epoch, this.timeline.epochs - 1);
    this.batch = Math.min(this.batch, this.timeline.batches(this.epoch) - 1);
    for (const kind of ["epoch", "batch"]) this.drawRow(kind);
    this.drawBeam();
    const pieces = [...this.timeline.pieces(this.epoch)], batches = this.timeline.batches(this.epoch);
    const samples = this.timeline.batch(this.epoch, batches - 1).stop - pieces[0].offset;
    const key = this.timeline.isCut(this.epoch) ? "epoch_part" : batches === 1 ? "epoch_sentence_one" : "epoch_sentence";
    const gaps = { epoch: this.epoch + 1, samples, all: this.timeline.samples, batches };
    this.part("epoch").textContent = this.word(key, Object.fromEntries(Object.entries(gaps).map(([gap, value]) => [gap, count(value)])));
    this.drawBatch();
  }

  drawRow(kind) {
    const number = this.numberOf(kind), chosen = this[kind];
    const slider = this.slider(kind), field = this.field(kind), cells = this.cells(kind);
    Object.assign(slider, { min: 1, max: number, value: chosen + 1 });
    slider.style.setProperty("--slot", `${100 / number}%`);
    slider.setAttribute("aria-valuetext", this.word("of", { number: count(chosen + 1), total: count(number) }));
    Object.assign(field, { min: 1, max: number, value: chosen + 1 });
    this.part(`${kind}s`).textContent = this.word("total", { total: count(number) });

    cells.setAttribute("role", "group");
    cells.setAttribute("aria-label", this.word(kind === "epoch" ? "epochs_label" : "batches_label"));
    const had = cells.contains(document.activeElement);
    const room = Math.min(16, Math.max(3, Math.floor(cells.clientWidth / (count(number).length * 9 + 36))));
    const boxes = boxesAround(number, chosen, room), contents = boxes.map((place) => (place === null ? 0 : this.content(kind, place)));
    const most = Math.max(...contents, 1);
    cells.replaceChildren(...boxes.map((place, box) => (place === null ? this.gap() : this.cell(kind, place, contents[box], most))));
    if (had) cells.querySelector('[aria-pressed="true"]').focus();
    slider.closest("[data-sky]").hidden = number < 2;
    if (number > 1) this.drawSky(kind, prepare(slider.previousElementSibling));
  }

  gap() { return Object.assign(document.createElement("span"), { className: "gap", textContent: "…" }); }

  // Iterations of an epoch, or samples of a batch.
  content(kind, place) {
    if (kind === "epoch") return this.timeline.batches(place);
    const { start, stop } = this.timeline.batch(this.epoch, place);
    return stop - start;
  }

  isDone(kind, place) {
    const first = kind === "epoch" ? this.timeline.batch(place, 0) : this.timeline.batch(this.epoch, place);
    return first.iteration <= this.run.total;
  }

  cell(kind, place, content, most) {
    const isChosen = place === this[kind];
    const cell = Object.assign(document.createElement("button"), { type: "button", className: "cell", value: place, tabIndex: isChosen ? 0 : -1 });
    cell.setAttribute("aria-pressed", isChosen);
    cell.setAttribute("aria-label", this.word(kind === "epoch" ? "cell_epoch" : "cell_batch", { number: count(place + 1), content: count(content) }));
    cell.classList.toggle("ahead", !this.isDone(kind, place));
    cell.style.flexGrow = Math.max(content / most, 0.2);
    const [number, inside] = ["b", "i"].map((name) => document.createElement(name));
    number.textContent = count(place + 1);
    inside.textContent = count(content);
    cell.append(number, inside);
    return cell;
  }

  drawBeam() {
    const beam = this.figure.querySelector(".beam"), cells = this.cells("epoch");
    const chosen = cells.querySelector('[aria-pressed="true"]');
    if (!beam || !chosen) return;
    beam.style.setProperty("--from", `${chosen.offsetLeft - cells.offsetLeft}px`);
    beam.style.setProperty("--to", `${chosen.offsetLeft - cells.offsetLeft + chosen.offsetWidth}px`);
  }

  // The losses of all epochs or batches as bars, the chosen one marked.
  drawSky(kind, { pen, width, height }) {
    const number = this.numberOf(kind), chosen = this[kind], slot = width / number, columns = Math.min(number, Math.ceil(width));
    const losses = kind === "epoch" ? this.epochLosses() : null, first = losses ? 0 : this.timeline.batch(this.epoch, 0).iteration;
    const lossOf = losses ? (place) => losses.get(place) ?? NaN : (place) => this.run.lossOf(first + place).mean;
    const bars = Array.from({ length: columns }, (_, column) => {
      const from = Math.floor((column * number) / columns), to = Math.max(from + 1, Math.floor(((column + 1) * number) / columns));
      let sum = 0, found = 0;
      for (let place = from; place < to; place += 1) {
        const loss = lossOf(place);
        if (Number.isFinite(loss)) { sum += loss; found += 1; }
      }
      return found ? sum / found : NaN;
    });
    const finite = bars.filter(Number.isFinite), low = Math.min(...finite), high = Math.max(...finite);
    const share = (loss) => {
      if (!(high > low)) return 0.6;
      return low > 0 ? Math.log(loss / low) / Math.log(high / low) : (loss - low) / (high - low);
    };
    const wide = Math.max(1, Math.min((width / columns) * 0.72, 30));
    bars.forEach((loss, column) => {
      const isThere = Number.isFinite(loss), up = isThere ? (LEAST_BAR + (1 - LEAST_BAR) * share(loss)) * (height - 10) : 2;
      pen.fillStyle = colour(isThere ? "bar" : "line");
      pen.fillRect(((column + 0.5) * width) / columns - wide / 2, height - up, wide, up);
    });
    const at = (chosen + 0.5) * slot;
    pen.fillStyle = colour("accent");
    pen.fillRect(at - Math.max(wide, 2) / 2, 8, Math.max(wide, 2), height - 8);
    pen.beginPath(); pen.moveTo(at, 8); pen.lineTo(at - 5, 1); pen.lineTo(at + 5, 1); pen.closePath(); pen.fill();
  }

  // The rows of bars and boxes elsewhere, with what is written beside them.
  copyTo({ pen, width }) {
    const of = (kind) => ({ cells: [...this.cells(kind).children], sky: this.numberOf(kind) > 1 });
    const line = (selector, y) => {
      const [name, key] = this.figure.querySelectorAll(selector);
      pen.fillStyle = colour("ink"); pen.textAlign = "left"; pen.textBaseline = "top"; pen.fillText(name.innerText, 0, y);
      pen.fillStyle = colour("soft"); pen.textAlign = "right";
      if (key && pen.measureText(name.innerText + key.innerText).width < width - 20) pen.fillText(key.innerText, width, y);
    };
    line("figcaption > *", 0);
    const beam = this.copyRow(pen, of("epoch"), "epoch", width, 22);
    pen.fillStyle = colour("accent-soft"); pen.globalAlpha = 0.6;
    pen.beginPath(); pen.moveTo(beam.from, 110); pen.lineTo(beam.to, 110); pen.lineTo(width, 132); pen.lineTo(0, 132); pen.closePath(); pen.fill();
    pen.globalAlpha = 1;
    this.copyRow(pen, of("batch"), "batch", width, 134);
    line(":scope > p > *", 232);
  }

  get copyHeight() { return 250; }

  // One row: the bars above, the boxes below; returns where the chosen box begins and ends.
  copyRow(pen, { cells, sky }, kind, width, top) {
    if (sky) {
      pen.save(); pen.translate(0, top);
      this.drawSky(kind, { pen, width, height: 40 });
      pen.restore();
    }
    const isGap = (cell) => cell.className === "gap", gaps = cells.filter(isGap).length;
    const shares = cells.map((cell) => (isGap(cell) ? 0 : Number(cell.style.flexGrow)));
    const rate = (width - 26 * gaps - 3 * (cells.length - 1)) / shares.reduce((sum, share) => sum + share, 0);
    let left = 0, chosen = { from: 0, to: width };
    pen.textAlign = "center"; pen.textBaseline = "middle";
    cells.forEach((cell, place) => {
      const wide = isGap(cell) ? 26 : shares[place] * rate, isChosen = cell.ariaPressed === "true", middle = left + wide / 2;
      if (isChosen) chosen = { from: left, to: left + wide };
      if (!isGap(cell)) {
        pen.fillStyle = colour(isChosen ? "accent" : cell.classList.contains("ahead") ? "raised" : "accent-soft");
        pen.fillRect(left, top + 44, wide, 44);
      }
      pen.fillStyle = colour(isChosen ? "paper" : isGap(cell) ? "soft" : "accent");
      pen.fillText(cell.firstChild.textContent, middle, top + (isGap(cell) ? 66 : 57));
      pen.fillStyle = colour(isChosen ? "paper" : "soft");
      if (!isGap(cell)) pen.fillText(cell.lastChild.textContent, middle, top + 74);
      left += wide + 3;
    });
    return chosen;
  }

  epochLosses() {
    const { train_iteration: ends, train_loss: losses } = this.run.points;
    return new Map(ends.map((iteration, row) => [this.timeline.at(iteration).epoch, losses[row] ?? NaN]));
  }

  // How many samples stand side by side.
  get across() {
    const wide = this.part("samples").clientWidth || this.figure.clientWidth - 40;
    return Math.max(1, Math.floor(wide / (this.samples?.images ? 50 : 78)));
  }

  // What the chosen batch was: its iteration, loss, positions and samples.
  drawBatch() {
    if (this.panel.hidden) return;
    const { iteration, start, stop, micro } = this.timeline.batch(this.epoch, this.batch);
    const size = stop - start, { mean, low, high, every } = this.run.lossOf(iteration);
    const isDone = iteration <= this.run.total;
    const loss = !isDone ? this.word("not_done") : every > 1 ? this.word("loss_of", { mean: decimal(mean), low: decimal(low), high: decimal(high), every: count(every) })
      : Number.isNaN(mean) ? this.word("no_loss") : decimal(mean);
    this.part("title").textContent = this.word("batch_title", { epoch: count(this.epoch + 1), batch: count(this.batch + 1), batches: count(this.timeline.batches(this.epoch)) });
    this.part("iteration").textContent = count(iteration);
    this.part("loss").textContent = loss;
    this.part("size").textContent = count(size);
    this.part("positions").textContent = this.word("positions", { first: count(start + 1), last: count(stop) });
    const slices = micro && micro < size ? Math.ceil(size / micro) : 0;
    this.part("micro").textContent = slices ? this.word("micro", { slices: count(slices), most: count(micro) }) : "";
    this.drawSamples(this.order.indices(this.epoch, start, Math.min(stop, start + this.rows * this.across)), size);
  }

  drawSamples(indices, size) {
    const { samples } = this, isPictured = indices.some((index) => samples?.has(index));
    const list = this.part("samples");
    list.classList.toggle("plain", !isPictured);
    list.replaceChildren(...indices.map((index) => this.sample(index, isPictured)));
    const rest = size - indices.length, more = this.part("more");
    more.hidden = rest <= 0;
    more.textContent = this.word("more", { count: count(Math.min(rest, ROWS_SHOWN * this.across)), rest: count(rest) });
    this.part("about").textContent = this.aboutImages(isPictured);
  }

  sample(index, isPictured) {
    const { samples } = this, item = document.createElement("li");
    if (isPictured) {
      const canvas = item.appendChild(document.createElement("canvas"));
      canvas.setAttribute("aria-hidden", "true");
      if (samples.has(index) && samples.picture.complete) samples.draw(canvas, index);
      else canvas.className = "absent";
    }
    const label = samples?.label?.(index) ?? "";
    if (label) item.append(Object.assign(document.createElement("b"), { textContent: label }));
    item.append(Object.assign(document.createElement("span"), { className: "index", textContent: count(index) }));
    item.title = this.word("sample", { index: count(index) });
    return item;
  }

  aboutImages(isPictured) {
    const { samples } = this;
    if (!samples) return this.word("no_data");
    if (samples.reason) return samples.reason[root.lang];
    if (!samples.images) return this.word("not_pictures");
    const held = { held: count(samples.images.number), number: count(samples.number) };
    return samples.isPartial ? this.word(isPictured ? "some_images" : "not_held", held) : "";
  }
}
