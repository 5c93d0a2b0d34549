// What the service says of an item.

import { askJson } from "../common/api";
import { ANGLES, parsed, type Rgb, type Scale, shareColour, SIZES, UNKNOWN } from "./colours";
import type { Palette } from "./scene";

export type Colouring = "grain" | "radius" | "size" | "phase";

export interface Phase {
  name: string;
  colour: string;
}

export interface Item {
  item: number;
  kind: "particle" | "volume" | "none";
  title: string;
  values: Record<string, number | null>;
  units: Record<string, string>;
  phases: Record<string, Phase> | null;
  grains: number | null;
  extent_nm: [number, number, number] | null; // z, y, x
  colourings: Colouring[];
  bricks: { edge: number; voxel_size_nm: number; shape: [number, number, number] }[];
  formats: { name: string; suffix: string; what: string }[];
}

/** The grains of a particle, in the order of the labels of its bricks, from label 1 on. */
export interface Grains {
  grains: number[];
  diameter_nm: number[];
  radial_angle_deg: (number | null)[];
  radial_angle_of: string; // an axis of the grain
  colour: string[];
}

/** The labels of an item: their colours, and what there is to say of each. */
export class Labels {
  readonly hidden = new Set<number>();
  colouring: Colouring;
  private grains: Grains | null = null;

  constructor(
    private readonly api: string,
    readonly item: Item,
  ) {
    this.colouring = item.colourings[0];
    if (item.phases) for (const [label, { name }] of Object.entries(item.phases)) if (name === "pore") this.hidden.add(Number(label));
  }

  /** Asks for what a colouring, or the reading of a grain, needs. */
  async load(): Promise<void> {
    if (this.item.kind === "particle") this.grains ??= await askJson<Grains>(`${this.api}/grains`);
  }

  palette(labels: number): Palette {
    const scale = this.scale();
    return { labels, colour: (label) => this.colour(label, scale), isShown: (label) => this.isShown(label) };
  }

  scale(): Scale | null {
    if (!this.grains || this.colouring === "grain") return null;
    if (this.colouring === "radius") {
      return { title: `Angle between ${this.grains.radial_angle_of} and radius`, unit: "°", low: 0, high: 90, colours: ANGLES };
    }
    const known = this.grains.diameter_nm.filter(Number.isFinite);
    const [low, high] = [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
    return { title: "Diameter of the ball of the grain's volume", unit: "nm", low, high, colours: SIZES };
  }

  /** Returns what there is to say of a label. */
  reading(label: number): string {
    if (label === 0 && !this.item.phases) return "Nothing here: outside the particle.";
    if (this.item.phases) return this.item.phases[label]?.name ?? `Phase ${label}`;
    const grains = this.grains;
    if (!grains) return "";
    const [diameter, angle] = [grains.diameter_nm[label - 1], grains.radial_angle_deg[label - 1]];
    const known = [`Grain ${grains.grains[label - 1]}`];
    if (Number.isFinite(diameter)) known.push(`diameter ${Math.round(diameter)} nm`);
    if (typeof angle === "number") known.push(`${grains.radial_angle_of} ${Math.round(angle)}° from the radius`);
    return known.join(", ");
  }

  private isShown(label: number): boolean {
    return this.item.phases ? !this.hidden.has(label) : label > 0;
  }

  private colour(label: number, scale: Scale | null): Rgb {
    if (this.item.phases) return this.item.phases[label] ? parsed(this.item.phases[label].colour) : UNKNOWN;
    if (!this.grains || label === 0) return UNKNOWN;
    if (this.colouring === "grain") return parsed(this.grains.colour[label - 1]);
    const values = this.colouring === "radius" ? this.grains.radial_angle_deg : this.grains.diameter_nm;
    const value = values[label - 1];
    if (!scale || value === null || !Number.isFinite(value)) return UNKNOWN;
    return shareColour(scale.high > scale.low ? (value - scale.low) / (scale.high - scale.low) : 0.5, scale.colours);
  }
}
