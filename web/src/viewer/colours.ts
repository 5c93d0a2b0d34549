// Colours of labels, as sRGB: those of the sections that the service draws, so that both show an item alike.

export type Rgb = [number, number, number];

/** Colours with numbers: what they stand for, for the scale beside the picture. */
export interface Scale {
  title: string;
  unit: string;
  low: number;
  high: number;
  colours: Rgb[];
}

// Monotonic in lightness, so they also tell low from high without colour.
export const ANGLES = ["#fbeeb0", "#e3bd6c", "#b98a5e", "#7f6f86", "#4c63a8"].map(parsed); // from radial to across
export const SIZES = ["#5a3a8c", "#3f6aa3", "#2f9c95", "#6fce66", "#fde725"].map(parsed); // from small to large
export const UNKNOWN: Rgb = [200, 200, 200]; // of a label without a value

export function parsed(colour: string): Rgb {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Returns the colour of a share, 0 to 1. */
export function shareColour(share: number, scale: Rgb[]): Rgb {
  const place = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const low = Math.min(Math.floor(place), scale.length - 2);
  return scale[low].map((part, k) => Math.round(part + (place - low) * (scale[low + 1][k] - part))) as Rgb;
}
