// How numbers are written, and where an axis has its marks.

const count = (number) => Math.round(number).toLocaleString("en-US");

const decimal = (number, digits = 4) => {
  if (!Number.isFinite(number)) return "–";
  if (number === 0) return "0";
  if (number !== 0 && Math.abs(number) < 10 ** (1 - digits)) return number.toExponential(2);
  if (Math.abs(number) >= 1e6) return number.toExponential(digits - 1);
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
};

const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(2)}\u00a0%` : "–");

// The shortest text that tells neighbouring marks apart.
const markText = (value, gap) => {
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e9)) return value.toExponential().replace("e+", "e");
  const digits = gap >= 1 ? 0 : Math.min(9, Math.ceil(-Math.log10(gap) - 1e-9));
  return value.toLocaleString("en-US", { minimumFractionDigits: 0, maximumFractionDigits: digits }).replace("-", "−");
};

// A linear or logarithmic scale from values to pixels. `low` < `high`; for a logarithm both are above zero.
class Scale {
  constructor(low, high, from, to, isLog) {
    Object.assign(this, { low, high, from, to, isLog });
    this.first = this.bend(low);
    this.rate = (to - from) / (this.bend(high) - this.first);
  }

  bend(value) { return this.isLog ? Math.log10(value) : value; }

  toPixel(value) { return this.from + (this.bend(value) - this.first) * this.rate; }

  toValue(pixel) {
    const bent = this.first + (pixel - this.from) / this.rate;
    return this.isLog ? 10 ** bent : bent;
  }

  // Values for about `wanted` marks: 1, 2 or 5 times a power of ten apart, or powers of ten.
  marks(wanted) {
    return this.isLog && this.high / this.low >= 8 ? this.powers(wanted) : this.steps(wanted);
  }

  steps(wanted) {
    const rough = (this.high - this.low) / Math.max(wanted, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const gap = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
    const marks = [];
    for (let place = Math.ceil(this.low / gap - 1e-9); place * gap <= this.high + gap * 1e-9; place += 1) {
      const value = place * gap + 0; // and never −0
      marks.push({ value, text: markText(value, gap) });
    }
    return marks;
  }

  powers(wanted) {
    const first = Math.floor(Math.log10(this.low)), last = Math.ceil(Math.log10(this.high));
    const every = Math.max(1, Math.ceil((last - first) / Math.max(wanted, 1)));
    const factors = every === 1 && Math.log10(this.high / this.low) * 3 <= wanted * 1.6 ? [1, 2, 5] : [1];
    const marks = [];
    for (let power = first; power <= last; power += every) {
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= this.low * 0.9999 && value <= this.high * 1.0001) marks.push({ value, text: markText(value, value) });
      }
    }
    return marks;
  }
}
