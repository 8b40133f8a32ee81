// The order of an epoch's samples, as epochal/order.py has it: a keyed bijection on range(N), a generalized Feistel
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

  keys(epoch) {
    const words = [...this.seed, epoch % 2 ** 32, Math.floor(epoch / 2 ** 32)];
    return Array.from({ length: this.rounds }, (_, round) => words.reduce((key, word) => mix(key ^ word), mix(round ^ PURPOSE)));
  }

  // The samples at positions from `start` up to `stop` of an epoch; the first epoch is 0.
  indices(epoch, start, stop) {
    const { rows, columns, samples } = this, keys = this.keys(epoch);
    const lastLeft = whole(samples, columns), endRight = samples % columns;
    const add = (digit, noise, size) => {
      const total = digit + highProduct(noise, size);
      return total >= size ? total - size : total;
    };
    return Array.from({ length: stop - start }, (_, place) => {
      let left = whole(start + place, columns), right = (start + place) % columns;
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
