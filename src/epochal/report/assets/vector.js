// A pen that writes SVG where a canvas's pen draws pixels: as much of one as the page's pictures need.

const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const short = (value) => String(+value.toFixed(2));
const ruler = document.createElement("canvas").getContext("2d"); // knows how wide a text is
const BASELINES = { top: 0.79, middle: 0.34, bottom: -0.21, alphabetic: 0 }; // in parts of the letters' height
const ANCHORS = { left: "start", center: "middle", right: "end" };

class SvgPen {
  constructor(font) {
    Object.assign(this, { font, parts: [], path: "", dash: [], open: [], clips: 0, fillStyle: "#000", strokeStyle: "#000",
      lineWidth: 1, globalAlpha: 1, textAlign: "left", textBaseline: "alphabetic", lineJoin: "round" });
  }

  get size() { return parseFloat(this.font.match(/(\d+(\.\d+)?)px/)[1]); }

  // Paths
  beginPath() { this.path = ""; }

  moveTo(x, y) { this.path += `M${short(x)} ${short(y)}`; }

  lineTo(x, y) { this.path += `${this.path ? "L" : "M"}${short(x)} ${short(y)}`; }

  closePath() { this.path += "Z"; }

  rect(x, y, width, height) { this.path += `M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}Z`; }

  // A whole circle: the only arc that is needed.
  arc(x, y, radius) {
    const [r, across] = [short(radius), short(2 * radius)];
    this.path += `M${short(x - radius)} ${short(y)}a${r} ${r} 0 1 0 ${across} 0a${r} ${r} 0 1 0 -${across} 0`;
  }

  setLineDash(dash) { this.dash = dash; }

  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    if (this.path) this.add(`<path d="${this.path}" fill="none" stroke="${escaped(this.strokeStyle)}" stroke-width="${this.lineWidth}" stroke-linejoin="round"${dash}${this.opacity()}/>`);
  }

  fill() { if (this.path) this.add(`<path d="${this.path}" fill="${escaped(this.fillStyle)}"${this.opacity()}/>`); }

  fillRect(x, y, width, height) {
    this.add(`<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" fill="${escaped(this.fillStyle)}"${this.opacity()}/>`);
  }

  // Text
  measureText(text) {
    ruler.font = this.font;
    return ruler.measureText(text);
  }

  fillText(text, x, y) { this.write(text, x, y, `fill="${escaped(this.fillStyle)}"`); }

  strokeText(text, x, y) {
    this.write(text, x, y, `fill="none" stroke="${escaped(this.strokeStyle)}" stroke-width="${this.lineWidth}" stroke-linejoin="round"`);
  }

  write(text, x, y, ink) {
    const weight = /^\d{3} /.test(this.font) ? ` font-weight="${this.font.slice(0, 3)}"` : "";
    const at = `x="${short(x)}" y="${short(y + BASELINES[this.textBaseline] * this.size)}"`;
    this.add(`<text ${at} font-size="${this.size}"${weight} text-anchor="${ANCHORS[this.textAlign]}" ${ink}${this.opacity()}>${escaped(text)}</text>`);
  }

  drawImage(picture, x, y, width, height) {
    this.add(`<image x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" preserveAspectRatio="none" href="${picture.toDataURL()}"/>`);
  }

  // Groups: what `save` began, `restore` ends.
  save() { this.open.push(0); }

  restore() { this.parts.push("</g>".repeat(this.open.pop())); }

  group(attribute) {
    this.parts.push(`<g ${attribute}>`);
    if (this.open.length) this.open[this.open.length - 1] += 1;
  }

  translate(x, y) { this.group(`transform="translate(${short(x)} ${short(y)})"`); }

  clip() {
    this.clips += 1;
    const name = `clip-${SvgPen.pictures}-${this.clips}`;
    this.parts.push(`<clipPath id="${name}"><path d="${this.path}"/></clipPath>`);
    this.group(`clip-path="url(#${name})"`);
  }

  opacity() { return this.globalAlpha === 1 ? "" : ` opacity="${this.globalAlpha}"`; }

  add(part) { this.parts.push(part); }

  // The picture as a document of its own.
  text(width, height, title) {
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${short(width)} ${short(height)}" width="${short(width)}" height="${short(height)}" role="img"`
      + ` font-family="${escaped(getComputedStyle(document.body).fontFamily)}"><title>${escaped(title)}</title>${this.parts.join("")}</svg>`;
  }

  static pictures = 0; // so that two pictures on one page name their clips apart

  static named() {
    SvgPen.pictures += 1;
    return new SvgPen(`12px ${getComputedStyle(document.body).fontFamily}`);
  }
}
