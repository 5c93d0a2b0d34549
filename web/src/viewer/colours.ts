// Colours of labels, as sRGB, and the scales beside the picture.

export type Rgb = [number, number, number];

/** Colours with numbers: what they stand for, for the scale beside the picture. */
export interface Scale {
  title: string;
  unit: string;
  low: number;
  high: number;
}

// The map "cividis" at eleven places: it reads the same with colour-blind eyes, and gets lighter from end to end.
const CIVIDIS = [
  "#00204d", "#00306f", "#2a406c", "#48526b", "#5e626e", "#727374", "#878479", "#9e9677", "#b6a971", "#d0be67", "#fee838",
].map(parsed);

// Grains: the colours of Okabe and Ito and lighter and darker ones of them, so that neighbours differ in lightness, too.
const GRAINS = [
  "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#b8c4ce",
  "#f5c766", "#a6d8f4", "#66c5ab", "#f8f3a8", "#6ea8d0", "#e9996a", "#e2b3cd", "#7a8792",
  "#a87400", "#2f83b3", "#00694d", "#b3a716", "#004a75", "#963f00", "#94527a", "#dfe5ea",
].map(parsed);

export function parsed(colour: string): Rgb {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Returns the colour of a grain; grains of consecutive labels differ. */
export function grainColour(label: number): Rgb {
  return GRAINS[(Math.imul(label, 2654435761) >>> 8) % GRAINS.length];
}

/** Returns the colour of a share, 0 to 1. */
export function shareColour(share: number): Rgb {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return CIVIDIS[low].map((part, k) => Math.round(part + (place - low) * (CIVIDIS[low + 1][k] - part))) as Rgb;
}
