// The box of voxels and the camera without perspective, so that one scale holds for the whole picture.

import {
  BackSide,
  BoxGeometry,
  ClampToEdgeWrapping,
  Data3DTexture,
  DataTexture,
  GLSL3,
  LinearFilter,
  Mesh,
  NearestFilter,
  OrthographicCamera,
  RawShaderMaterial,
  RedFormat,
  RedIntegerFormat,
  RGBAFormat,
  Scene,
  SRGBColorSpace,
  UnsignedByteType,
  UnsignedShortType,
  Vector3,
  Vector4,
} from "three";
import { type Brick, emptiness, solidity } from "./brick";
import type { Rgb } from "./colours";
import { FRAGMENT, VERTEX } from "./shader";

const PALETTE = 256; // colours in a row of the texture
const FADING = 32; // of surfaces in pores, over the edge of the brick

export interface Cut {
  axis: 0 | 1 | 2; // x, y, z
  at: number; // 0 to 1
  isFlipped: boolean;
}

export interface Palette {
  colour: (label: number) => Rgb;
  isShown: (label: number) => boolean;
  labels: number; // largest label
}

export class View {
  readonly scene = new Scene();
  readonly camera = new OrthographicCamera();
  readonly extentNm = new Vector3();
  private readonly box: Mesh<BoxGeometry, RawShaderMaterial>;
  private brick: Brick | null = null;
  private cut: Cut | null = null;

  constructor() {
    const uniforms = {
      labels: { value: null as Data3DTexture | null },
      blocks: { value: null as Data3DTexture | null },
      solid: { value: null as Data3DTexture | null },
      colours: { value: null as DataTexture | null },
      size: { value: new Vector3() },
      sight: { value: new Vector3() },
      lamp: { value: new Vector3() },
      cut: { value: new Vector4() },
      isCut: { value: false },
      hasBorders: { value: true },
      isPicking: { value: false },
      pixel: { value: 1 },
      fading: { value: 0 },
    };
    const material = new RawShaderMaterial({
      glslVersion: GLSL3,
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms,
      side: BackSide, // of each pixel exactly one, also when the camera is within the box
    });
    this.box = new Mesh(new BoxGeometry(1, 1, 1), material);
    this.scene.add(this.box);
  }

  get isEmpty(): boolean {
    return this.brick === null;
  }

  /** Shows a brick; `smooth` rounds the steps of its voxels. */
  show(brick: Brick, palette: Palette, smooth: boolean): void {
    this.brick = brick;
    this.extentNm.fromArray(brick.size).multiplyScalar(brick.voxelNm);
    this.box.scale.copy(this.extentNm);
    const { uniforms } = this.box.material;
    uniforms.size.value.fromArray(brick.size);
    uniforms.fading.value = smooth ? 0 : FADING / Math.max(...brick.size);
    replace(uniforms.labels, volume(brick.labels, brick.size, true));
    this.reshape(palette, smooth);
    this.paint(palette);
    this.place();
  }

  /** Takes over which labels are shown. */
  reshape(palette: Palette, smooth: boolean): void {
    if (!this.brick) return;
    const solid = solidity(this.brick, palette.isShown, smooth);
    const blocks = emptiness(this.brick, solid);
    const { uniforms } = this.box.material;
    replace(uniforms.solid, volume(solid, this.brick.size, false));
    replace(uniforms.blocks, volume(blocks.distances, blocks.size, true));
  }

  /** Takes over the colours of the labels. */
  paint({ colour, isShown, labels }: Palette): void {
    const rows = Math.floor(labels / PALETTE) + 1;
    const colours = new Uint8Array(4 * PALETTE * rows);
    for (let label = 0; label <= labels; label++) colours.set([...colour(label), isShown(label) ? 255 : 0], 4 * label);
    const texture = new DataTexture(colours, PALETTE, rows, RGBAFormat);
    texture.colorSpace = SRGBColorSpace;
    texture.needsUpdate = true;
    replace(this.box.material.uniforms.colours, texture);
  }

  setCut(cut: Cut | null): void {
    this.cut = cut;
    this.place();
  }

  set borders(value: boolean) {
    this.box.material.uniforms.hasBorders.value = value;
  }

  set picking(value: boolean) {
    this.box.material.uniforms.isPicking.value = value;
  }

  /** Prepares a picture with pixels of an edge in nm. */
  prepare(pixelNm: number): void {
    const { uniforms } = this.box.material;
    this.camera.getWorldDirection(uniforms.sight.value);
    const up = new Vector3(0, 1, 0).applyQuaternion(this.camera.quaternion);
    const right = new Vector3(1, 0, 0).applyQuaternion(this.camera.quaternion);
    uniforms.lamp.value.copy(uniforms.sight.value).multiplyScalar(-1).addScaledVector(up, 0.6).addScaledVector(right, -0.4);
    uniforms.lamp.value.normalize();
    uniforms.pixel.value = pixelNm / (this.brick?.voxelNm ?? 1);
  }

  private place(): void {
    const { uniforms } = this.box.material;
    uniforms.isCut.value = this.cut !== null;
    if (!this.cut || !this.brick) return;
    const side = this.cut.isFlipped ? -1 : 1;
    const normal = [0, 0, 0];
    normal[this.cut.axis] = side;
    uniforms.cut.value.set(normal[0], normal[1], normal[2], side * this.cut.at * this.brick.size[this.cut.axis]);
  }
}

function volume(values: Uint8Array | Uint16Array, [x, y, z]: [number, number, number], isLabels: boolean): Data3DTexture {
  const texture = new Data3DTexture(values as Uint8Array<ArrayBuffer>, x, y, z);
  const isWide = values instanceof Uint16Array;
  texture.format = isLabels ? RedIntegerFormat : RedFormat;
  texture.type = isWide ? UnsignedShortType : UnsignedByteType;
  if (isLabels) texture.internalFormat = isWide ? "R16UI" : "R8UI";
  texture.minFilter = texture.magFilter = isLabels ? NearestFilter : LinearFilter;
  texture.wrapS = texture.wrapT = texture.wrapR = ClampToEdgeWrapping;
  texture.unpackAlignment = 1;
  texture.needsUpdate = true;
  return texture;
}

function replace(uniform: { value: { dispose(): void } | null }, value: Data3DTexture | DataTexture): void {
  uniform.value?.dispose();
  uniform.value = value;
}
