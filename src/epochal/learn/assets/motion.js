// Motion that explains: it always ends where the page already is, and a newer one ends an older one.

const easing = (share) => (share < 0.5 ? 4 * share ** 3 : 1 - (-2 * share + 2) ** 3 / 2);

const motions = new Map();

const settle = (name) => {
  const running = motions.get(name);
  if (!running) return;
  motions.delete(name);
  cancelAnimationFrame(running.frame);
  running.draw(1);
};

// Call `draw(share)` with shares from 0 to 1 over so many milliseconds; with reduced motion only with 1.
const animate = (name, milliseconds, draw) => {
  settle(name);
  if (isCalm() || document.hidden || milliseconds <= 0) { draw(1); return; }
  const started = performance.now(), running = { frame: 0, draw };
  const tick = (now) => {
    const share = Math.min(1, Math.max(0, (now - started) / milliseconds));
    draw(share);
    if (share < 1) running.frame = requestAnimationFrame(tick);
    else if (motions.get(name) === running) motions.delete(name);
  };
  motions.set(name, running);
  running.frame = requestAnimationFrame(tick);
};

// A batch flies from the grid of all samples into the hand.
const flyIn = (milliseconds) => {
  const canvas = find("#flight"), hand = world.main.view.in_hand;
  if (!hand || world.isToy || isCalm()) return;
  const targets = findAll("[data-sample]").map((button) => ({ index: Number(button.dataset.sample), box: button.getBoundingClientRect(), image: find("canvas", button) }));
  const flights = targets.slice(0, 120).map(({ index, box, image }) => ({ image: image.hidden || !image.width || !image.height ? null : image, from: setGrid.placeOf(index), to: [box.left + box.width / 2, box.top + box.width / 2], size: box.width }));
  const visible = flights.filter(({ to }) => to[1] > 0 && to[1] < innerHeight);
  if (!visible.length) return;
  animate("flight", milliseconds, (share) => {
    const { pen } = prepare(canvas);
    find("[data-samples]").classList.toggle("arriving", share < 1);
    if (share === 1) return;
    pen.fillStyle = colour("hand"); pen.imageSmoothingEnabled = false;
    visible.forEach(({ from, to, size, image }, place) => {
      const late = (place / visible.length) * 0.45, own = easing(Math.min(1, Math.max(0, (share - late) / 0.55)));
      const lift = Math.sin(Math.PI * own) * 26, side = Math.min(setGrid.side, size) + (size - Math.min(setGrid.side, size)) * own;
      const [x, y] = [from[0] + (to[0] - from[0]) * own, from[1] + (to[1] - from[1]) * own - lift];
      if (own === 0) return;
      const edge = 2 * (1 - own);
      pen.beginPath();
      pen.roundRect(x - side / 2 - edge, y - side / 2 - edge, side + 2 * edge, side + 2 * edge, 3);
      pen.fill();
      if (image?.width && image.height) pen.drawImage(image, x - side / 2, y - side / 2, side, side);
    });
  });
};
