// A brick: the label of every voxel of an item, at one voxel size.

import { ask } from "../common/api";

export interface Brick {
  labels: Uint8Array | Uint16Array;
  /** Voxels along x, y and z; x runs fastest. */
  size: [number, number, number];
  voxelNm: number;
}

export async function fetchBrick(api: string, edge: number): Promise<Brick> {
  const response = await ask(`${api}/brick?edge=${edge}`);
  const bytes = await response.arrayBuffer();
  const [z, y, x] = (response.headers.get("X-Shape") ?? "").split(",").map(Number);
  const isWide = response.headers.get("X-Dtype") === "uint16";
  const labels = isWide ? new Uint16Array(bytes) : new Uint8Array(bytes);
  if (labels.length !== x * y * z) throw new Error(`brick: found ${labels.length} voxels, expected ${x * y * z}`);
  return { labels, size: [x, y, z], voxelNm: Number(response.headers.get("X-Voxel-Size-Nm")) };
}

/** Returns the largest label of a brick. */
export function largest({ labels }: Brick): number {
  let found = 0;
  for (let at = 0; at < labels.length; at++) if (labels[at] > found) found = labels[at];
  return found;
}

const SOLID = 255;

/**
 * Returns how solid a brick is around each voxel, 0 to 255: interpolated, its surface lies at half of that.
 *
 * With `smooth`, each voxel is averaged with its neighbours along each axis, weighted 1, 2, 1, which rounds the steps
 * of voxels. It would close gaps of one voxel and dissolve plates of one.
 */
export function solidity(brick: Brick, isShown: (label: number) => boolean, smooth: boolean): Uint8Array<ArrayBuffer> {
  const { labels, size } = brick;
  const shown = new Uint8Array(65536);
  for (let label = largest(brick); label >= 0; label--) shown[label] = isShown(label) ? SOLID : 0;
  let solid = new Uint8Array(labels.length);
  for (let at = 0; at < labels.length; at++) solid[at] = shown[labels[at]];
  if (smooth) {
    const [x, y, z] = size;
    for (const [length, stride] of [[x, 1], [y, x], [z, x * y]]) solid = averaged(solid, length, stride);
  }
  return solid;
}

function averaged(values: Uint8Array<ArrayBuffer>, length: number, stride: number): Uint8Array<ArrayBuffer> {
  const found = new Uint8Array(values.length);
  for (let start = 0; start < values.length; start += length * stride) {
    for (let place = 0, at = start; place < length; place++) {
      const before = place > 0 ? stride : 0; // beyond the ends, an item goes on as at the ends
      const after = place < length - 1 ? stride : 0;
      for (let k = 0; k < stride; k++, at++) {
        found[at] = (values[at - before] + 2 * values[at] + values[at + after] + 2) >> 2;
      }
    }
  }
  return found;
}

export const BLOCK = 4; // voxels along an edge of a block

export interface Blocks {
  distances: Uint8Array<ArrayBuffer>;
  size: [number, number, number];
}

/**
 * Returns for each block of voxels how many blocks lie between it and the nearest one with anything solid, plus one; 0
 * for one that has something itself. Rays leap over what is empty.
 */
export function emptiness({ size }: Brick, solid: Uint8Array): Blocks {
  const [x, y, z] = size;
  const [across, down, deep] = size.map((length) => Math.ceil(length / BLOCK)) as [number, number, number];
  const distances = new Uint8Array(across * down * deep).fill(255);
  for (let k = 0, at = 0; k < z; k++) {
    for (let j = 0; j < y; j++) {
      const row = across * ((j >> 2) + down * (k >> 2));
      for (let i = 0; i < x; i++, at++) if (solid[at]) distances[row + (i >> 2)] = 0;
    }
  }
  // The distance along the longest axis is found one axis after the other: each block looks at its two neighbours.
  for (let round = 1; round < 255; round++) {
    const before = distances.slice();
    let isChanged = false;
    for (let k = 0, at = 0; k < deep; k++) {
      for (let j = 0; j < down; j++) {
        for (let i = 0; i < across; i++, at++) {
          if (before[at] !== 255 || !touches(before, round - 1, i, j, k, across, down, deep)) continue;
          distances[at] = round;
          isChanged = true;
        }
      }
    }
    if (!isChanged) break;
  }
  return { distances, size: [across, down, deep] };
}

function touches(
  distances: Uint8Array, value: number, i: number, j: number, k: number, across: number, down: number, deep: number,
): boolean {
  for (let c = Math.max(k - 1, 0); c <= Math.min(k + 1, deep - 1); c++) {
    for (let b = Math.max(j - 1, 0); b <= Math.min(j + 1, down - 1); b++) {
      for (let a = Math.max(i - 1, 0); a <= Math.min(i + 1, across - 1); a++) {
        if (distances[a + across * (b + down * c)] === value) return true;
      }
    }
  }
  return false;
}
