// What the engine has answered: a problem with three trainings that stand side by side.

const MAIN = "mbgd", LANES = ["bgd", "mbgd", "sgd"];

class Lane {
  constructor(name, facts) { Object.assign(this, { name, facts, view: null, path: new Map(), prints: new Map(), isSame: false }); }

  get position() { return this.view.position; }

  // An epoch is just over: the engine still tells of it until the next iteration.
  get hasEnded() { return this.position.offset === 0 && this.position.iteration > 0; }

  // The epoch that the grid and the strip show, from 1.
  get shownEpoch() { return this.position.epoch + (this.hasEnded ? 0 : 1); }

  take(view) {
    const { iteration } = view.position, before = this.prints.get(iteration);
    if (iteration !== this.view?.position.iteration) this.isSame = before !== undefined && before === view.weights_sha256;
    this.prints.set(iteration, view.weights_sha256);
    if (view.place) this.path.set(iteration, [view.place.x, view.place.y]);
    this.view = view;
  }

  // The way so far: the places that were visited, and those of the first fast run up to here.
  trail(landscape) {
    const now = this.position.iteration, places = new Map();
    for (const [x, y, iteration] of landscape.trajectories[this.name] ?? []) if (iteration <= now) places.set(iteration, [x, y]);
    for (const [iteration, place] of this.path) if (iteration <= now) places.set(iteration, place);
    return [...places].sort(([a], [b]) => a - b);
  }
}

const world = {
  answer: null, lanes: {}, landscape: null, orders: new Map(), stage: 3, opened: null, pointed: null, highest: 0, images: null,

  get id() { return this.answer.id; },
  get main() { return this.lanes[MAIN]; },
  get problem() { return this.answer.problem; },
  get isToy() { return this.answer.points !== null; },

  begin(answer) {
    Object.assign(this, { answer, landscape: null, orders: new Map(), stage: 3, opened: null, pointed: null, highest: 0 });
    this.lanes = Object.fromEntries(LANES.map((name) => [name, new Lane(name, answer.lanes[name])]));
    this.images = answer.images ? { ...answer.images, bytes: bytesOf(answer.images.data) } : null;
  },

  take(view) {
    this.lanes[view.lane].take(view);
    if (view.lane === MAIN && view.in_hand) {
      const { losses, images } = view.in_hand;
      this.highest = Math.max(this.highest, ...losses.filter((loss) => loss !== null));
      view.in_hand.bytes = images ? bytesOf(images.data) : null;
    }
  },

  // The grey or coloured image of a sample as {w, h, c, bytes, start}, or null.
  imageOf(index) {
    const { images, main } = this;
    if (images) return { ...images, start: index * images.w * images.h * images.c };
    const hand = main.view.in_hand;
    const place = hand?.bytes ? hand.indices.indexOf(index) : -1;
    if (place < 0) return null;
    const { w, h, c = 1 } = hand.images;
    return { w, h, c, bytes: hand.bytes, start: place * w * h * c };
  },

  className(number) { return this.problem.classes?.[number] ?? String(number); },
};
