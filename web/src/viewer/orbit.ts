// Turns, moves and zooms the camera, by pointer, touch, wheel and keys.

import { type OrthographicCamera, Vector3 } from "three";

const TURN = 0.008; // radians per pixel
const KEY_TURN = Math.PI / 24;
const KEY_ZOOM = 1.15;
const [LEAST_ZOOM, MOST_ZOOM] = [0.3, 40];
const CLICK = 4; // pixels that a click may move

/** Where the camera looks from: angles around the vertical axis z, and above the plane of x and y. As in pictures and in
 * the sections that the service draws, z runs downwards. */
interface Direction {
  around: number;
  above: number;
}

export const START: Direction = { around: 0.68 * Math.PI, above: Math.PI / 7 };
export const ALONG: Record<string, Direction> = {
  x: { around: Math.PI, above: 0 },
  y: { around: Math.PI / 2, above: 0 },
  z: { around: Math.PI / 2, above: Math.PI / 2 },
};

export class Orbit {
  private direction: Direction = { ...START };
  private readonly target = new Vector3();
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private travelled = 0;
  radius = 1; // of a ball around all that is shown, nm

  constructor(
    private readonly camera: OrthographicCamera,
    private readonly canvas: HTMLCanvasElement,
    private readonly changed: (isMoving: boolean) => void,
    private readonly clicked: (x: number, y: number) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.turnWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressKey(event));
  }

  /** Looks from a direction, at the middle. */
  look(direction: Direction): void {
    this.direction = { ...direction };
    this.target.set(0, 0, 0);
    this.camera.zoom = 1;
    this.update(false);
  }

  /** Fits the camera to the size of the canvas. */
  fit(): void {
    const aspect = this.canvas.clientWidth / Math.max(1, this.canvas.clientHeight);
    const half = this.radius * 1.04;
    const [across, up] = aspect > 1 ? [half * aspect, half] : [half, half / aspect];
    Object.assign(this.camera, { left: -across, right: across, top: up, bottom: -up });
    this.update(false);
  }

  private update(isMoving: boolean): void {
    const { around, above } = this.direction;
    const away = new Vector3(Math.cos(around) * Math.cos(above), Math.sin(around) * Math.cos(above), -Math.sin(above));
    this.camera.near = 0;
    this.camera.far = 8 * this.radius;
    this.camera.position.copy(this.target).addScaledVector(away, 4 * this.radius);
    // Up is the way that the camera would rise, which holds when it looks straight down, too.
    this.camera.up.set(-Math.cos(around) * Math.sin(above), -Math.sin(around) * Math.sin(above), -Math.cos(above));
    this.camera.lookAt(this.target);
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
    this.changed(isMoving);
  }

  private turn(across: number, up: number): void {
    const { around, above } = this.direction;
    this.direction = { around: around + across, above: Math.min(Math.max(above + up, -Math.PI / 2), Math.PI / 2) };
    this.update(true);
  }

  private move(x: number, y: number): void {
    const nmPerPixel = (this.camera.right - this.camera.left) / this.camera.zoom / this.canvas.clientWidth;
    const side = new Vector3(1, 0, 0).applyQuaternion(this.camera.quaternion);
    const up = new Vector3(0, 1, 0).applyQuaternion(this.camera.quaternion);
    this.target.addScaledVector(side, -x * nmPerPixel).addScaledVector(up, y * nmPerPixel);
    this.target.clampLength(0, this.radius);
    this.update(true);
  }

  private zoom(factor: number): void {
    this.camera.zoom = Math.min(Math.max(this.camera.zoom * factor, LEAST_ZOOM), MOST_ZOOM);
    this.update(true);
  }

  private press(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size === 1) this.travelled = 0;
  }

  private drag(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const [x, y] = [now.x - before.x, now.y - before.y];
    this.travelled += Math.hypot(x, y);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.pointers.set(event.pointerId, now);
    if (this.travelled < CLICK) return;
    if (others.length) {
      const gap = (place: { x: number; y: number }) => Math.hypot(place.x - others[0].x, place.y - others[0].y);
      this.zoom(gap(now) / Math.max(1, gap(before)));
      this.move(x / 2, y / 2);
    } else if (event.buttons === 2 || event.shiftKey) this.move(x, y);
    else this.turn(x * TURN, y * TURN);
  }

  private release(event: PointerEvent): void {
    if (this.pointers.delete(event.pointerId) && this.travelled < CLICK && event.button === 0) {
      const box = this.canvas.getBoundingClientRect();
      this.clicked(event.clientX - box.left, event.clientY - box.top);
    }
  }

  private turnWheel(event: WheelEvent): void {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return; // a page that scrolls by does not zoom
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * 0.0015));
  }

  private pressKey(event: KeyboardEvent): void {
    const turns: Record<string, [number, number]> = {
      ArrowLeft: [KEY_TURN, 0],
      ArrowRight: [-KEY_TURN, 0],
      ArrowUp: [0, KEY_TURN],
      ArrowDown: [0, -KEY_TURN],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in turns) this.turn(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(KEY_ZOOM);
    else if (event.key === "-") this.zoom(1 / KEY_ZOOM);
    else if (event.key === "Home") this.look(START);
    else if (event.key === "Enter" || event.key === " ") this.clicked(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2);
    else return;
    event.preventDefault();
  }
}
