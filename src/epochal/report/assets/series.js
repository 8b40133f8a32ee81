// The runs' numbers: unpacked, and turned from iterations into epochs, samples and seconds.

const unpack = (text) => {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place += 1) bytes[place] = raw.charCodeAt(place);
  return new Float32Array(bytes.buffer);
};

const joined = (first, second) => {
  const both = new Float32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
};

// First place at which sorted numbers are at least `value`.
const lowerBound = (numbers, value) => {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
};

// What iteration counts are worth in samples, epochs and seconds, from the page's table of known points.
class Time {
  constructor(table) { Object.assign(this, table); }

  // Take in a newer table, which begins at one of this one's points.
  replaceFrom(table) {
    const kept = lowerBound(this.iteration, table.iteration[0]);
    for (const name of Object.keys(table)) this[name] = [...this[name].slice(0, kept), ...table[name]];
  }

  // Where the batch size changes, and to what.
  get phases() {
    const rows = this.iteration.map((iteration, row) => ({ iteration, batch: this.batch[row] }));
    return rows.slice(1, -1).filter(({ batch }, row) => batch !== this.batch[row]);
  }

  // What `iterations` updates are worth, for sorted lists of them, in `unit`.
  worth(iterations, unit) {
    if (unit === "iterations") return Float64Array.from(iterations);
    const values = new Float64Array(iterations.length), column = this[unit === "epochs" ? "epoch" : unit];
    let place = 0;
    for (let row = 0; row < this.iteration.length - 1; row += 1) {
      const first = this.iteration[row], end = row === this.iteration.length - 2 ? Infinity : this.iteration[row + 1];
      const batch = this.batch[row], used = this.samples[row + 1] - this.samples[row];
      const base = column[row], rate = used ? (column[row + 1] - base) / used : 0;
      for (; place < iterations.length && iterations[place] <= end; place += 1) {
        values[place] = base + Math.min((iterations[place] - first) * batch, used) * rate;
      }
    }
    return values;
  }
}

// A line of a chart. Entry j has a mean and, where it stands for several iterations, a lowest and a highest value.
class Line {
  constructor({ run, style, name, iterations, low, mean, high, marked = false, bare = false, every = 1 }) {
    Object.assign(this, { run, style, name, iterations, low, mean, high, marked, bare, every });
    this.shown = true;
    this.cache = new Map();
  }

  x(unit) {
    if (!this.cache.has(unit)) this.cache.set(unit, this.run.time.worth(this.iterations, unit));
    return this.cache.get(unit);
  }
}

class Run {
  constructor(data, style) {
    this.name = data.name;
    this.version = data.version;
    this.style = style;
    this.bucket = data.losses.bucket;
    this.low = data.losses.low && unpack(data.losses.low);
    this.mean = unpack(data.losses.mean);
    this.high = data.losses.high && unpack(data.losses.high);
    this.total = data.iterations;
    this.time = new Time(data.time);
    this.points = data.points;
    this.strip = data.strip;
  }

  // The loss of an iteration, from 1: its own, or of the `every` iterations that its value stands for.
  lossOf(iteration) {
    const { bucket, mean, low, high } = this, entry = Math.floor((iteration - 1) / bucket);
    const every = Math.min(bucket, this.total - entry * bucket), of = (values) => (values ?? mean)[entry] ?? NaN;
    return { every, mean: of(mean), low: of(low), high: of(high) };
  }

  // Take in what a training has done since.
  append({ losses, iterations, time, points: fresh }) {
    for (const part of ["low", "mean", "high"]) if (losses[part]) this[part] = joined(this[part], unpack(losses[part]));
    this.total = iterations;
    this.time.replaceFrom(time);
    const { points } = this, known = points.train_iteration.findLastIndex((iteration) => iteration <= time.iteration[0]) + 1;
    for (const name of ["epoch", "train_iteration", "train_loss"]) points[name] = [...points[name].slice(0, known), ...fresh[name]];
    const none = (rows) => Array(rows.test_iteration.length).fill(null); // for a metric that only later evaluations have
    for (const name of new Set([...Object.keys(points.test), ...Object.keys(fresh.test)])) {
      points.test[name] = [...(points.test[name] ?? none(points)), ...(fresh.test[name] ?? none(fresh))];
    }
    points.test_iteration = [...points.test_iteration, ...fresh.test_iteration];
  }

  // What the server is asked by: how far this run is known.
  known() {
    return { iterations: this.mean.length * this.bucket, bucket: this.bucket, epoch: this.points.epoch.at(-1) ?? 0,
      tested: this.points.test_iteration.at(-1) ?? -1, version: this.version };
  }

  // One entry an iteration, or one a bucket at its last iteration.
  losses() {
    const { bucket, mean, total } = this;
    const iterations = Float64Array.from(mean, (_, entry) => Math.min((entry + 1) * bucket, total));
    return new Line({ run: this, style: this.style, name: this.name, iterations, every: bucket,
      low: this.low ?? mean, mean, high: this.high ?? mean });
  }

  // The training loss of each epoch.
  trainLoss() { return this.atEpochs(this.points.train_loss, this.points.train_iteration, false); }

  // A metric of the test set, with a mark at each evaluation.
  test(metric) { return this.atEpochs(this.points.test[metric] ?? [], this.points.test_iteration, true); }

  atEpochs(numbers, at, marked) {
    const values = Float32Array.from(numbers, (value) => value ?? NaN), iterations = Float64Array.from(numbers.length ? at : []);
    return new Line({ run: this, style: this.style, name: this.name, marked, bare: !marked, low: values, mean: values, high: values, iterations });
  }
}

// The part of a line between two x values, an entry a pixel at most: the lowest, mean and highest of what shares it.
// Entries on either side of the part are kept, so that the line runs out of the picture.
const reduce = (line, unit, scale) => {
  const x = line.x(unit), pixels = Math.max(1, Math.round(scale.to - scale.from));
  const first = Math.max(0, lowerBound(x, scale.low) - 1);
  const end = Math.min(x.length, lowerBound(x, scale.high) + 1);
  const whole = end - first <= 2 * pixels;
  const entries = [];
  let open = null, column = NaN;
  for (let place = first; place < end; place += 1) {
    const at = scale.isLog && x[place] <= 0 ? scale.from - 9 : scale.toPixel(x[place]);
    const mine = whole ? place : Math.min(Math.floor(at), Math.ceil(scale.to) - 1);
    if (mine !== column) {
      open = { first: place, last: place, x: 0, low: Infinity, high: -Infinity, sum: 0, number: 0, gap: false };
      entries.push(open);
      column = mine;
    }
    open.last = place;
    open.x += at;
    if (Number.isFinite(line.mean[place])) {
      open.low = Math.min(open.low, line.low[place]);
      open.high = Math.max(open.high, line.high[place]);
      open.sum += line.mean[place];
      open.number += 1;
    } else open.gap = true;
  }
  for (const entry of entries) {
    entry.x /= entry.last - entry.first + 1;
    entry.mean = entry.number ? entry.sum / entry.number : NaN;
    entry.single = entry.low === entry.high;
  }
  return entries;
};
