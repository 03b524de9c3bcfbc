// The colours of tracks and places: those of sinks/video/palette.py and sinks/video/places.py.

const GOLDEN_RATIO = 0.6180339887498949;
const SATURATION = 0.8;
const VALUE = 0.95;

/** Of zones and lines. */
export const PLACE_RGB = [1, 0.8, 0];

/** Red, green and blue in [0, 1]: the hue is the fraction of `id` x golden ratio. */
export function trackRgb(id) {
  const hue = ((id * GOLDEN_RATIO) % 1) * 6;
  const sector = Math.floor(hue);
  const part = hue - sector;
  const low = VALUE * (1 - SATURATION);
  const falling = VALUE * (1 - SATURATION * part);
  const rising = VALUE * (1 - SATURATION * (1 - part));
  return [
    [VALUE, rising, low],
    [falling, VALUE, low],
    [low, VALUE, rising],
    [low, falling, VALUE],
    [rising, low, VALUE],
    [VALUE, low, falling],
  ][sector % 6];
}

/** As CSS writes it. */
export function css(rgb) {
  return `rgb(${rgb.map((part) => Math.round(255 * part)).join(" ")})`;
}

/** Black or white, whichever is read more easily on `rgb`. */
export function ink([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 ? "#000" : "#fff";
}
