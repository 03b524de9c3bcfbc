// Geometry of zones and lines. Points are [x, y], shares of the picture as in the settings: 0 is left or top.

// As near to its border counts as on it; see `SNAP` in streaming/zones/shapes.py.
export const SNAP = 0.01;
// Least area of a zone; see streaming/zones/checks.py.
const LEAST_AREA = 1e-6;
// Cross products of points with up to seven digits are exact.
const GRID = 1e7;

/** A share inside the picture, with four digits; on its border where it is nearer than `snap`. */
export function share(value, snap = 0) {
  if (value < snap) return 0;
  return value > 1 - snap ? 1 : Math.round(Math.min(Math.max(value, 0), 1) * 1e4) / 1e4;
}

/** The middle of a line by its length, in pixels, and the unit vector to its right; as sinks/video/places.py has it. */
export function middle(points, width, height) {
  const corners = points.map(([x, y]) => [x * width, y * height]);
  const ways = corners.slice(1).map(([x, y], index) => [x - corners[index][0], y - corners[index][1]]);
  const lengths = ways.map(([x, y]) => Math.hypot(x, y));
  let rest = lengths.reduce((sum, length) => sum + length, 0) / 2;
  let piece = 0;
  while (piece < ways.length - 1 && rest > lengths[piece]) rest -= lengths[piece++];
  const [x, y] = ways[piece].map((way) => way / Math.max(lengths[piece], 1e-9));
  return { middle: [corners[piece][0] + x * rest, corners[piece][1] + y * rest], right: [-y, x] };
}

/** What is wrong with the points of a zone or a line, in words; null for nothing. */
export function problem(kind, points) {
  const least = kind === "zone" ? 3 : 2;
  if (points.length < least) return `A ${kind} needs ${least} points or more`;
  if (points.length > 100) return "100 points at most";
  const corners = points.map(([x, y]) => [Math.round(x * GRID), Math.round(y * GRID)]);
  if (kind === "line") return corners.some((_, at) => at && same(corners[at - 1], corners[at])) ? "Twice the same point" : null;
  const outline = corners.filter((corner, at) => !same(corner, corners.at(at - 1)));
  const area = outline.reduce((sum, [x, y], at) => sum + x * outline.at(at - 1)[1] - y * outline.at(at - 1)[0], 0);
  if (crosses(outline)) return "The outline crosses or touches itself";
  return Math.abs(area) / 2 / GRID ** 2 < LEAST_AREA ? "It encloses no area" : null;
}

function same(a, b) {
  return a[0] === b[0] && a[1] === b[1];
}

function crosses(outline) {
  const edges = outline.map((corner, at) => [outline.at(at - 1), corner]);
  return edges.some(([a, b], first) =>
    edges.slice(first + 1).some(([c, d]) => {
      if (same(b, c)) return turn(a, b, d) === 0 && between(b, a, d) === false;
      if (same(d, a)) return turn(c, d, b) === 0 && between(d, c, b) === false;
      return meet(a, b, c, d);
    }),
  );
}

// To which side c is of the way from a to b: 1, -1 or 0.
function turn(a, b, c) {
  return Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
}

// Whether b lies between a and c, which are on one straight line with it.
function between(b, a, c) {
  return (a[0] - b[0]) * (c[0] - b[0]) + (a[1] - b[1]) * (c[1] - b[1]) <= 0;
}

function meet(a, b, c, d) {
  const [abc, abd, cda, cdb] = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)];
  if (abc !== abd && cda !== cdb) return true;
  return (!abc && between(c, a, b)) || (!abd && between(d, a, b)) || (!cda && between(a, c, d)) || (!cdb && between(b, c, d));
}
