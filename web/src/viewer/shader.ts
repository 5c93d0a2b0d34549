// The shader that shows labels: a ray for each pixel, through the voxels of a brick.
//
// Lengths are in voxels, x, y, z. A ray starts where it enters the box or, on the side that is cut off, at the cut
// plane. If a solid voxel lies there, its own colour is shown, so the cut is solid; else the ray runs on to the
// surface, which is where the interpolated solidity passes one half.

import { BLOCK } from "./brick";

export const VERTEX = `
uniform mat4 modelViewMatrix, projectionMatrix;
uniform vec3 size;
in vec3 position;
out vec3 place;
void main() {
  place = (position + 0.5) * size;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}
`;

export const FRAGMENT = `
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler3D;
precision highp usampler3D;

uniform usampler3D labels;
uniform usampler3D blocks;
uniform sampler3D solid;
uniform sampler2D colours;
uniform vec3 size;
uniform vec3 sight;       // direction of all rays
uniform vec3 lamp;        // direction to the light
uniform vec4 cut;         // shown is where dot(cut.xyz, p) <= cut.w
uniform bool isCut;
uniform bool hasBorders;
uniform bool isPicking;   // a pixel is the label, not its colour
uniform float pixel;      // edge of a pixel of the screen
uniform float fading;     // how much darker a surface is per voxel behind the cut or the box, so that pores look deep
in vec3 place;
out vec4 shown;

const vec3 INK = vec3(0.012, 0.014, 0.018);

uint labelAt(vec3 p) {
  ivec3 voxel = ivec3(floor(p));
  if (any(lessThan(voxel, ivec3(0))) || any(greaterThanEqual(voxel, ivec3(size)))) return 0u;
  return texelFetch(labels, voxel, 0).r;
}
vec4 colourOf(uint label) { return texelFetch(colours, ivec2(int(label) & 255, int(label) >> 8), 0); }
bool isSolid(uint label) { return colourOf(label).a > 0.5; }
float solidity(vec3 p) { return texture(solid, p / size).r; }

vec3 slopeAt(vec3 p, float d) {
  return vec3(
    solidity(p - vec3(d, 0, 0)) - solidity(p + vec3(d, 0, 0)),
    solidity(p - vec3(0, d, 0)) - solidity(p + vec3(0, d, 0)),
    solidity(p - vec3(0, 0, d)) - solidity(p + vec3(0, 0, d)));
}

// The direction out of what is solid: near by, so that edges stay, and farther off, so that voxels show no steps.
vec3 outwards(vec3 p) {
  float far = max(2.6, 0.014 * max(size.x, max(size.y, size.z)));
  vec3 slope = slopeAt(p, 0.5 * far) + slopeAt(p, far);
  return dot(slope, slope) > 1e-6 ? normalize(slope) : -sight;
}

bool isBorder(vec3 p, vec3 normal, uint label, float inwards) {
  if (!hasBorders) return false;
  vec3 a = normalize(abs(normal.z) < 0.7 ? cross(normal, vec3(0, 0, 1)) : cross(normal, vec3(1, 0, 0)));
  vec3 b = cross(normal, a);
  float reach = max(0.5, 0.8 * pixel);
  vec3 q = p - inwards * normal;
  for (int k = 0; k < 4; k++) {
    vec3 side = (k < 2 ? a : b) * ((k & 1) == 0 ? reach : -reach);
    uint other = labelAt(q + side);
    if (other != label && (inwards == 0.0 || isSolid(other))) return true;
  }
  return false;
}

vec4 painted(vec3 p, vec3 normal, uint label, float light, float inwards) {
  if (isPicking) return vec4(float(label & 255u) / 255.0, float(label >> 8) / 255.0, 0.0, 1.0);
  vec3 colour = colourOf(label).rgb * light;
  if (isBorder(p, normal, label, inwards)) colour = mix(colour, INK, 0.8);
  return vec4(mix(12.92 * colour, 1.055 * pow(colour, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, colour)), 1.0);
}

void main() {
  vec3 slow = vec3(lessThan(abs(sight), vec3(1e-6)));
  vec3 inverse = 1.0 / mix(sight, vec3(1e-6), slow);
  vec3 before = -place * inverse, after = (size - place) * inverse;
  vec3 nearest = min(before, after), farthest = max(before, after);
  float start = max(max(nearest.x, nearest.y), nearest.z);
  float end = min(min(farthest.x, farthest.y), farthest.z);
  vec3 face = -sign(sight) * vec3(equal(vec3(start), nearest));
  if (isCut) {
    float along = dot(cut.xyz, sight);
    float plane = (cut.w - dot(cut.xyz, place)) / (abs(along) < 1e-6 ? 1e-6 : along);
    if (along < 0.0) {
      if (plane > start) { start = plane; face = cut.xyz; }
    } else end = min(end, plane);
  }
  if (start >= end) discard;

  vec3 p = place + (start + 1e-3) * sight;
  uint label = labelAt(p - 1e-3 * face);
  if (isSolid(label)) {
    float light = isCut && face == cut.xyz ? 1.0 : 0.55 + 0.45 * max(dot(face, lamp), 0.0);
    shown = painted(p, face, label, light, 0.0);
    return;
  }
  ivec3 most = ivec3(size) - 1;
  float at = start + 1e-3, last = at;
  for (int k = 0; k < 2000 && at < end; k++) {
    p = place + at * sight;
    int empty = int(texelFetch(blocks, clamp(ivec3(floor(p)), ivec3(0), most) / ${BLOCK}, 0).r);
    if (empty > 1) { last = at; at += float(${BLOCK} * (empty - 1)); continue; }
    if (solidity(p) <= 0.5) { last = at; at += 0.6; continue; }
    for (int halving = 0; halving < 5; halving++) {
      float middle = 0.5 * (last + at);
      if (solidity(place + middle * sight) > 0.5) at = middle; else last = middle;
    }
    p = place + at * sight;
    vec3 normal = outwards(p);
    label = labelAt(p);
    for (int step = 1; step < 6 && !isSolid(label); step++) label = labelAt(p - 0.4 * float(step) * normal);
    if (!isSolid(label)) { at += 0.6; last = at; continue; }
    float light = (0.30 + 0.70 * max(dot(normal, lamp), 0.0)) * mix(0.25, 1.0, exp(-fading * (at - start)));
    shown = painted(p, normal, label, light, 0.9);
    return;
  }
  discard;
}
`;
