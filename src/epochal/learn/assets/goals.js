// When a step of a lesson is done: small questions about what the engine has answered, and what was done since.

// What was done since the present step became the present one; a lesson's step or question begins with a new one.
const newSince = () => ({ back: false, openSample: false, orders: false, micro: new Set(), settings: 0 });

const reached = (position, { epoch, batch }) => position.epoch > epoch || (position.epoch === epoch && position.batch >= batch);

const goals = {
  iterations_done: (goal) => world.lanes[goal.lane ?? MAIN].position.iteration >= goal.count,
  reach: (goal) => reached(world.lanes[goal.lane ?? MAIN].position, goal),
  lanes_epoch: (goal) => LANES.every((name) => world.lanes[name].view && world.lanes[name].position.epoch >= goal.epoch),
  back: (goal, since) => since.back,
  open_sample: (goal, since) => since.openSample,
  set: (goal) => (goal.batch_size === undefined || world.main.facts.batch_size === goal.batch_size) && (goal.samples === undefined || world.problem.samples === goal.samples),
  micro: (goal, since) => since.micro.has(goal.micro_batch),
  compare_orders: (goal, since) => since.orders,
  epoch_loss: (goal) => {
    const { epochs } = world.main.view;
    return epochs.length > 1 && epochs.at(-1).train_loss < goal.below * epochs[0].train_loss;
  },
  answer: () => false, // which the learner types
};

const isDone = (goal, since) => world.answer !== null && world.main.view !== null && goals[goal.type](goal, since);

// The control that a goal asks for, so that it can be shown.
const CONTROLS = {
  iterations_done: '.deck [data-do="iteration"]', reach: '.deck [data-do="iteration"]', lanes_epoch: '[data-do="lanes"]', back: '[data-do="back"]',
  open_sample: "[data-samples]", micro: '[data-do="micro"]', compare_orders: '[data-do="orders"]', epoch_loss: '.deck [data-do="epoch"]',
};
const FAR = 15; // iterations that nobody steps through one by one
const JUMP = 2000; // iterations to which one jumps

const controlOf = (goal) => {
  if (goal.type === "set") return goal.batch_size === undefined ? '[data-set="samples"]' : '[data-set="batch_size"]';
  const { facts, view } = world.main ?? {};
  if (!view || !["iterations_done", "reach"].includes(goal.type)) return CONTROLS[goal.type];
  if (goal.lane && goal.lane !== MAIN) return `[data-lane="${goal.lane}"] [data-do="lane-${goal.type === "reach" && !goal.batch ? "epoch" : "iteration"}"]`;
  const per = facts.batches_per_epoch, left = (goal.count ?? goal.epoch * per + goal.batch) - view.position.iteration;
  if (left > JUMP) return '.goto input, .goto button';
  return left > FAR || (left > 1 && goal.type === "reach" && !goal.batch) ? '.deck [data-do="epoch"]' : CONTROLS.iterations_done;
};
