// The page's words, its elements, and what is looked at.

const root = document.documentElement;
const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

const make = (tag, properties = {}, ...inside) => {
  const { data, ...rest } = properties, element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, data);
  element.append(...inside.filter((one) => one !== null));
  return element;
};

// A sentence with its gaps filled, by functions where a word depends on the language; of "one batch|{n} batches" the first part for an `n` of one.
const sentence = (language, key, gaps = {}) => {
  const parts = page.words[language][key].split("|");
  const text = gaps.n === 1 ? parts[0] : parts.at(-1);
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = typeof gaps[name] === "function" ? gaps[name]() : gaps[name];
    return typeof value === "number" && Number.isInteger(value) ? count(value) : value;
  });
};
const word = (key, gaps) => sentence(root.lang, key, gaps);
const texted = (key, gaps) => ({ en: sentence("en", key, gaps), zh: sentence("zh", key, gaps) });
const own = (texts) => texts[root.lang];

const written = (loss) => (loss === null || loss === undefined ? "–" : loss >= 100 || (loss !== 0 && Math.abs(loss) < 0.001) ? decimal(loss, 2) : decimal(loss, 3));
const tiny = (number) => (number === 0 ? "0" : Number(number.toPrecision(3)).toString());

const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// What just happened, for eyes and for screen readers.
const said = { key: null, gaps: {} };
const tell = (key, gaps = {}) => { Object.assign(said, { key, gaps }); find("[data-live]").textContent = word(key, gaps); };

const setText = (selector, text, within) => {
  const element = find(selector, within);
  if (element.textContent !== text) element.textContent = text;
};

// The little text beside the pointer or the cursor of a picture.
const tip = {
  element: find("#tip"),
  show(x, y, ...inside) {
    this.element.replaceChildren(...inside);
    this.element.hidden = false;
    const { width, height } = this.element.getBoundingClientRect();
    this.element.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    this.element.style.top = `${y + 18 + height > innerHeight ? y - height - 10 : y + 18}px`;
  },
  hide() { this.element.hidden = true; },
};

// Let a picture be read by pointer and by keys: `at(x, y)` says which part lies there, `centre(part)` where it is.
const listenTo = (canvas, { at, centre, move, show, choose = () => {}, first }) => {
  let part = null;
  const box = () => canvas.getBoundingClientRect();
  const point = (next, x, y) => { part = next; if (part === null) tip.hide(); else show(part, x, y); };
  canvas.addEventListener("pointermove", (event) => {
    const { left, top } = box();
    point(at(event.clientX - left, event.clientY - top), event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("blur", () => point(null));
  canvas.addEventListener("click", () => { if (part !== null) choose(part); });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return point(null);
    if (event.key === "Enter" && part !== null) { event.preventDefault(); return choose(part); }
    if (!event.key.startsWith("Arrow")) return undefined;
    event.preventDefault();
    event.stopPropagation();
    const next = part === null ? first() : move(part, event.key), { left, top } = box();
    if (next === null) return undefined;
    const [x, y] = centre(next);
    return point(next, left + x, top + y);
  });
};
