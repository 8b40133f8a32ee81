// What is trained: every change begins anew, with the same first weights for all three methods.

const PROBLEM_WORDS = { digits: "learn.problem_digits", line: "learn.problem_line", points: "learn.problem_points", mnist: "learn.problem_mnist", "digits-60k": "learn.problem_digits_60k" };
const MODEL_WORDS = { linear: "learn.model_linear", mlp: "learn.model_mlp", cnn: "learn.model_cnn" };

const problemName = (name) => (PROBLEM_WORDS[name] ? word(PROBLEM_WORDS[name]) : name.split(/[\\/]/).at(-1));

const modelName = (name) => (MODEL_WORDS[name] ? word(MODEL_WORDS[name]) : name);

const settings = {
  form: find("[data-settings]"), box: find("details.settings"), question: {},

  field(name) { return find(`[data-set="${name}"]`); },

  draw() {
    const { problem, choices, main } = { ...world.answer, main: world.main };
    this.fill("problem", choices.problems, problemName, problem.name);
    this.fill("model", choices.models, modelName, problem.model);
    const values = { samples: problem.samples, batch_size: main.facts.batch_size, lr: tiny(problem.lr), micro_batch: main.facts.micro_batch ?? "", seed: problem.seed };
    for (const [name, value] of Object.entries(values)) this.field(name).value = String(value);
    this.field("samples").max = String(choices.max_samples);
    this.field("batch_size").max = String(problem.samples);
    this.field("micro_batch").max = String(main.facts.batch_size);
    this.field("seed").max = String(Number.MAX_SAFE_INTEGER);
    for (const button of findAll("[data-method]")) button.setAttribute("aria-pressed", String(button.dataset.method === main.facts.method));
    setText("[data-settings-now]", word("learn.settings_now", { problem: problemName(problem.name), samples: problem.samples, batch_size: main.facts.batch_size, lr: tiny(problem.lr), model: modelName(problem.model) }));
    this.allow();
  },

  fill(name, options, text, chosen) {
    const select = this.field(name);
    select.replaceChildren(...options.map((value) => make("option", { value, textContent: text(value), selected: value === chosen })));
  },

  // In a recording the settings are those that were recorded.
  allow() {
    if (isLive) return;
    for (const field of [...findAll("[data-set]"), ...findAll("[data-method]")]) {
      field.disabled = !["samples", "batch_size"].includes(field.dataset.set);
      field.title = field.disabled ? word("learn.not_recorded") : "";
    }
    for (const option of this.field("problem").options) option.disabled = !canAsk("/api/start", { problem: option.value });
    this.field("problem").disabled = [...this.field("problem").options].filter((option) => !option.disabled).length < 2;
  },

  number(name) { const { value } = this.field(name); return value === "" ? null : Number(value); },

  // The question for a new start, once a field was changed; another problem starts with its own values.
  read(changed) {
    if (changed === "problem") return { problem: this.field("problem").value };
    const value = changed === "model" ? this.field("model").value : this.number(changed), { facts } = world.main;
    const asked = { ...this.question, model: this.field("model").value, seed: this.number("seed"), [changed]: value };
    if (changed === "samples" && facts.method === "bgd") asked.batch_size = "all";
    else if (changed === "samples" && value < facts.batch_size) asked.batch_size = value;
    return asked;
  },

  // What is wrong with a number that was typed, in all languages; null where nothing is.
  wrong({ dataset: { set }, validity, value, min, max }) {
    if (validity.valid && !(set === "lr" && value !== "" && Number(value) <= 0)) return null;
    const saying = (language) => sentence(language, set === "lr" ? "learn.not_above_zero" : "learn.not_whole", { field: sentence(language, `learn.${set}`), least: Number(min), most: Number(max) });
    return { en: saying("en"), zh: saying("zh") };
  },

  method(name) {
    const { samples } = world.problem, kept = world.main.facts.batch_size, size = { bgd: "all", sgd: 1, mbgd: kept > 1 && kept < samples ? kept : Math.max(1, Math.min(100, Math.round(samples / 12))) }[name];
    return { ...this.question, problem: world.problem.name, batch_size: size };
  },

  listen() {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", (event) => {
      const { set } = event.target.dataset;
      if (!set) return;
      const wrong = this.wrong(event.target);
      if (wrong) { this.draw(); actions.complain(wrong); } else actions.change(this.read(set));
    });
    for (const button of findAll("[data-method]")) button.addEventListener("click", () => actions.change(this.method(button.dataset.method)));
  },
};
