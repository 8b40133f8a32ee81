// The three methods side by side.

const lanes = {
  draw() {
    for (const section of findAll("[data-lane]")) {
      const lane = world.lanes[section.dataset.lane], { facts, view } = lane, { problem } = world;
      setText("[data-lane-name]", word(`method.${facts.method}`), section);
      setText("[data-lane-size]", this.size(facts, problem), section);
      setText("[data-lane-lr]", tiny(facts.lr), section);
      setText("[data-lane-batches]", `${facts.rows.find((row) => row.key === "batches_per_epoch").formula} = ${count(facts.batches_per_epoch)}`, section);
      if (!view) continue;
      setText("[data-lane-epochs]", count(view.position.epoch), section);
      setText("[data-lane-updates]", count(view.position.iteration), section);
      const done = view.epochs.at(-1);
      setText("[data-lane-loss]", done ? written(done.train_loss) : "–", section);
      this.drawStrip(find("[data-lane-strip]", section), lane);
      for (const button of findAll("button", section)) can.set(button, { lane: lane.name, to: actions.target(lane, button.dataset.do === "lane-epoch") });
    }
  },

  size(facts, problem) {
    if (facts.method === "bgd") return `N = ${count(problem.samples)}`;
    return facts.method === "sgd" ? "1" : `B = ${count(facts.batch_size)}`;
  },

  // An epoch of this method: as many pieces as it makes updates.
  drawStrip(canvas, lane) {
    const { pen, width, height } = prepare(canvas), { facts, position, hasEnded } = lane, batches = facts.batches_per_epoch;
    const done = hasEnded ? batches : position.batch, gap = batches > width / 4 ? 0 : 2, unit = (width - gap * (batches - 1)) / batches;
    if (gap === 0) {
      pen.fillStyle = colour("unused"); pen.fillRect(0, 0, width, height);
      pen.fillStyle = colour(lane.name); pen.fillRect(0, 0, (done / batches) * width, height);
      pen.fillStyle = colour("paper"); pen.globalAlpha = 0.35;
      const every = Math.max(1, Math.ceil(batches / (width / 2)));
      for (let batch = 0; batch < batches; batch += every) pen.fillRect((batch / batches) * width, 0, 0.6, height);
      pen.globalAlpha = 1;
      return;
    }
    for (let batch = 0; batch < batches; batch += 1) {
      const part = batch === batches - 1 ? facts.last_batch_size / facts.batch_size : 1;
      pen.fillStyle = colour(batch < done ? lane.name : "unused");
      pen.beginPath(); pen.roundRect(batch * (unit + gap), 0, Math.max(1, unit * part), height, Math.min(3, unit / 3)); pen.fill();
    }
  },
};
