// What the buttons and keys do: each asks the engine, shows what it answers, and says what has happened.

const SPEEDS = { slow: [1500, 1], normal: [450, 1], fast: [60, 1], epochs: [500, "epoch"] }; // milliseconds between moves, and how far

const on = (name, act) => { for (const button of findAll(`[data-do="${name}"]`)) button.addEventListener("click", act); };

const intoView = (selector) => find(selector).scrollIntoView({ block: "nearest", behavior: isCalm() ? "auto" : "smooth" });

// On a phone the training lies below the lesson: what has just happened there is brought into view.
const seeTraining = (selector) => {
  const element = find(selector);
  if (element.getBoundingClientRect().top > innerHeight - 220) element.scrollIntoView({ block: "start", behavior: isCalm() ? "auto" : "smooth" });
};

// Whether a control can be used now, and why not.
const can = {
  set(button, question, atEnd = "learn.at_end") {
    this.mark(button, question.to === null ? atEnd : canAsk("/api/go", { id: world.id, ...question }) ? "" : "learn.not_recorded");
  },

  mark(button, reason) {
    button.disabled = reason !== "";
    button.title = reason ? word(reason) : "";
  },
};

const actions = {
  queue: Promise.resolve(), waiting: 0, playing: null, trouble: null,

  // One question after the other; a key that is held down does not pile up more than it sees.
  enqueue(action, most = 2) {
    if (this.waiting > most) return this.queue;
    this.waiting += 1;
    root.toggleAttribute("data-busy", true);
    this.queue = this.queue.then(action).catch((error) => this.fail(error)).finally(() => {
      this.waiting -= 1;
      root.toggleAttribute("data-busy", this.waiting > 0);
    });
    return this.queue;
  },

  fail(error) {
    this.pause();
    if (world.answer) settings.draw();
    this.complain(error.texts ?? { en: String(error), zh: String(error) });
    if (!error.texts) console.error(error);
  },

  // What could not be done, until something else is done; null takes it away.
  complain(texts) {
    this.trouble = texts;
    if (texts) said.key = null;
    const box = find("[data-trouble]");
    box.hidden = texts === null;
    box.textContent = texts ? own(texts) : "";
    if (texts) find("[data-live]").textContent = own(texts);
  },

  // A new world: its start, the three trainings at their first weights, and soon the landscape.
  begin(question) {
    this.pause();
    return this.enqueue(async () => {
      const answer = await ask("/api/start", question), views = [];
      for (const name of LANES) views.push(await ask("/api/go", { id: answer.id, lane: name, to: 0 }));
      this.complain(null);
      if (isLive && world.answer) ask("/api/leave", { id: world.id }).catch(() => {}); // it may be gone already
      for (const name of [...motions.keys()]) settle(name);
      world.begin(answer);
      views.forEach((view) => world.take(view));
      settings.question = question;
      map.begin(); orders.begin(); micro.begin();
      find("[data-goto-number]").value = "";
      Object.assign(world, { waiting: null, noLandscape: false });
      Object.assign(pulls, { grown: 1, summed: 1 });
      await this.askLandscape();
      settings.draw(); drawAll();
      const { name } = world.problem;
      tell("learn.said_start", { problem: () => problemName(name), samples: world.problem.samples, batches: world.main.facts.batches_per_epoch, n: world.main.facts.batches_per_epoch });
    }, 9);
  },

  async change(question) {
    if (!canAsk("/api/start", question)) { tell("learn.not_recorded"); settings.draw(); return; }
    guide.since.settings += 1;
    await this.begin(question);
    guide.look();
  },

  async askLandscape() {
    const { id } = world;
    if (!canAsk("/api/landscape", { id })) { world.noLandscape = true; return; }
    const answer = await ask("/api/landscape", { id });
    if (id !== world.id) return;
    if (answer.ready) world.landscape = answer;
    else { world.waiting = answer; setTimeout(() => this.poll(id), 250); }
  },

  async poll(id) {
    if (id !== world.id || world.landscape) return;
    try {
      await this.askLandscape();
    } catch { world.noLandscape = true; }
    if (id !== world.id || !world.main.view) return;
    if (world.landscape) await this.enqueue(async () => {
      for (const name of LANES) if (id === world.id) world.take(await ask("/api/go", { id, lane: name, to: world.lanes[name].position.iteration }));
      drawAll();
    }, 9);
    else map.draw();
  },

  // Where a lane stands after one iteration more, or at its next epoch's end; null where its end is reached.
  target(lane, isEpoch) {
    const { position, facts } = lane, to = isEpoch ? (position.epoch + 1) * facts.batches_per_epoch : position.iteration + 1;
    return to <= facts.limit ? to : null;
  },

  // Move a lane to an iteration; `said` tells what happened.
  async move(name, to, { said = null, motion = 0 } = {}) {
    const lane = world.lanes[name], before = lane.view;
    for (const one of ["place", "flight", "fan", "chain"]) settle(one);
    const view = await ask("/api/go", { id: world.id, lane: name, to });
    const from = before.place ? [before.place.x, before.place.y] : null, isStep = to === before.position.iteration + 1;
    this.complain(null);
    world.take(view);
    if (name === MAIN) { world.opened = null; micro.answer = null; }
    Object.assign(pulls, { grown: 1, summed: 1 });
    map.from = from;
    map.moving = name === MAIN && isStep && from && motion && !isCalm() ? 0 : 1;
    drawAll();
    if (name === MAIN && motion) {
      if (map.moving === 0) map.move(from, motion);
      if (isStep) { flyIn(motion * 1.2); if (world.stage >= 1) pulls.grow(motion); }
    }
    said?.(view);
    guide.look();
    if (name === MAIN) seeTraining(".strip");
  },

  sayIteration(view) {
    const { last, position } = view;
    if (!last) { tell("learn.said_zero"); return; }
    tell("learn.said_iteration", { iteration: position.iteration, batch: last.batch, epoch: last.epoch, loss: written(last.loss) });
  },

  iteration(motion = 520) {
    return this.enqueue(async () => {
      const to = this.target(world.main, false);
      if (to === null) { this.pause(); tell("learn.at_end"); return; }
      world.stage = 3;
      const before = world.main.position.epoch;
      await this.move(MAIN, to, { said: (view) => this.sayIteration(view), motion });
      if (world.main.position.epoch > before) this.sayEpoch();
    });
  },

  epoch() {
    return this.enqueue(async () => {
      const to = this.target(world.main, true);
      if (to === null) { this.pause(); tell("learn.at_end"); return; }
      world.stage = 3;
      tell("learn.said_working");
      await this.move(MAIN, to);
      this.sayEpoch();
    });
  },

  sayEpoch() {
    const { view, facts } = world.main, done = view.epochs.at(-1);
    if (done) tell("learn.said_epoch", { epoch: done.epoch, samples: done.samples, batches: facts.batches_per_epoch, n: facts.batches_per_epoch, loss: written(done.train_loss) });
  },

  back() {
    return this.enqueue(async () => {
      const { iteration } = world.main.position;
      if (iteration === 0) return;
      world.stage = 3;
      guide.since.back = true;
      await this.move(MAIN, iteration - 1, { said: () => tell(world.main.isSame ? "learn.said_back_same" : "learn.said_back", { iteration: iteration - 1 }) });
    });
  },

  goTo(to) {
    const { limit } = world.main.facts;
    if (!Number.isInteger(to) || to < 0 || to > limit) { tell("learn.cannot_go", { limit }); return this.queue; }
    if (!canAsk("/api/go", { id: world.id, lane: MAIN, to })) { tell("learn.not_recorded"); return this.queue; }
    return this.enqueue(async () => {
      if (to < world.main.position.iteration) guide.since.back = true;
      tell("learn.said_working");
      world.stage = 3;
      await this.move(MAIN, to, { said: (view) => this.sayIteration(view) });
    });
  },

  // The batch in hand, stage by stage: look, losses, mean, update.
  batch() {
    return this.enqueue(async () => {
      if (!world.main.view.in_hand) return;
      if (world.stage === 2) {
        const to = this.target(world.main, false);
        if (to === null) { tell("learn.at_end"); return; }
        world.stage = 0;
        await this.move(MAIN, to, { said: (view) => this.sayIteration(view), motion: 700 });
        return;
      }
      world.stage = world.stage >= 3 ? 0 : world.stage + 1;
      const hand = world.main.view.in_hand, size = hand.stop - hand.start;
      if (world.stage === 1) pulls.grown = isCalm() ? 1 : 0;
      if (world.stage === 2) pulls.summed = isCalm() ? 1 : 0;
      drawAll();
      seeTraining(".panel.hand");
      if (world.stage === 1) pulls.grow(900);
      if (world.stage === 2) pulls.sum(1200);
      tell(["learn.said_look", "learn.said_losses", "learn.said_mean"][world.stage], { n: size, samples: size, batch: hand.batch, epoch: hand.epoch, loss: written(hand.mean_loss), lr: tiny(world.problem.lr) });
    });
  },

  // The next sample of the batch in hand, alone.
  sample() {
    const { indices } = world.main.view.in_hand ?? {};
    if (!indices) return this.queue;
    const place = world.opened ? indices.indexOf(world.opened.index) + 1 : 0;
    return this.openSample(indices[place % indices.length]);
  },

  openSample(index) {
    const question = () => ({ id: world.id, lane: MAIN, index, iteration: world.main.position.iteration });
    if (!canAsk("/api/sample", question())) { tell("learn.not_recorded"); return this.queue; }
    return this.enqueue(async () => {
      world.opened = await ask("/api/sample", question());
      guide.since.openSample = true;
      drawAll();
      seeTraining(".panel.hand");
      tell("learn.said_sample", { index, loss: written(world.opened.loss) });
      guide.look();
    });
  },

  close() { world.opened = null; drawAll(); },

  lanes() {
    return this.enqueue(async () => {
      const epoch = Math.min(...LANES.map((name) => world.lanes[name].position.epoch)) + 1;
      tell("learn.said_working");
      for (const name of LANES) {
        const lane = world.lanes[name], to = epoch * lane.facts.batches_per_epoch;
        if (lane.position.iteration < to && to <= lane.facts.limit) await this.move(name, to);
      }
      const updates = Object.fromEntries(LANES.map((name) => [name, world.lanes[name].position.iteration]));
      tell("learn.said_lanes", { n: epoch, epoch, ...updates });
    });
  },

  lane(name, isEpoch) {
    return this.enqueue(async () => {
      const to = this.target(world.lanes[name], isEpoch);
      if (to !== null) await this.move(name, to, { said: (view) => (isEpoch ? tell("learn.said_lane", { name: () => word(`method.${world.lanes[name].facts.method}`), epoch: view.position.epoch, n: view.position.iteration, updates: view.position.iteration }) : this.sayIteration(view)) });
    });
  },

  restart() {
    this.pause();
    return this.enqueue(async () => {
      for (const name of LANES) { const lane = world.lanes[name]; lane.path.clear(); await this.move(name, 0); }
      world.stage = 3;
      tell("learn.said_zero");
    });
  },

  compareOrders() {
    return this.enqueue(async () => {
      const first = Math.max(0, world.main.shownEpoch - 2), epochs = [first, first + 1];
      for (const epoch of epochs) if (!world.orders.has(epoch)) world.orders.set(epoch, (await ask("/api/order", { id: world.id, epoch })).order);
      orders.epochs = epochs;
      guide.since.orders = true;
      orders.draw();
      intoView("[data-orders]");
      tell("learn.said_orders", { first: first + 1, second: first + 2 });
      guide.look();
    });
  },

  compareMicro(size) {
    return this.enqueue(async () => {
      micro.answer = await ask("/api/micro", { id: world.id, micro_batch: size, iteration: world.main.position.iteration });
      guide.since.micro.add(size);
      micro.draw();
      intoView("[data-micro-result]");
      tell("learn.said_micro", { n: micro.answer.micro.slices.length, slices: micro.answer.micro.slices.length });
      guide.look();
    });
  },

  play() {
    if (this.playing) { this.pause(); return; }
    const ticket = {};
    this.playing = ticket;
    this.drawPlaying();
    const turn = async () => {
      if (this.playing !== ticket) return;
      const [rest, far] = SPEEDS[find("[data-speed]").value], started = performance.now();
      await (far === "epoch" ? this.epoch() : this.iteration(rest >= 400 ? Math.min(520, rest * 0.7) : 0));
      if (this.playing === ticket) setTimeout(turn, Math.max(0, rest - (performance.now() - started)));
    };
    turn();
  },

  pause() { this.playing = null; this.drawPlaying(); },

  drawPlaying() {
    const button = find('[data-do="play"]');
    button.classList.toggle("playing", this.playing !== null);
    button.setAttribute("aria-pressed", String(this.playing !== null));
  },

  // Which controls can be used now.
  allow() {
    const { main, id } = world, deck = (name) => find(`.deck [data-do="${name}"]`);
    can.set(deck("iteration"), { lane: MAIN, to: this.target(main, false) });
    can.set(deck("epoch"), { lane: MAIN, to: this.target(main, true) });
    can.set(deck("play"), { lane: MAIN, to: this.target(main, find("[data-speed]").value === "epochs") });
    deck("play").disabled &&= this.playing === null;
    can.set(deck("back"), { lane: MAIN, to: main.position.iteration > 0 ? main.position.iteration - 1 : null }, "learn.at_start");
    can.mark(deck("restart"), LANES.every((name) => world.lanes[name].position.iteration === 0) ? "learn.at_start" : "");
    can.mark(deck("batch"), main.view.in_hand ? "" : "learn.at_end");

    const recorded = (isThere) => (isThere ? "" : "learn.not_recorded"), { iteration } = main.position;
    const first = main.view.in_hand?.indices[0], micros = `/api/micro {"id":"${id}","iteration":${iteration},`;
    can.mark(deck("sample"), first === undefined ? "learn.at_end" : recorded(canAsk("/api/sample", { id, lane: MAIN, index: first, iteration })));
    can.mark(find('[data-do="micro"]'), recorded(isLive || Object.keys(page.recording.answers).some((key) => key.startsWith(micros))));
    can.mark(find('[data-do="orders"]'), recorded(canAsk("/api/order", { id, epoch: Math.max(0, main.shownEpoch - 2) })));
    can.mark(find('[data-do="lanes"]'), this.lanesReason(id));
  },

  lanesReason(id) {
    const epoch = Math.min(...LANES.map((name) => world.lanes[name].position.epoch)) + 1;
    const waiting = LANES.map((name) => [name, world.lanes[name], epoch * world.lanes[name].facts.batches_per_epoch]).filter(([, lane, to]) => lane.position.iteration < to);
    if (waiting.some(([, lane, to]) => to > lane.facts.limit)) return "learn.at_end";
    return waiting.every(([name, , to]) => canAsk("/api/go", { id, lane: name, to })) ? "" : "learn.not_recorded";
  },

  listen() {
    for (const name of ["iteration", "epoch", "back", "batch", "sample", "lanes", "restart", "close", "play"]) on(name, () => this[name]());
    on("orders", () => this.compareOrders());
    find("[data-micro]").addEventListener("submit", (event) => { event.preventDefault(); const size = Number(find("[data-micro-size]").value); if (size >= 1) this.compareMicro(size); });
    find("[data-goto]").addEventListener("submit", (event) => { event.preventDefault(); const { value } = find("[data-goto-number]"); if (value !== "") this.goTo(Number(value)); });
    for (const section of findAll("[data-lane]")) {
      for (const button of findAll("button", section)) button.addEventListener("click", () => this.lane(section.dataset.lane, button.dataset.do === "lane-epoch"));
    }
    const keys = { s: "sample", b: "batch", i: "iteration", ArrowRight: "iteration", e: "epoch", ArrowLeft: "back", r: "restart", " ": "play" };
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !world.answer || event.defaultPrevented) return;
      if (event.key === "Escape" && world.opened) { this.close(); return; }
      if (event.target.closest("input, select, textarea, [contenteditable]") || (event.key === " " && event.target.closest("button, summary, a"))) return;
      const name = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!name || find(`.deck [data-do="${name}"]`).disabled) return;
      event.preventDefault();
      this[name]();
    });
  },
};
