// The order of an epoch's samples, as epochal/order.py and epochal/block_order.py have it: a keyed bijection on range(N), a generalized Feistel
// network on the digits left · columns + right, with cycle walking. All words are unsigned 32-bit integers.

const PURPOSE = 0x6f726465;
const SMALL = 4096, ROUNDS_SMALL = 24, ROUNDS = 12;

// C. Wellons' lowbias32.
const mix = (word) => {
  let x = Math.imul(word ^ (word >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
};

// The upper 32 bits of the 64-bit product, by halves that a double holds exactly.
const highProduct = (word, size) => Math.floor(((word >>> 16) * size + Math.floor(((word & 0xffff) * size) / 65536)) / 65536);

const range = (start, stop) => Array.from({ length: stop - start }, (_, place) => start + place);

const whole = (number, divisor) => (number - (number % divisor)) / divisor;

class Order {
  // `samples`: 1 to 2⁵³; `seed`: 0 to 2⁶⁴ − 1, as text.
  constructor(samples, seed) {
    const number = BigInt(seed);
    this.seed = [Number(number & 0xffffffffn), Number(number >> 32n)];
    this.samples = samples;
    this.rounds = samples <= SMALL ? ROUNDS_SMALL : ROUNDS;
    let root = Math.floor(Math.sqrt(samples));
    while (root * root < samples) root += 1;
    while ((root - 1) * (root - 1) >= samples) root -= 1;
    this.rows = root + (root % 2);
    this.columns = whole(samples + this.rows - 1, this.rows);
  }

  keys(epoch, ...names) {
    const words = [...this.seed, ...[epoch, ...names].flatMap((name) => [name % 2 ** 32, Math.floor(name / 2 ** 32)])];
    return Array.from({ length: this.rounds }, (_, round) => words.reduce((key, word) => mix(key ^ word), mix(round ^ PURPOSE)));
  }

  // The samples at positions from `start` up to `stop` of an epoch; the first epoch is 0.
  indices(epoch, start, stop) { return this.under(this.keys(epoch), range(start, stop)); }

  // The samples at any positions under some round keys.
  under(keys, positions) {
    const { rows, columns, samples } = this;
    const lastLeft = whole(samples, columns), endRight = samples % columns;
    const add = (digit, noise, size) => {
      const total = digit + highProduct(noise, size);
      return total >= size ? total - size : total;
    };
    return positions.map((position) => {
      let left = whole(position, columns), right = position % columns;
      do {
        for (let round = 0; round < keys.length; round += 2) {
          left = add(left, mix(right ^ keys[round]), rows);
          right = add(right, mix(left ^ keys[round + 1]), columns);
        }
      } while (left > lastLeft || (left === lastLeft && right >= endRight));
      return left * columns + right;
    });
  }
}

const IN_BLOCKS = { blocks: 1, inside: 2, rest: 3 };
const STORED_SEED = "126943923168612";

// Blocks of neighbouring rows, and the rows of some blocks at a time; neighbours are those of a fixed shuffle.
class BlockOrder {
  // `size`: rows of a block and blocks of a window, as "334x64".
  constructor(samples, seed, size) {
    const [rows, most] = size.split("x").map(Number);
    Object.assign(this, { samples, seed, rows, blocks: whole(samples, rows), rest: samples % rows });
    this.windows = Math.max(1, whole(this.blocks + most - 1, most));
    this.stored = new Order(samples, STORED_SEED);
  }

  indices(epoch, start, stop) {
    const withRest = this.windowWithRest(epoch), places = [];
    for (let position = start; position < stop;) {
      const window = this.window(position, withRest), end = Math.min(stop, window.stop);
      places.push(...this.places(epoch, window, position, end));
      position = end;
    }
    return this.stored.under(this.stored.keys(0), places);
  }

  windowWithRest(epoch) {
    const [high, low] = new Order(1, this.seed).keys(epoch, IN_BLOCKS.rest).map(BigInt);
    return this.numbered(Number((((high << 32n) | low) * BigInt(this.windows)) >> 64n), 0, this.rest);
  }

  window(position, withRest) {
    if (withRest.start <= position && position < withRest.stop) return withRest;
    const before = position >= withRest.stop ? this.rest : 0, block = whole(position - before, this.rows);
    const each = whole(this.blocks, this.windows), longer = this.blocks % this.windows, number = whole(block, each + 1);
    return this.numbered(number < longer ? number : whole(block - longer, each), before, 0);
  }

  // A window of the epoch: its positions, and its blocks among the epoch's.
  numbered(number, before, more) {
    const each = whole(this.blocks, this.windows), longer = this.blocks % this.windows;
    const first = number * each + Math.min(number, longer), blocks = each + (number < longer ? 1 : 0);
    const start = before + first * this.rows;
    return { number, first, blocks, start, stop: start + blocks * this.rows + more };
  }

  places(epoch, window, start, stop) {
    const inside = new Order(window.stop - window.start, this.seed);
    const rows = inside.under(inside.keys(epoch, IN_BLOCKS.inside, window.number), range(start - window.start, stop - window.start));
    if (!window.blocks) return rows;
    const among = new Order(this.blocks, this.seed);
    const numbers = among.under(among.keys(epoch, IN_BLOCKS.blocks), range(window.first, window.first + window.blocks));
    const starts = [...numbers, this.blocks].map((block) => block * this.rows); // the rest follows all blocks
    return rows.map((row) => {
      const block = Math.min(whole(row, this.rows), window.blocks);
      return starts[block] + row - block * this.rows;
    });
  }
}

// `name`: null for the exact order, else "blocks:" and their size.
const orderNamed = (name, samples, seed) => (name ? new BlockOrder(samples, seed, name.slice("blocks:".length)) : new Order(samples, seed));
