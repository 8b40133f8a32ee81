// The page: its counters, its language and theme, and the start.

const counters = {
  draw() {
    const { view, facts, hasEnded, shownEpoch, position } = world.main, { audit } = view, { samples } = world.problem;
    const batches = facts.batches_per_epoch, done = hasEnded ? batches : position.batch;
    for (const [name, value] of [["epoch", position.epoch], ["batch", done], ["iteration", position.iteration], ["samples", position.samples_used]]) setText(`[data-count="${name}"]`, count(value));
    setText("[data-of-epochs]", word("learn.of_epochs"));
    setText("[data-of-batches]", word("learn.of_batches", { batches }));
    setText("[data-of-samples]", word("learn.used_in_epoch", { used: audit.samples, samples, epoch: shownEpoch }));
    setText("[data-of-updates]", word("learn.of_updates", { n: position.iteration }));
    setText("[data-sha]", view.weights_sha256.slice(0, 8));
    find("[data-sha]").title = view.weights_sha256;
    setText("[data-same]", world.main.isSame ? word("learn.same_bits") : "");
    const proof = find("[data-proof]");
    proof.hidden = !hasEnded;
    proof.title = `${audit.hash} = ${audit.expected_hash}`;
    setText("[data-proof]", hasEnded ? word(audit.exact ? "learn.proof" : "learn.no_proof", { epoch: shownEpoch, samples: audit.samples }) : "");
    proof.classList.toggle("no", !audit.exact);
  },
};

const drawAll = () => {
  if (!world.answer || !LANES.every((name) => world.lanes[name].view)) return;
  root.toggleAttribute("data-dark", isDark());
  root.toggleAttribute("data-mapped", world.landscape !== null);
  for (const part of [counters, setGrid, strip, samples, card, plane, map, pulls, curve, lanes, epochTable, orders, micro, formulas]) part.draw();
  actions.allow();
};

const SPEED_WORDS = { slow: "learn.speed_slow", normal: "learn.speed_normal", fast: "learn.speed_fast", epochs: "learn.speed_epochs" };

const setLanguage = (code) => {
  root.lang = code;
  for (const button of findAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === code));
  document.title = `${word("learn.title")} · Epochal`;
  for (const option of find("[data-speed]").options) option.textContent = word(SPEED_WORDS[option.value]);
  guide.draw();
  if (said.key) tell(said.key, said.gaps);
  actions.complain(actions.trouble);
  if (!world.answer) return;
  settings.draw(); drawAll();
};

const setTheme = (theme) => {
  root.dataset.theme = theme;
  for (const button of findAll("button[data-theme]")) button.setAttribute("aria-pressed", String(button.dataset.theme === theme));
  drawAll();
};

const start = async () => {
  for (const part of [setGrid, strip, plane, map, curve, guide, settings, actions]) part.listen();
  for (const button of findAll("[data-language]")) button.addEventListener("click", () => setLanguage(button.dataset.language));
  for (const button of findAll("button[data-theme]")) button.addEventListener("click", () => setTheme(button.dataset.theme));
  if (matchMedia("(max-width: 62rem)").matches) settings.box.open = false;
  // Paper is light, whatever the screen is.
  let shown = root.dataset.theme;
  addEventListener("beforeprint", () => { shown = root.dataset.theme; root.dataset.theme = "light"; drawAll(); });
  addEventListener("afterprint", () => { root.dataset.theme = shown; drawAll(); });
  addEventListener("scroll", () => tip.hide(), { passive: true });
  setTheme("auto");
  setLanguage(root.lang);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  await guide.open(guide.read(), { isFirst: true });
  root.toggleAttribute("data-ready", true);
};
