// Canvas and colours: what every picture on a page shares.

// The colours of what is being drawn: the page's theme, or the one that a saved or printed picture has.
let palette = null;
const colour = (name) => palette.getPropertyValue(`--${name}`).trim();

const isDark = () => {
  const { theme } = document.documentElement.dataset;
  return theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
};

// A canvas in the size of its box, in units of CSS pixels, cleared.
const prepare = (canvas) => {
  palette = getComputedStyle(canvas);
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const pen = canvas.getContext("2d");
  pen.setTransform(canvas.width / Math.max(width, 1), 0, 0, canvas.height / Math.max(height, 1), 0, 0);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  pen.lineJoin = "round";
  return { pen, width, height };
};
