// The guided lessons: text, steps that are ticked when they are done, a question, and where one stands in the address.

const guide = {
  key: null, step: 0, since: newSince(), done: new Set(), values: [], isRight: false, isHinted: false, isFree: true, form: find("form[data-question]"),

  get lesson() { return page.lessons.find((one) => one.key === this.key) ?? null; },
  get isCertificate() { return this.key === "certificate"; },

  // The address holds the lesson and those that are done: #lesson=batch&done=epoch,batch
  read() {
    const wanted = new URLSearchParams(location.hash.slice(1)), known = new Set(page.lessons.map((one) => one.key));
    this.done = new Set((wanted.get("done") ?? "").split(",").filter((key) => known.has(key)));
    const key = wanted.get("lesson");
    return known.has(key) || key === "certificate" ? key : key === "free" ? null : page.lessons[0]?.key ?? null;
  },

  save() {
    const done = [...this.done].join(","), hash = `#lesson=${this.key ?? "free"}${done ? `&done=${done}` : ""}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
  },

  async open(key, { isFirst = false } = {}) {
    Object.assign(this, { key, step: 0, since: newSince(), values: [], isRight: false, isHinted: false, isWrong: false });
    this.save();
    this.draw();
    if (this.lesson) await actions.begin(this.lesson.start);
    else if (isFirst || !world.answer) await actions.begin({ problem: page.problem });
    this.look();
    if (!isFirst) this.focus();
  },

  focus() {
    find(".guide").scrollTop = 0;
    find(this.isCertificate ? "[data-certificate-title]" : this.lesson ? "[data-title]" : "[data-free-title]").focus({ preventScroll: true });
    scrollTo({ top: 0, behavior: isCalm() ? "auto" : "smooth" });
  },

  // After every answer: tick what is done; a later step may be done as soon as it is the present one.
  look() {
    const { lesson } = this;
    if (lesson) {
      while (this.step < lesson.steps.length && isDone(lesson.steps[this.step].goal, this.since)) { this.step += 1; this.since = newSince(); }
      const { goal } = lesson.question;
      if (this.step === lesson.steps.length && !this.isRight && goal.type !== "answer") {
        if (isDone(goal, this.since)) this.finish();
        else if (goal.type === "set" && this.since.settings > 0) this.isHinted = this.isWrong = true;
      }
    }
    this.draw();
  },

  finish() {
    this.isRight = true;
    this.done.add(this.key);
    this.save();
  },

  check() {
    const { goal } = this.lesson.question;
    if (goal.type !== "answer") { this.isHinted = !this.isRight; this.draw(); return; }
    const typed = this.values.map((value) => Number(String(value).replace(/[\s,，\u00a0\u202f']/g, "") || NaN));
    if (goal.values.every((value, place) => typed[place] === value)) this.finish();
    else this.isHinted = this.isWrong = true;
    this.draw();
    this.reveal();
  },

  // What is said about an answer, and the way on, stand at the end of the lesson.
  reveal() { (find(".turn").hidden ? this.form : find(".turn")).scrollIntoView({ block: "nearest", behavior: isCalm() ? "auto" : "smooth" }); },

  draw() {
    const { lesson } = this;
    for (const part of findAll("[data-guide]")) part.hidden = part.dataset.guide !== (lesson ? "lesson" : this.isCertificate ? "certificate" : "free");
    this.drawDots();
    if (this.isCertificate) this.drawCertificate();
    if (lesson) this.drawLesson(lesson);
    this.drawPointers(lesson);
  },

  drawDots() {
    page.lessons.forEach((lesson, place) => {
      const dot = find(`[data-lesson="${lesson.key}"]`), isNow = lesson.key === this.key;
      dot.toggleAttribute("data-done", this.done.has(lesson.key));
      if (isNow) dot.setAttribute("aria-current", "step"); else dot.removeAttribute("aria-current");
      setText("[data-name]", word(this.done.has(lesson.key) ? "learn.lesson_done" : "learn.lesson_name", { number: place + 1, title: own(lesson.title) }), dot);
      dot.title = own(lesson.title);
    });
    find('[data-do="free"]').setAttribute("aria-pressed", String(this.key === null));
  },

  drawLesson(lesson) {
    const place = page.lessons.indexOf(lesson);
    const isOnly = page.lessons.length === 1;
    find("[data-number]").hidden = find(".turn").hidden = isOnly;
    setText("[data-number]", word("learn.lesson_of", { number: place + 1, count: page.lessons.length }));
    setText("[data-title]", own(lesson.title));
    setText("[data-statement]", own(lesson.statement));
    find("[data-text]").replaceChildren(...own(lesson.text).split("\n\n").map((text) => make("p", { textContent: text })));
    find("[data-steps]").replaceChildren(...lesson.steps.map((step, number) => {
      const item = make("li", { className: number === this.step ? "now" : "", data: { step: String(number) } }, make("span", { textContent: own(step.text) }));
      item.toggleAttribute("data-done", number < this.step);
      const control = number === this.step ? controlOf(step.goal) : null;
      if (control && !find(control)?.closest(".deck")) item.append(this.pointer(control));
      if (number < this.step) item.append(make("span", { className: "hidden", textContent: word("learn.done") }));
      return item;
    }));
    this.drawQuestion(lesson);
    find('[data-do="previous"]').disabled = place === 0;
    const next = find('[data-do="next"]'), isLast = place === page.lessons.length - 1;
    setText('[data-do="next"]', word(isLast ? "learn.to_certificate" : "learn.next"));
    next.classList.toggle("ask", this.isRight);
  },

  // A button that leads to the control which a step asks for.
  pointer(control) {
    const button = make("button", { type: "button", className: "pointer", textContent: word("learn.show_where") });
    button.addEventListener("click", () => {
      const element = find(control);
      element.scrollIntoView({ block: "center", behavior: isCalm() ? "auto" : "smooth" });
      (element.matches("button, input, select") ? element : find("button", element))?.focus({ preventScroll: true });
    });
    return button;
  },

  drawQuestion(lesson) {
    const { question } = lesson, isOpen = this.step === lesson.steps.length, key = `${lesson.key} ${root.lang}`;
    this.form.classList.toggle("waiting", !isOpen);
    this.form.classList.toggle("now", isOpen && !this.isRight);
    if (this.form.dataset.drawn !== key) {
      this.form.dataset.drawn = key;
      const parts = own(question.text).split("□");
      find("[data-question-text]").replaceChildren(...parts.flatMap((text, place) => (place ? [this.field(place - 1), text] : [text])));
    }
    findAll("[data-answer]", this.form).forEach((field, place) => { field.disabled = !isOpen; if (field.value !== (this.values[place] ?? "")) field.value = this.values[place] ?? ""; });
    const isTyped = question.goal.type === "answer";
    find("[data-check]").hidden = !isTyped || this.isRight;
    find("[data-check]").disabled = !isOpen;
    find("[data-show-hint]").hidden = this.isHinted || this.isRight || !isOpen;
    const hint = find("[data-hint]"), right = find("[data-right]");
    hint.hidden = !this.isHinted || this.isRight;
    right.hidden = !this.isRight;
    setText("[data-hint]", hint.hidden ? "" : `${this.isWrong ? `${word("learn.not_yet")} ` : ""}${own(lesson.hint)}`);
    setText("[data-right]", right.hidden ? "" : own(lesson.right));
  },

  field(place) {
    const field = make("input", { inputMode: "numeric", autocomplete: "off", size: 7, ariaLabel: word("learn.answer", { number: place + 1 }), data: { answer: String(place) } });
    field.addEventListener("input", () => { this.values[place] = field.value; this.isWrong = false; });
    return field;
  },

  // What the lesson is about, and the control that its present step asks for.
  drawPointers(lesson) {
    for (const panel of findAll("[data-panel]")) panel.classList.toggle("focus", Boolean(lesson) && panel.dataset.panel.split(" ").some((name) => lesson.focus.includes(name)));
    setText("[data-deck-step]", lesson ? this.stepText(lesson) : "");
    for (const control of findAll(".asked")) control.classList.remove("asked");
    if (!lesson || this.isRight) return;
    const goal = this.step < lesson.steps.length ? lesson.steps[this.step].goal : lesson.question.goal, control = controlOf(goal);
    const elements = control ? findAll(control) : [];
    for (const element of elements) element.classList.add("asked");
    this.lead(elements[0] ?? null);
  },

  stepText(lesson) {
    if (this.isRight) return own(lesson.right);
    return this.step < lesson.steps.length ? own(lesson.steps[this.step].text) : own(lesson.question.text).replaceAll("□", "…");
  },

  // A new step is brought into view, and so is the control that it asks for; on a phone the reader scrolls.
  lead(control) {
    const step = `${this.key} ${this.step} ${this.isRight}`;
    if (this.led === step || !world.answer) return;
    const isFirst = !this.led?.startsWith(`${this.key} `);
    this.led = step;
    if (isFirst || matchMedia("(max-width: 62rem)").matches) return;
    const behavior = isCalm() ? "auto" : "smooth", panel = find(".guide"), item = find(".steps .now") ?? (this.isRight ? find("[data-right]") : this.form);
    panel.scrollTo({ top: this.isRight ? panel.scrollHeight : item.offsetTop - panel.clientHeight / 3, behavior });
    if (!control || control.closest(".deck, .guide")) return;
    const { top, bottom } = control.getBoundingClientRect();
    if (top < 60 || bottom > innerHeight - 90) control.scrollIntoView({ block: "center", behavior });
  },

  drawCertificate() {
    const done = page.lessons.filter((one) => this.done.has(one.key)).length, isWhole = done === page.lessons.length;
    setText("[data-left]", word("learn.lessons_done", { done, count: page.lessons.length }));
    setText("[data-certificate-title]", own(page.certificate.title));
    setText("[data-certificate-lead]", own(page.certificate.lead));
    find("[data-statements]").replaceChildren(...page.lessons.map((lesson) => {
      const link = make("button", { type: "button", textContent: own(lesson.statement) }), item = make("li", {}, link);
      link.addEventListener("click", () => this.open(lesson.key));
      item.toggleAttribute("data-done", this.done.has(lesson.key));
      return item;
    }));
    find("[data-because]").hidden = !isWhole;
    setText("[data-because]", own(page.certificate.because));
  },

  turn(by) {
    const place = page.lessons.findIndex((one) => one.key === this.key) + by;
    return this.open(place >= page.lessons.length ? "certificate" : page.lessons[Math.max(0, place)].key);
  },

  listen() {
    for (const dot of findAll("[data-lesson]")) dot.addEventListener("click", () => this.open(dot.dataset.lesson));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.check(); });
    find("[data-show-hint]").addEventListener("click", () => { this.isHinted = true; this.draw(); this.reveal(); });
    on("previous", () => this.turn(-1));
    on("next", () => this.turn(1));
    on("free", () => this.open(null));
    on("lessons", () => this.open(page.lessons.find((one) => !this.done.has(one.key))?.key ?? page.lessons[0].key));
    on("print", () => print());
    addEventListener("hashchange", () => { const key = this.read(); if (key !== this.key) this.open(key); });
  },
};
