// COCO's compressed run lengths, as docs/mqtt.md describes them: masks column by column, from the top left corner.

/** Call `run(start, end)` for each run of set pixels: positions x * height + y, `end` not included. */
function eachRun(counts, run) {
  let position = 0;
  let before = 0; // the last length, and the one before it
  let beforeThat = 0;
  let index = 0;
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let shift = 0;
    let group;
    do {
      group = counts.charCodeAt(at++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16 && shift < 32) value |= -1 << shift;
    const length = index > 2 ? value + beforeThat : value;
    if (index % 2 && length > 0) run(position, position + length);
    position += length;
    beforeThat = before;
    before = length;
    index += 1;
  }
}

/** The mask as spans `[x, top, bottom]` one after the other, by column and then downwards; `bottom` is not included. */
export function spans({ size: [height], counts }) {
  const found = [];
  eachRun(counts, (start, end) => {
    while (start < end) {
      const x = Math.floor(start / height);
      const top = start - x * height;
      const bottom = Math.min(height, top + end - start);
      found.push(x, top, bottom);
      start += bottom - top;
    }
  });
  return found;
}

/** Whether the pixel at column `x` and row `y` is set. */
export function contains({ size: [height], counts }, x, y) {
  const position = x * height + y;
  let inside = false;
  eachRun(counts, (start, end) => {
    inside ||= start <= position && position < end;
  });
  return inside;
}
