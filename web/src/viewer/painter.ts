// Draws the view: coarse and at once while it moves, then fine, strip after strip.
//
// A graphics card draws the whole picture in a few milliseconds. Without one, a fine picture takes seconds; a page that
// waited for it would not follow the hand. So nothing is drawn before the previous part is done, and the coarse picture
// gets coarser until it is quick.

import { LinearFilter, Mesh, NearestFilter, OrthographicCamera, PlaneGeometry, RawShaderMaterial, Scene, GLSL3 } from "three";
import { WebGLRenderer, WebGLRenderTarget } from "three";
import type { View } from "./scene";

const STRIPS = 12;
const QUICK_MS = 70; // for a coarse picture
const REST_MS = 180; // without motion, before the fine picture begins
const [COARSEST, COARSE] = [0.2, 0.5]; // of the resolution, while the picture moves

export class Painter {
  private readonly renderer: WebGLRenderer;
  private coarse = target(LinearFilter);
  private one = target(NearestFilter);
  private readonly copy: { scene: Scene; camera: OrthographicCamera };
  private scale = COARSE;
  private strip = STRIPS; // the next one; STRIPS once the picture is fine
  private isStale = false;
  private moved = 0;
  private isRunning = false;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly view: View,
    private readonly drawn: (isFine: boolean) => void,
  ) {
    // What is drawn stays until it is drawn over: strips add up, and pictures can be saved.
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: false, depth: false, preserveDrawingBuffer: true });
    this.renderer.setClearColor(0, 0);
    const material = new RawShaderMaterial({
      glslVersion: GLSL3,
      vertexShader: "in vec3 position; out vec2 at; void main() { at = 0.5 * position.xy + 0.5; gl_Position = vec4(position.xy, 0, 1); }",
      fragmentShader: "precision mediump float; uniform sampler2D picture; in vec2 at; out vec4 shown; void main() { shown = texture(picture, at); }",
      uniforms: { picture: { value: this.coarse.texture } },
      transparent: true,
      depthTest: false,
      depthWrite: false,
    });
    canvas.addEventListener("webglcontextrestored", () => {
      [this.coarse, this.one] = [target(LinearFilter), target(NearestFilter)]; // the old ones are gone with the context
      material.uniforms.picture.value = this.coarse.texture;
      this.changed(); // the renderer has sent all textures again
    });
    const scene = new Scene();
    const quad = new Mesh(new PlaneGeometry(2, 2), material);
    quad.frustumCulled = false;
    scene.add(quad);
    this.copy = { scene, camera: new OrthographicCamera() };
  }

  /** Takes over the size of the canvas on the page. */
  resize(width: number, height: number, ratio: number): void {
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.changed();
  }

  /** Draws the view anew; `isMoving`: the hand is on it, so it comes first that it is quick. */
  changed(isMoving = false): void {
    this.isStale = true;
    this.strip = 0;
    if (isMoving) this.moved = performance.now();
    if (!this.isRunning) {
      this.isRunning = true;
      requestAnimationFrame(() => void this.run());
    }
  }

  /** Returns the label under a point, in pixels of the page from the left and the top; null for none. */
  labelAt(x: number, y: number): number | null {
    const { camera } = this.view;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    camera.setViewOffset(width, height, x - 0.5, y - 0.5, 1, 1);
    this.view.picking = true;
    this.draw(this.one, 1);
    this.view.picking = false;
    camera.clearViewOffset();
    const label = new Uint8Array(4);
    this.renderer.readRenderTargetPixels(this.one, 0, 0, 1, 1, label);
    return label[3] ? label[0] + 256 * label[1] : null;
  }

  /** Draws the whole fine picture at once. */
  finish(): void {
    this.renderer.setScissorTest(false);
    this.draw(null, 1);
    this.isStale = false;
    this.strip = STRIPS;
  }

  private get isLost(): boolean {
    return this.renderer.getContext().isContextLost();
  }

  private async run(): Promise<void> {
    while (this.isStale || this.strip < STRIPS) {
      if (this.isStale) {
        this.isStale = false;
        await this.drawCoarse();
        if (!this.isLost) this.drawn(false);
      } else if (performance.now() - this.moved > REST_MS) {
        this.drawStrip(this.strip++);
        await this.done();
        if (this.strip === STRIPS && !this.isStale && !this.isLost) this.drawn(true);
      } else {
        await frame();
      }
    }
    this.isRunning = false;
  }

  private async drawCoarse(): Promise<void> {
    const start = performance.now();
    const { width, height } = this.canvas;
    this.coarse.setSize(Math.max(1, Math.round(width * this.scale)), Math.max(1, Math.round(height * this.scale)));
    this.renderer.setScissorTest(false);
    this.draw(this.coarse, 1 / this.scale);
    this.renderer.setRenderTarget(null);
    this.renderer.render(this.copy.scene, this.copy.camera);
    await this.done();
    const wanted = this.scale * Math.sqrt(QUICK_MS / (performance.now() - start));
    this.scale = Math.min(Math.max(wanted, this.scale / 2, COARSEST), COARSE);
  }

  private drawStrip(strip: number): void {
    const ratio = this.renderer.getPixelRatio();
    const [width, height] = [this.canvas.width / ratio, this.canvas.height / ratio];
    this.renderer.setScissorTest(true);
    this.renderer.setScissor(0, Math.floor((height * (STRIPS - 1 - strip)) / STRIPS), width, Math.ceil(height / STRIPS) + 1);
    this.draw(null, 1);
    this.renderer.setScissorTest(false);
  }

  private draw(target: WebGLRenderTarget | null, coarseness: number): void {
    const { camera, scene } = this.view;
    const nmPerPixel = (camera.right - camera.left) / camera.zoom / this.canvas.width;
    this.view.prepare(nmPerPixel * coarseness);
    this.renderer.setRenderTarget(target);
    this.renderer.clear();
    this.renderer.render(scene, camera);
    this.renderer.setRenderTarget(null);
  }

  /** Waits until all that was asked for is drawn. */
  private async done(): Promise<void> {
    const gl = this.renderer.getContext() as WebGL2RenderingContext;
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    if (!fence) return;
    while (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) await new Promise((resolve) => window.setTimeout(resolve, 4));
    if (gl.isSync(fence)) gl.deleteSync(fence); // not after a loss of the context
    await frame();
  }
}

function target(filter: typeof LinearFilter | typeof NearestFilter): WebGLRenderTarget {
  return new WebGLRenderTarget(1, 1, { minFilter: filter, magFilter: filter, depthBuffer: false });
}

function frame(): Promise<unknown> {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}
