// Heights on a grid: their shades and their contours.

const shortened = (loss) => Number(loss.toPrecision(2)).toString();

const parseColour = (text) => [1, 3, 5].map((place) => parseInt(text.slice(place, place + 2), 16));

// Red, green and blue for a height from 0 (the valley's floor) to 1.
const ramp = () => {
  const stops = ["low", "middle", "high"].map((name) => parseColour(colour(name)));
  return Array.from({ length: 256 }, (_, place) => {
    const at = (place / 255) * 2, first = Math.min(Math.floor(at), 1), part = at - first;
    return stops[first].map((value, channel) => value + (stops[first + 1][channel] - value) * part);
  });
};

// The crossings of one cell of the grid with a level, as pairs of points in grid units (marching squares).
const crossings = (corners, level, column, row) => {
  const sides = [[0, 0, 1, 0, 0, 1], [1, 0, 1, 1, 1, 2], [0, 1, 1, 1, 3, 2], [0, 0, 0, 1, 0, 3]];
  const points = [];
  for (const [x1, y1, x2, y2, first, second] of sides) {
    const a = corners[first], b = corners[second];
    if ((a < level) === (b < level)) continue;
    const part = (level - a) / (b - a);
    points.push([column + x1 + (x2 - x1) * part, row + y1 + (y2 - y1) * part]);
  }
  if (points.length === 2) return [points];
  if (points.length < 4) return [];
  const isHigh = (corners[0] + corners[1] + corners[2] + corners[3]) / 4 >= level;
  return isHigh === (corners[0] >= level) ? [[points[0], points[1]], [points[2], points[3]]] : [[points[0], points[3]], [points[1], points[2]]];
};

// Losses as heights from 0 to 1, by their logarithm; what is very much higher than most shares the top.
class Heights {
  constructor(losses) {
    const finite = losses.flat().filter((value) => value !== null && value > 0).sort((a, b) => a - b);
    this.lowest = finite[0];
    this.highest = finite[finite.length - 1];
    this.top = Math.max(Math.min(this.highest, finite[Math.floor(finite.length * 0.97)] * 1.2), this.lowest * 1.0001);
    this.span = Math.log(this.top / this.lowest);
    this.rows = losses.map((row) => row.map((value) => this.of(value)));
  }

  of(loss) {
    if (loss === null || !Number.isFinite(loss)) return 1;
    return Math.min(1, Math.max(0, Math.log(Math.max(loss, this.lowest) / this.lowest) / this.span));
  }

  lossOf(height) { return this.lowest * Math.exp(height * this.span); }

  // The height at shares of the grid's width and height, straight between the four points around.
  between(across, up) {
    const { rows } = this, lastColumn = rows[0].length - 1, lastRow = rows.length - 1;
    const column = Math.min(Math.max(across, 0) * lastColumn, lastColumn - 1e-9), row = Math.min(Math.max(up, 0) * lastRow, lastRow - 1e-9);
    const i = Math.floor(row), j = Math.floor(column), v = row - i, u = column - j;
    return (rows[i][j] * (1 - u) + rows[i][j + 1] * u) * (1 - v) + (rows[i + 1][j] * (1 - u) + rows[i + 1][j + 1] * u) * v;
  }

  // Fill a box with the shades.
  paint(pen, box) {
    const columns = Math.max(2, Math.round((box.right - box.left) / 2)), rows = Math.max(2, Math.round((box.bottom - box.top) / 2));
    const image = new ImageData(columns, rows), colours = ramp();
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const height = this.between(column / (columns - 1), 1 - row / (rows - 1));
        const [red, green, blue] = colours[Math.round(height * 255)];
        image.data.set([red, green, blue, 255], 4 * (row * columns + column));
      }
    }
    const small = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(small, box.left, box.top, box.right - box.left, box.bottom - box.top);
  }
}
