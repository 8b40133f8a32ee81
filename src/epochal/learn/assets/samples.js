// The batch in hand: each sample with its loss as a bar and what the model takes it for; and one sample alone.

const drawImage = (canvas, { w, h, c, bytes, start }) => {
  canvas.width = w; canvas.height = h;
  const image = new ImageData(w, h);
  palette = getComputedStyle(root);
  const [paper, ink] = ["image-paper", "image-ink"].map((name) => rgb(colour(name)));
  for (let pixel = 0; pixel < w * h; pixel += 1) {
    const part = bytes[start + pixel] / 255;
    const shade = c === 3 ? bytes.subarray(start + pixel * 3, start + pixel * 3 + 3) : paper.map((value, channel) => value + (ink[channel] - value) * part);
    image.data.set([...shade, 255], pixel * 4);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
};

// A sample that is pointed at is shown everywhere: in the hand, in the grid and among the pulls.
const pointAt = (index) => {
  if (world.pointed === index) return;
  world.pointed = index;
  setGrid.draw();
  pulls.draw();
};

const samples = {
  box: find("[data-samples]"),

  draw() {
    const hand = world.main.view.in_hand;
    if (!hand) { this.box.replaceChildren(); return; }
    const hasImages = world.images !== null || hand.images !== null;
    this.size(hand.shown, hasImages);
    const buttons = [...this.box.children];
    while (buttons.length > hand.shown) buttons.pop().remove();
    while (buttons.length < hand.shown) buttons.push(this.box.appendChild(this.button()));
    hand.indices.slice(0, hand.shown).forEach((index, place) => this.fill(buttons[place], hand, index, place, hasImages));
    if (!buttons.some((one) => one.tabIndex === 0)) this.stop(buttons[0]);
    const { batches_per_epoch: batches } = world.main.facts, size = hand.stop - hand.start;
    const key = hand.shown < size ? "learn.in_hand_part" : "learn.in_hand_now";
    const slices = hand.micro_batches.length, inSlices = slices > 1 ? word("learn.in_slices", { slices }) : "";
    setText("[data-in-hand]", word(key, { n: size, samples: size, shown: hand.shown, batch: hand.batch, epoch: hand.epoch, batches }) + inSlices);
    this.box.dataset.stage = world.stage;
    this.box.setAttribute("aria-label", find("[data-in-hand]").textContent);
    this.drawMean(hand);
  },

  // The largest cells with which all samples fit.
  size(shown, hasImages) {
    const wide = this.box.clientWidth, high = world.isToy ? 64 : 332, gap = 4, bar = 5, [least, most] = hasImages ? [10, shown <= 2 ? 150 : shown <= 12 ? 88 : 72] : [9, 22];
    let columns = 0, side = most;
    do {
      columns += 1;
      side = Math.min(most, Math.floor((wide + gap) / columns) - gap);
    } while (side > least && (Math.ceil(shown / columns) * (side + bar + gap) > high || (columns * (side + gap) + side < wide && side === most)));
    this.box.style.setProperty("--columns", columns);
    this.box.style.setProperty("--side", `${side}px`);
    this.box.classList.toggle("small", side < 36);
    this.box.classList.toggle("plain", !hasImages);
  },

  button() {
    const canvas = make("canvas", { ariaHidden: "true" }), said = make("span", { className: "said", ariaHidden: "true" });
    const button = make("button", { type: "button", className: "sample", tabIndex: -1 }, canvas, said, make("i", { className: "level" }));
    button.addEventListener("click", () => actions.openSample(Number(button.dataset.sample)));
    const show = () => {
      const { x, y, width } = button.getBoundingClientRect();
      pointAt(Number(button.dataset.sample));
      tip.show(x + width / 2, y + width, make("span", { className: "lines", textContent: button.getAttribute("aria-label") }));
    };
    button.addEventListener("pointerenter", show);
    button.addEventListener("keydown", (event) => this.step(event, button));
    button.addEventListener("focus", () => { this.stop(button); if (button.matches(":focus-visible")) show(); });
    for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => { tip.hide(); pointAt(null); });
    return button;
  },

  // All samples are one stop of the Tab key; with the arrow keys one goes from sample to sample.
  stop(button) { for (const one of this.box.children) one.tabIndex = one === button ? 0 : -1; },

  step(event, button) {
    const columns = Number(this.box.style.getPropertyValue("--columns")), by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!by || !button.matches(":focus-visible")) return;
    event.preventDefault();
    event.stopPropagation();
    this.box.children[[...this.box.children].indexOf(button) + by]?.focus();
  },

  fill(button, hand, index, place, hasImages) {
    const [canvas, said, bar] = button.children, loss = hand.losses[place], guess = hand.predicted?.[place];
    const label = hand.labels[place], isClass = world.problem.classes !== null;
    button.dataset.sample = index;
    const image = hasImages ? world.imageOf(index) : null;
    canvas.hidden = image === null;
    if (image) drawImage(canvas, image);
    const isWrong = isClass && guess !== undefined && guess !== null && guess !== label;
    button.classList.toggle("wrong", isWrong);
    button.classList.toggle("open", world.opened?.index === index);
    said.textContent = isClass && guess !== undefined && guess !== null ? world.className(guess) : "";
    bar.style.setProperty("--loss", world.highest > 0 && loss !== null ? Math.min(1, loss / world.highest) : 0);
    const gaps = { index, label: isClass ? world.className(label) : written(label), loss: written(loss), guess: isClass ? world.className(guess) : written(guess) };
    button.setAttribute("aria-label", word(guess === undefined || guess === null ? "learn.sample_line" : "learn.sample_line_guess", gaps));
  },

  drawMean(hand) {
    const isShown = world.stage >= 2, size = hand.stop - hand.start;
    setText("[data-mean-text]", word(isShown ? "learn.mean_is" : "learn.mean_is_not_yet", { n: size, samples: size, loss: written(hand.mean_loss) }));
    find("[data-mean-bar]").style.setProperty("--loss", isShown && world.highest > 0 ? Math.min(1, hand.mean_loss / world.highest) : 0);
    findAll("[data-stages] li").forEach((item, place) => {
      item.classList.toggle("now", place === world.stage);
      item.classList.toggle("past", place < world.stage);
    });
    this.drawSlices(hand);
  },

  // Micro-batches: a line under the images where one ends.
  drawSlices(hand) {
    const isCut = hand.micro_batches.length > 1, buttons = [...this.box.children];
    const ends = new Set(isCut ? hand.micro_batches.map(([, stop]) => stop - 1) : []);
    buttons.forEach((button, place) => button.classList.toggle("slice-end", ends.has(place) && place < buttons.length - 1));
  },
};

// One sample, large: what the model answers, its loss, and which way it pulls.
const card = {
  box: find("[data-card]"),

  draw() {
    const { opened, problem } = world;
    this.box.hidden = opened === null;
    if (!opened) return;
    const isClass = problem.classes !== null, { outputs, label, loss } = opened;
    setText("[data-card-title]", word("learn.sample", { index: opened.index }));
    const image = opened.image ? { ...opened.image, c: opened.image.c ?? 1, bytes: bytesOf(opened.image.data), start: 0 } : null;
    find("[data-card-image]").hidden = image === null;
    if (image) drawImage(find("[data-card-image]"), image);
    const guess = outputs.indexOf(Math.max(...outputs)), gaps = { loss: written(loss) };
    if (isClass) Object.assign(gaps, { label: world.className(label), guess: world.className(guess), share: percent(outputs[label] ?? NaN) });
    else Object.assign(gaps, { label: written(label), guess: written(outputs[0]) });
    setText("[data-card-said]", word(isClass ? (guess === label ? "learn.card_right" : "learn.card_wrong") : "learn.card_value", gaps));
    setText("[data-card-loss]", word(isClass ? "learn.card_loss" : "learn.card_squared", gaps));
    find("[data-outputs]").replaceChildren(...(isClass ? this.bars(outputs, label, guess) : []));
    find("[data-features]").replaceChildren(...(opened.features ?? []).slice(0, 12).flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
    setText("[data-card-pull]", opened.pull ? word("learn.card_pull") : "");
  },

  // At most ten classes: those with the highest probabilities, and the true one.
  bars(outputs, label, guess) {
    const places = outputs.map((_, place) => place);
    const kept = outputs.length <= 10 ? places : [...places].sort((a, b) => outputs[b] - outputs[a]).slice(0, 9).concat(label);
    return [...new Set(kept)].map((place) => {
      const bar = make("i", { className: "level" });
      bar.style.setProperty("--loss", outputs[place]);
      const kind = place === label ? "true" : place === guess ? "guess" : "";
      return make("li", { className: kind }, make("span", { textContent: world.className(place) }), bar, make("small", { textContent: percent(outputs[place]) }));
    });
  },
};
