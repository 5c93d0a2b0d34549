// Which rows pass the brushes of all columns, and how many of them each bin of each column holds.
//
// A row keeps the number of brushes that it fails. A histogram counts the rows that fail none, or only the brush of its
// own column, so a brush never empties the histogram that it is drawn on. To move a brush is one pass over the rows,
// and to count a histogram another; both only read bytes.

/** Bins from `low` up to, but without, `high`. */
export interface Brush {
  low: number;
  high: number;
}

const BINS = 256; // the last one holds missing values

interface Dimension {
  bins: Uint8Array;
  fails: Uint8Array; // for each bin 1 if the brush excludes it
}

export class Crossfilter {
  private readonly failed: Uint8Array;
  private readonly dimensions = new Map<string, Dimension>();

  constructor(readonly rows: number) {
    this.failed = new Uint8Array(rows);
  }

  has(name: string): boolean {
    return this.dimensions.has(name);
  }

  add(name: string, bins: Uint8Array): void {
    this.dimensions.set(name, { bins, fails: new Uint8Array(BINS) });
  }

  /** Sets the brush of a column; null selects all of its rows, also those without a value. */
  set(name: string, brush: Brush | null): void {
    const dimension = this.of(name);
    const fails = new Uint8Array(BINS);
    if (brush) fails.fill(1).fill(0, brush.low, brush.high);
    const change = new Int8Array(BINS).map((_, bin) => fails[bin] - dimension.fails[bin]);
    if (change.some((step) => step !== 0)) {
      const { failed, rows } = this;
      const { bins } = dimension;
      for (let row = 0; row < rows; row++) failed[row] += change[bins[row]];
    }
    dimension.fails = fails;
  }

  /** Returns the number of rows that pass all brushes. */
  selected(): number {
    const { failed, rows } = this;
    let found = 0;
    for (let row = 0; row < rows; row++) found += failed[row] === 0 ? 1 : 0;
    return found;
  }

  /** Returns how many rows of each bin pass the brushes of the other columns. */
  counts(name: string): Uint32Array {
    const { bins, fails } = this.of(name);
    const { failed, rows } = this;
    const found = new Uint32Array(BINS);
    for (let row = 0; row < rows; row++) {
      const bin = bins[row];
      found[bin] += failed[row] === fails[bin] ? 1 : 0;
    }
    return found;
  }

  private of(name: string): Dimension {
    const found = this.dimensions.get(name);
    if (!found) throw new Error(`${name}: not loaded`);
    return found;
  }
}
