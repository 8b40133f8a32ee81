// Which way the samples in hand pull, and how their pulls add up to the mean, of which the update is a part.

const ARROW = 7;

const drawArrow = (pen, from, to, thick, head = ARROW) => {
  const [x, y] = [to[0] - from[0], to[1] - from[1]], long = Math.hypot(x, y);
  if (long < 0.5) return;
  const tip = Math.min(head, long * 0.7), [u, v] = [x / long, y / long];
  pen.lineWidth = thick; pen.lineCap = "butt";
  pen.beginPath(); pen.moveTo(...from); pen.lineTo(to[0] - u * tip * 0.8, to[1] - v * tip * 0.8); pen.stroke();
  if (tip < 3) return;
  pen.beginPath();
  pen.moveTo(...to);
  pen.lineTo(to[0] - u * tip - v * tip * 0.5, to[1] - v * tip + u * tip * 0.5);
  pen.lineTo(to[0] - u * tip + v * tip * 0.5, to[1] - v * tip - u * tip * 0.5);
  pen.fill();
};

const pulls = {
  canvas: find("[data-fan]"), grown: 1, summed: 1,

  draw() {
    const { view } = world.main, hand = view.in_hand, arrows = hand?.pulls ?? null;
    this.canvas.hidden = !arrows;
    setText("[data-pull-text]", this.text(arrows, hand));
    if (!arrows) return;
    const { pen, width, height } = prepare(this.canvas), half = width / 2;
    const [left, right] = [0, half].map((start) => ({ left: start + 14, right: start + half - 14, top: 22, bottom: height - 6 }));
    const stretch = map.stretch(), flat = arrows.map(([x, y]) => [x * stretch[0], -y * stretch[1]]);
    const mean = [view.mean_pull[0] * stretch[0], -view.mean_pull[1] * stretch[1]];
    this.title(pen, half / 2, word("learn.fan_each", { n: flat.length, samples: flat.length }));
    this.title(pen, half * 1.5, word("learn.fan_sum", { n: flat.length }));
    if (world.stage >= 1) this.drawFan(pen, left, flat);
    if (world.stage >= 2) this.drawChain(pen, right, flat, mean, hand.stop - hand.start);
    this.canvas.setAttribute("aria-label", word("learn.fan_picture", { n: flat.length, samples: flat.length }));
  },

  text(arrows, hand) {
    if (!hand || !arrows) return world.landscape ? "" : word("learn.land_waiting");
    return word(world.stage < 2 ? "learn.move_is_not_yet" : map.isLengthened ? "learn.move_is_longer" : "learn.move_is", { lr: tiny(world.problem.lr) });
  },

  title(pen, x, text) {
    pen.fillStyle = colour("soft"); pen.textAlign = "center"; pen.textBaseline = "top";
    pen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillText(text, x, 0);
  },

  // Where points lie in a box that shows them all and their origin, as large as it can; drawn with the origin's dot.
  fitted(pen, box, points) {
    const [xs, ys] = [0, 1].map((axis) => [0, ...points.map((point) => point[axis])]);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = Math.min((box.right - box.left) / (right - left || 1e-9), (box.bottom - box.top) / (bottom - top || 1e-9));
    const [x, y] = [(box.left + box.right - (left + right) * scale) / 2, (box.top + box.bottom - (top + bottom) * scale) / 2];
    const place = (point) => [x + point[0] * scale, y + point[1] * scale];
    pen.fillStyle = colour("soft"); pen.beginPath(); pen.arc(x, y, 2.5, 0, 2 * Math.PI); pen.fill();
    return place;
  },

  // All pulls from one point.
  drawFan(pen, box, flat) {
    const place = this.fitted(pen, box, flat), shown = Math.ceil(flat.length * this.grown), start = place([0, 0]);
    pen.strokeStyle = pen.fillStyle = colour("hand");
    pen.globalAlpha = flat.length > 60 ? 0.45 : flat.length > 12 ? 0.65 : 0.95;
    for (const pull of flat.slice(0, shown)) drawArrow(pen, start, place(pull), 1.3, 6);
    pen.globalAlpha = 1;
    const open = world.main.view.in_hand.indices.indexOf(world.pointed ?? world.opened?.index);
    if (open < 0 || open >= shown) return;
    pen.strokeStyle = pen.fillStyle = colour("ink");
    drawArrow(pen, start, place(flat[open]), 3, 9);
  },

  // The pulls one after the other, each divided by their number: the end is the mean.
  drawChain(pen, box, flat, mean, size) {
    const ways = [[0, 0]];
    for (const [x, y] of flat) { const [a, b] = ways.at(-1); ways.push([a + x / flat.length, b + y / flat.length]); }
    const place = this.fitted(pen, box, [...ways, mean]), shown = Math.max(1, Math.ceil(flat.length * this.summed));
    pen.strokeStyle = colour("hand"); pen.lineWidth = 1.3; pen.lineJoin = "round";
    pen.beginPath(); ways.slice(0, shown + 1).forEach((way) => pen.lineTo(...place(way))); pen.stroke();
    if (this.summed < 1 || flat.length < Math.min(size, 2)) return;
    pen.strokeStyle = pen.fillStyle = colour(MAIN);
    drawArrow(pen, place([0, 0]), place(mean), 3, 11);
  },

  // Let the arrows grow, then add up.
  grow(milliseconds) { animate("fan", milliseconds, (share) => { this.grown = easing(share); this.draw(); }); },
  sum(milliseconds) { animate("chain", milliseconds, (share) => { this.summed = easing(share); this.draw(); }); },
};
