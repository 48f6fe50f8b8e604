"""Draw the benchmark's visual meshes and write them as GLB files into ``scaffold_bench/objects/assets``.

Run ``python scripts/make_assets.py`` after changing ``dimensions.py``; ``--check`` writes nothing and exits
non-zero if a committed file differs from what this script draws. Noise is seeded and coordinates are rounded,
so two runs give the same bytes (the JPEG textures also depend on the Pillow release).

Every mesh is stored directly in the object frame that ``dimensions.py`` documents, z up. SAPIEN loads GLB
vertices as they are, so the files are used with an identity pose; a viewer that follows glTF's y-up rule shows
them lying on their backs. Shapes are lofts: stacks of rings with equally many points, joined by quads.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import trimesh
from PIL import Image, ImageDraw, ImageFont
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

ROOM = Path(__file__).resolve().parents[1] / "scaffold_bench" / "objects"
ASSETS = ROOM / "assets"
Array = np.ndarray
Color = tuple[float, float, float]  # sRGB, 0 to 1
TAU = 2 * np.pi


def load_dimensions() -> ModuleType:
    """Load ``dimensions.py`` by its path: importing the package would import the simulators."""
    spec = importlib.util.spec_from_file_location("scaffold_dimensions", ROOM / "dimensions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


DIM = load_dimensions()

# ------------------------------------------------------------------------------------------------ textures


def noise(seed: int, size: tuple[int, int] = (256, 256), stretch: float = 1.0, grain: float = 24.0) -> Array:
    """Tileable noise around 0 with unit deviation; ``stretch`` > 1 draws it out along v (image rows)."""
    white = np.random.default_rng(seed).standard_normal(size)
    fv, fu = np.meshgrid(*(np.fft.fftfreq(n) * n for n in size), indexing="ij")
    radius = np.hypot(fu, fv * stretch)
    smooth = np.fft.ifft2(np.fft.fft2(white) * np.exp(-((radius / grain) ** 2))).real
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def mix(a: Color | Array, b: Color | Array, t: Array) -> Array:
    """Blend two colours (or pictures) with weight ``t`` in 0..1."""
    t = np.clip(t, 0, 1)[..., None]
    return np.asarray(np.asarray(a) * (1 - t) + np.asarray(b) * t)


def picture(rgb: Array) -> Image.Image:
    """An sRGB array in 0..1 as an image that trimesh embeds as JPEG."""
    image = Image.fromarray(np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    image.format = "JPEG"
    return image


def wood(seed: int, light: Color, dark: Color, rings: int = 5, staves: int = 0) -> Image.Image:
    """Wood with the grain along v, optionally glued up from ``staves`` strips of different tone."""
    u = np.broadcast_to(np.arange(256) / 256, (256, 256))
    shift = np.zeros((256, 256))
    tone = np.zeros((256, 256))
    if staves:
        strip = (u * staves).astype(int)
        rng = np.random.default_rng(seed)
        shift, tone = rng.uniform(0, 1, staves)[strip], rng.uniform(-0.22, 0.22, staves)[strip]
        tone = np.where((u * staves) % 1 < 0.03, tone + 0.35, tone)
    year = np.sin(TAU * (rings * u + shift) + 1.8 * noise(seed, stretch=7, grain=4))
    fibre = noise(seed + 1, stretch=22, grain=90)
    return picture(mix(light, dark, 0.38 + 0.20 * year + 0.10 * fibre + tone))


def brushed(seed: int, color: Color, depth: float = 0.012) -> Image.Image:
    """Metal or paint with fine brush lines along v."""
    lines = noise(seed, (128, 128), stretch=20, grain=60) + 0.3 * noise(seed + 1, (128, 128), grain=4)
    return picture(np.asarray(color) + depth * lines[..., None])


def apple_skin() -> Image.Image:
    """Red over yellow-green: u runs round the apple, v from the calyx (bottom) to the stem (top)."""
    v, u = np.meshgrid(1 - (np.arange(256) + 0.5) / 256, np.arange(256) / 256, indexing="ij")
    streaks, cloud = noise(1, stretch=9, grain=45), noise(3, grain=6)
    poles = np.exp(-(((1 - v) / 0.16) ** 2)) + 0.8 * np.exp(-((v / 0.12) ** 2))
    blush = 0.72 + 0.42 * np.cos(TAU * u) + 0.16 * streaks + 0.20 * cloud - 0.75 * poles
    skin = mix((0.78, 0.72, 0.22), (0.86, 0.42, 0.13), blush * 2)
    skin = mix(skin, mix((0.76, 0.10, 0.08), (0.48, 0.03, 0.06), 0.4 + 0.25 * streaks), blush * 1.7 - 0.5)
    skin = mix(skin, (0.50, 0.52, 0.14), np.exp(-(((1 - v) / 0.12) ** 2)) * 0.8)
    skin = mix(skin, (0.38, 0.26, 0.12), np.exp(-(((1 - v) / 0.05) ** 2)) + np.exp(-((v / 0.035) ** 2)))
    return picture(mix(skin, (0.93, 0.78, 0.48), (noise(5, grain=60) - 2.3) * 0.9))


def label() -> Image.Image:
    """A water bottle's paper label, printed twice round the bottle."""
    sheet = Image.new("RGB", (512, 256), (236, 238, 232))
    pen = ImageDraw.Draw(sheet)
    for x in (0, 256):
        pen.rectangle((x, 0, x + 255, 20), fill=(20, 84, 132))
        pen.rectangle((x, 24, x + 255, 28), fill=(196, 160, 74))
        pen.polygon([(x + 40, 140), (x + 98, 58), (x + 124, 96), (x + 146, 70), (x + 212, 140)], fill=(42, 112, 150))
        pen.polygon([(x + 98, 58), (x + 82, 82), (x + 97, 76), (x + 108, 84), (x + 112, 78)], fill=(250, 252, 252))
        pen.polygon([(x + 146, 70), (x + 136, 83), (x + 147, 80), (x + 157, 83)], fill=(250, 252, 252))
        pen.text((x + 128, 164), "FIRN", (16, 60, 104), ImageFont.load_default(46), anchor="mm")
        pen.text((x + 128, 200), "still water  500 ml", (60, 90, 110), ImageFont.load_default(19), anchor="mm")
        pen.rectangle((x, 226, x + 255, 255), fill=(20, 84, 132))
    return picture(np.asarray(sheet.resize((256, 128), Image.Resampling.LANCZOS)) / 255)


def foam() -> Image.Image:
    """Yellow sponge with open pores of several sizes."""
    rng = np.random.default_rng(11)
    shade = 0.05 * noise(12, grain=40)
    yy, xx = np.mgrid[0:256, 0:256]
    for _ in range(520):
        cx, cy, size, depth = *rng.uniform(0, 256, 2), 1.8 + 7.0 * rng.uniform() ** 3, rng.uniform(0.30, 0.9)
        dx, dy = (xx - cx + 128) % 256 - 128, (yy - cy + 128) % 256 - 128
        hole = np.hypot(dx, dy * rng.uniform(0.8, 1.25)) / size
        shade = np.maximum(shade, depth * np.clip(1.6 - hole, 0, 1)) - 0.09 * np.exp(-(((hole - 1.7) / 0.3) ** 2))
    return picture(mix((0.96, 0.80, 0.28), (0.56, 0.36, 0.05), 0.12 + shade))


def scouring() -> Image.Image:
    """Matted dark green fibres."""
    fibres = np.maximum(noise(21, stretch=5, grain=70), noise(22, stretch=5, grain=70).T)
    return picture(mix((0.03, 0.12, 0.06), (0.16, 0.36, 0.18), 0.30 + 0.28 * fibres))


# ------------------------------------------------------------------------------------------------ materials


@dataclass(frozen=True)
class Material:
    """A glTF metallic-roughness material; ``image`` replaces the plain colour."""

    name: str
    color: Color = (1.0, 1.0, 1.0)
    metallic: float = 0.0
    roughness: float = 0.6
    image: Image.Image | None = None

    def pbr(self) -> PBRMaterial:
        factor = [*(c**2.2 for c in self.color), 1.0]  # glTF factors are linear, textures sRGB
        return PBRMaterial(
            name=self.name,
            baseColorFactor=factor,
            baseColorTexture=self.image,
            metallicFactor=self.metallic,
            roughnessFactor=self.roughness,
        )


STEEL = Material("brushed_steel", metallic=0.75, roughness=0.32, image=brushed(31, (0.70, 0.71, 0.72)))
DARK_STEEL = Material("dark_steel", (0.30, 0.31, 0.33), metallic=0.6, roughness=0.4)
BRIGHT_STEEL = Material("bright_steel", (0.78, 0.78, 0.79), metallic=0.7, roughness=0.25)
BLACK = Material("black_plastic", (0.07, 0.07, 0.08), roughness=0.45)
WHITE = Material("white_plastic", (0.90, 0.91, 0.91), roughness=0.4)
GASKET = Material("gasket", (0.35, 0.36, 0.37), roughness=0.8)

# ------------------------------------------------------------------------------------------------ shapes


@dataclass(frozen=True)
class Part:
    """Loose triangles of one material: corners (F, 3, 3), texture coordinates (F, 3, 2), crease angle in degrees."""

    tri: Array
    uv: Array
    material: Material
    crease: float

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
        return replace(self, tri=self.tri + np.array([x, y, z]))

    def aimed(self, axis: str) -> Part:
        """Turn a shape built along z so that it runs along ``axis`` (the other two follow cyclically)."""
        return replace(self, tri=np.roll(self.tri, {"x": 1, "y": 2, "z": 0}[axis], axis=2))

    def turned(self) -> Part:
        """Half a turn about x: exchanges the two halves of scissors and pliers."""
        return replace(self, tri=self.tri * np.array([1.0, -1.0, -1.0]))

    def mapped(self, grain: str, size: float) -> Part:
        """Project the texture from the sides of a box: ``size`` metres a tile, v along the ``grain`` axis."""
        normal = np.abs(np.cross(self.tri[:, 1] - self.tri[:, 0], self.tri[:, 2] - self.tri[:, 0]))
        normal = (normal * np.where(np.arange(3) == "xyz".index(grain), 0.4, 1.0)).argmax(axis=1)
        along = np.where(normal == "xyz".index(grain), (normal + 1) % 3, "xyz".index(grain))
        across = 3 - normal - along
        face = np.arange(len(self.tri))[:, None]
        corner = np.arange(3)[None]
        uv = np.stack([self.tri[face, corner, axis[:, None]] for axis in (across, along)], axis=2) / size
        return replace(self, uv=uv + 0.37 * normal[:, None, None])

    def normals(self) -> Array:
        """Area-weighted corner normals, smoothed over edges that bend by less than the crease angle."""
        area = np.cross(self.tri[:, 1] - self.tri[:, 0], self.tri[:, 2] - self.tri[:, 0])
        unit = area / np.linalg.norm(area, axis=1, keepdims=True)
        _, weld = np.unique(np.round(self.tri.reshape(-1, 3), 6), axis=0, return_inverse=True)
        order = np.argsort(weld.ravel(), kind="stable")
        result = np.empty((len(order), 3))
        for group in np.split(order, np.cumsum(np.bincount(weld.ravel()))[:-1]):
            faces = group // 3
            near = unit[faces] @ unit[faces].T > np.cos(np.radians(self.crease))
            result[group] = near @ area[faces]
        return np.asarray(result / np.linalg.norm(result, axis=1, keepdims=True))


def loft(rings: Array, material: Material, crease: float = 40.0, wrap: bool = False) -> Part:
    """Skin a stack of closed rings (M, N, 3). The ends are capped, or joined to each other with ``wrap``."""
    rings = np.concatenate([rings, rings[:, :1]], axis=1)
    if wrap:
        rings = np.concatenate([rings, rings[:1]])
    else:
        ends = [np.broadcast_to(r[:-1].mean(axis=0), r.shape) for r in (rings[0], rings[-1])]
        rings = np.concatenate([ends[0][None], rings, ends[1][None]])
    steps = np.linalg.norm(np.diff(rings, axis=0), axis=2).mean(axis=1)
    v = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    u = np.linspace(0, 1, rings.shape[1])
    grid = np.concatenate([rings, np.stack(np.meshgrid(u, v), axis=2)], axis=2)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    tri = np.concatenate([np.stack(t, axis=2).reshape(-1, 3, 5) for t in ((a, b, c), (a, c, d))])
    cross = np.cross(tri[:, 1, :3] - tri[:, 0, :3], tri[:, 2, :3] - tri[:, 0, :3])
    tri = tri[np.linalg.norm(cross, axis=1) > 1e-12]
    if np.linalg.det(tri[:, :, :3]).sum() < 0:  # the signed volume: keep the outside outside
        tri = tri[:, ::-1]
    return Part(tri[:, :, :3], tri[:, :, 3:], material, crease)


def oval(a: float, b: float, n: int, power: float = 2.0) -> Array:
    """A (super)ellipse with half axes ``a`` and ``b``; a higher ``power`` makes it boxier."""
    t = np.arange(n) * TAU / n
    c, s = np.cos(t), np.sin(t)
    return np.stack([a * np.sign(c) * np.abs(c) ** (2 / power), b * np.sign(s) * np.abs(s) ** (2 / power)], axis=1)


def rounded(a: float, b: float, r: float, k: int) -> Array:
    """A rectangle with half sides ``a`` and ``b`` and corners of radius ``r``, ``k`` + 1 points each."""
    r = float(np.clip(r, 0, min(a, b)))
    corners = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        t = (quarter + np.linspace(0, 1, k + 1)) * TAU / 4
        corners.append(np.stack([sx * (a - r) + r * np.cos(t), sy * (b - r) + r * np.sin(t)], axis=1))
    return np.concatenate(corners)


def lift(ring: Array, z: float) -> Array:
    """A plane ring at height ``z``."""
    return np.column_stack([ring, np.full(len(ring), z)])


def turn(profile: Sequence[tuple[float, float]] | Array, material: Material, n: int = 32, crease: float = 40.0) -> Part:
    """A surface of revolution about z from (radius, z) pairs, bottom to top."""
    return loft(np.stack([lift(oval(r, r, n), z) for r, z in profile]), material, crease)


def rod(length: float, radius: float, material: Material, n: int = 20) -> Part:
    """A round bar along z with chamfered ends, from z = 0."""
    c = 0.2 * radius
    return turn([(radius - c, 0), (radius, c), (radius, length - c), (radius - c, length)], material, n, 50)


def nest(
    a: float, b: float, steps: Sequence[tuple[float, float]], material: Material, r: float = 0.0, k: int = 2
) -> Part:
    """Rounded rectangles with half sides ``a``, ``b`` stacked along z: one for each (inset, z) of ``steps``."""
    return loft(np.stack([lift(rounded(a - i, b - i, r - i, k), z) for i, z in steps]), material, 50)


def bevel(height: float, r: float, k: int = 1) -> list[tuple[float, float]]:
    """The steps of a block from z = 0 to ``height`` with edges rounded by ``r``."""
    t = np.linspace(0, TAU / 4, k + 1)
    lower = [(r - r * float(np.sin(x)), r - r * float(np.cos(x))) for x in t]
    return lower + [(i, height - z) for i, z in reversed(lower)]


def box(lo: Sequence[float], hi: Sequence[float], material: Material, r: float = 0.0015) -> Part:
    """A block between two corners with slightly broken edges."""
    (w, d, h), mid = np.subtract(hi, lo), np.add(hi, lo) / 2
    return nest(w / 2, d / 2, bevel(h, r), material, r, 1).moved(mid[0], mid[1], lo[2])


def curve(points: Sequence[Sequence[float]], n: int) -> Array:
    """``n`` samples of the Catmull-Rom spline through points of any dimension."""
    p = np.asarray(points, dtype=float)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    s = np.linspace(0, len(p) - 3, n)
    i = np.minimum(s.astype(int), len(p) - 4)
    t = (s - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return np.asarray(b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def sweep(stations: Array, material: Material, n: int = 16, power: float = 2.0, wrap: bool = False) -> Part:
    """An oval bar along a path that lies roughly in the xy plane: rows (x, y, z, half width, half height)."""
    path = stations[:, :3]
    step = np.roll(path, -1, 0) - np.roll(path, 1, 0) if wrap else np.gradient(path, axis=0)
    side = np.cross([0, 0, 1], step)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    rings = []
    for point, across, (w, h) in zip(path, side, stations[:, 3:], strict=True):
        ring = oval(w, h, n, power)
        rings.append(point + ring[:, :1] * across + ring[:, 1:] * np.array([0, 0, 1]))
    return loft(np.stack(rings), material, 50, wrap)


def blunt(stations: Array, start: float, end: float) -> Array:
    """Round off both ends of a swept bar over the given fractions of its stations."""
    s = np.linspace(0, 1, len(stations))
    fall = np.sqrt(np.clip(1 - np.clip(1 - s / start, 0, 0.98) ** 2, 0, 1))
    fall *= np.sqrt(np.clip(1 - np.clip(1 - (1 - s) / end, 0, 0.98) ** 2, 0, 1))
    return np.column_stack([stations[:, :3], stations[:, 3:] * fall[:, None]])


# ------------------------------------------------------------------------------------------------ objects


def apple() -> list[Part]:
    """Body with five faint lobes, a dimple and a bent stem."""
    r = DIM.APPLE.radius
    profile = [(0, -0.80), (0.10, -0.84), (0.24, -0.965), (0.42, -0.985), (0.66, -0.83), (0.88, -0.52), (0.985, -0.10)]
    profile += [(0.98, 0.28), (0.87, 0.64), (0.66, 0.86), (0.44, 0.925), (0.25, 0.83), (0.11, 0.66), (0, 0.58)]
    rings = np.stack([lift(oval(x, x, 36), z) for x, z in curve(profile, 34)]) * r
    angle = np.arctan2(rings[..., 1], rings[..., 0])
    lobes = 1 + 0.022 * np.cos(5 * angle) * np.clip(-rings[..., 2] / r, -0.35, 1)
    rings[..., :2] *= lobes[..., None]
    rings[..., 2] += 0.05 * rings[..., 0] * np.clip(rings[..., 2] / r, 0, 1)
    body = loft(rings, Material("apple_skin", roughness=0.35, image=apple_skin()), 180)
    stem = curve([(0, 0, 0.55, 0.045), (0.02, 0, 0.85, 0.035), (0.09, 0.02, 1.08, 0.04), (0.14, 0.03, 1.16, 0.065)], 9)
    bark = Material("apple_stem", (0.30, 0.20, 0.10), roughness=0.8)
    return [body, loft(np.stack([oval(w, w, 8) @ np.eye(2, 3) + (x, y, z) for x, y, z, w in stem]) * r, bark, 60)]


def bottle() -> list[Part]:
    """Tinted body with base and grip grooves, wrapped label, neck ring and ribbed cap."""
    d = DIM.BOTTLE
    low, r, neck = -d.height / 2, d.radius, d.neck_radius
    top_shoulder = low + d.body_height + d.shoulder_height
    glass = Material("tinted_plastic", (0.10, 0.42, 0.50), roughness=0.12)
    profile = [(0.0, 0.006), (0.016, 0.005), (0.023, 0.0), (0.027, 0.0), (0.0315, 0.004), (r, 0.010), (r, 0.024)]
    profile += [(r - 0.0016, 0.0265), (r - 0.0016, 0.0285), (r, 0.031), (r, 0.036), (r - 0.0008, 0.037)]
    profile += [(r - 0.0008, 0.113), (r, 0.114), (r, 0.119)]
    profile += [(r - 0.0016, 0.1215), (r - 0.0016, 0.1235), (r, 0.126)]
    shoulder = [(r, d.body_height - 0.006), (r - 0.001, d.body_height), (0.026, d.body_height + 0.014)]
    shoulder += [(0.0165, d.body_height + 0.029), (neck - 0.001, d.body_height + d.shoulder_height)]
    foot = np.array([0, low])
    outline = np.concatenate([profile, curve(shoulder, 12)]) + foot
    sleeve = np.array([(r - 0.001, 0.0375), (r - 0.0003, 0.038), (r - 0.0003, 0.112), (r - 0.001, 0.1125)]) + foot
    wrap = turn(sleeve, Material("label", roughness=0.55, image=label()), 48)
    span = (wrap.tri[..., 2] - sleeve[0][1]) / (sleeve[-1][1] - sleeve[0][1])
    wrap = replace(wrap, uv=np.stack([wrap.uv[..., 0] + 0.25, np.clip(span, 0.01, 0.99)], axis=2))
    collar = [(neck - 0.002, top_shoulder), (neck + 0.002, top_shoulder + 0.002), (neck + 0.002, top_shoulder + 0.0035)]
    collar += [(neck - 0.002, top_shoulder + 0.005), (neck - 0.002, d.height / 2 - 0.004)]
    cap_low, cap_top, ribs = top_shoulder + 0.008, d.height / 2, 36
    rings = []
    for inset, z in ((0.0012, cap_low), (0, cap_low + 0.001), (0, cap_low + 0.004), (0.0005, cap_low + 0.0045)):
        rings.append(lift(oval(neck - inset, neck - inset, 2 * ribs), z))
    for inset, z, rib in ((0.0002, cap_low + 0.005, 1), (0.0002, cap_top - 0.002, 1), (0.0016, cap_top, 0)):
        ring = oval(neck - inset, neck - inset, 2 * ribs)
        ring[::2] *= 1 - 0.06 * rib
        rings.append(lift(ring, z))
    cap = loft(np.stack(rings), Material("cap", (0.85, 0.87, 0.88), roughness=0.45), 35)
    return [turn(outline, glass, 48, 35), wrap, turn(collar, glass, 32, 50), cap]


def board() -> list[Part]:
    """Glued-up staves, rounded edges, a juice groove near the rim."""
    d, h = DIM.BOARD, DIM.BOARD.thickness
    groove = [(0.0130, 0.0), (0.0142, 0.0018), (0.0170, 0.0028), (0.0198, 0.0018), (0.021, 0.0)]
    steps = [*bevel(h, 0.003, 3), *((inset, h - deep) for inset, deep in groove)]
    grain = wood(41, (0.86, 0.66, 0.42), (0.58, 0.36, 0.18), rings=14, staves=7)
    slab = nest(d.width / 2, d.length / 2, steps, Material("board_wood", roughness=0.55, image=grain), 0.022, 7)
    return [replace(slab.mapped("y", 0.30), crease=30).moved(z=-h / 2)]


def hammer() -> list[Part]:
    """Waisted oval ash handle, wedged through a cross-peen head with a round face."""
    d = DIM.HAMMER
    ash = Material("handle_wood", roughness=0.5, image=wood(51, (0.83, 0.63, 0.38), (0.62, 0.40, 0.20), rings=4))
    w, half, head = d.handle_diameter / 2, d.handle_length / 2, d.head_x
    shape = [(-half, 0.80), (-half + 0.002, 0.90), (-half + 0.010, 1.0), (-half + 0.030, 0.98), (-half + 0.065, 0.90)]
    shape += [(-half + 0.110, 0.95), (-half + 0.150, 0.88), (half - 0.050, 0.74), (half - 0.020, 0.70)]
    shape += [(head, 0.70), (head + d.head_width / 2 + 0.002, 0.68)]
    rings = [lift(oval(0.88 * w * k, w * k, 24, 2.3), x) for x, k in curve(shape, 36)]  # z, y half sizes
    handle = loft(np.stack(rings)[..., [2, 1, 0]], ash, 50)
    a, b, long = d.head_width / 2, d.head_height / 2, d.head_length / 2
    sections = [(-long, 0.0012, b - 0.003, 0.001), (-long + 0.001, 0.0025, b - 0.002, 0.002)]
    sections += [(-long + 0.016, 0.0080, b - 0.001, 0.003), (-0.0190, a - 0.0015, b, 0.004), (-0.0165, a, b, 0.004)]
    sections += [(0.0165, a, b, 0.004), (0.019, a - 0.0015, b - 0.0012, 0.006), (0.0235, 0.0112, 0.0112, 0.009)]
    sections += [(0.030, 0.0108, 0.0108, 0.0108), (0.0335, 0.0138, 0.0138, 0.0138), (long - 0.002, b, b, b)]
    sections += [(long - 0.0004, b - 0.0014, b - 0.0014, b), (long, 0.006, 0.006, 0.006)]
    rings = [lift(rounded(x, z, r, 5)[:, ::-1], y) for y, x, z, r in sections]  # columns z, x, y
    forged = loft(np.stack(rings)[..., [1, 2, 0]], STEEL, 32).mapped("y", 0.06).moved(x=head)
    tip = head + a
    eye = nest(0.0120, 0.0108, bevel(0.0012, 0.0005), DARK_STEEL, 0.010, 4).aimed("x").moved(tip - 0.0006)
    wedge = box((tip, -0.0006, -0.0055), (tip + 0.0026, 0.0006, 0.0055), BRIGHT_STEEL, 0.0003)
    return [handle, forged, eye, wedge]


def sponge() -> list[Part]:
    """Foam block with a pinched waist and a fibrous scouring pad."""
    d = DIM.SPONGE
    foam_height, a, b = d.height - d.pad_height, d.length / 2, d.width / 2
    steps = [(0.003, 0), (0.0008, 0.0008), (0, 0.003), (0.0022, 0.009), (0.0026, 0.0125), (0.0018, 0.017)]
    steps += [(0, foam_height), (0.002, foam_height + 0.0005)]
    yellow = Material("foam", roughness=0.95, image=foam())
    body = nest(a, b, steps, yellow, 0.007, 4).mapped("x", 0.05)
    green = Material("scouring_pad", roughness=1.0, image=scouring())
    pad_steps = [(i, z + foam_height) for i, z in bevel(d.pad_height, 0.0012, 2)]
    pad = nest(a, b, pad_steps, green, 0.007, 4).mapped("x", 0.04)
    return [part.moved(z=-d.height / 2) for part in (body, pad)]


def scissors(upper: bool) -> list[Part]:
    """One half: ground blade, pin, and a plastic loop; drawn as half A and turned over for half B."""
    d = DIM.SCISSORS
    t, w, long = d.blade_thickness, d.blade_width, d.blade_length
    outline = [(-0.030, -0.002, 0.006), (-0.012, -0.0085, 0.0055), (0.0, -0.0105, w - 0.0105)]
    outline += [(0.012, -0.0104, w - 0.0108), (0.040, -0.0088, 0.0024), (0.070, -0.0058, 0.0014)]
    outline += [(long - 0.006, -0.0030, 0.0006), (long, -0.0014, 0.0)]
    rings = []
    for x, back, edge in curve(outline, 24):
        ground = float(np.clip((x - 0.008) / 0.006, 0, 1))  # the bevel starts in front of the pin
        crown = back + (edge - back) * (1 - 0.42 * ground)
        deep = -t * (1 if x < 0.06 else 1 - 0.5 * (x - 0.06) / (long - 0.06))
        lip = deep * (1 - 0.88 * ground)
        section = [(back, 0), (back, deep + 0.0004), (back + 0.0004, deep), (crown, deep), (edge, lip), (edge, 0)]
        rings.append([(x, y, z) for y, z in section])
    blade = loft(np.array(rings), STEEL, 16).mapped("y", 0.05)
    plastic = Material("handle_plastic", (0.74, 0.05, 0.06), roughness=0.35)
    arm_path = [(-0.013, 0.0002, -0.0030, 0.0058, 0.0026), (-0.024, 0.0026, -0.0034, 0.0060, 0.0031)]
    arm_path += [(-0.040, 0.0068, -0.0030, 0.0056, 0.0040), (-0.054, 0.0105, -0.0014, 0.0060, 0.0050)]
    arm_path += [(-0.066, 0.0150, 0.0, 0.0078, 0.0056), (-0.070, 0.0172, 0.0, 0.0066, 0.0050)]
    arm = sweep(blunt(curve(arm_path, 22), 0.10, 0.08), plastic, 16, 2.6)
    bore = d.loop_outer_radius - 2 * d.loop_tube_radius
    ring, liner = d.loop_outer_radius - 0.0055, bore + 0.0030
    loops = []
    for radius, half_w, half_h, skin in ((ring, 0.0055, d.loop_tube_radius, plastic), (liner, 0.0030, 0.0048, BLACK)):
        circle = oval(radius, radius, 40)
        stations = np.column_stack([circle, np.zeros(40), np.full(40, half_w), np.full(40, half_h)])
        loops.append(sweep(stations, skin, 14, 2.4, wrap=True).moved(d.loop_x, abs(d.loop_y)))
    p = d.pin_radius
    screw = turn([(p, -t), (p, -t - 0.0005), (p - 0.0012, -t - 0.0014), (p / 2, -t - 0.0017)], BRIGHT_STEEL, 24, 30)
    slot = box((-p * 0.8, -0.0005, -t - 0.00175), (p * 0.8, 0.0005, -t - 0.0008), BLACK, 0.0001)
    parts = [blade, arm, *loops, screw, slot]
    return [part.turned() for part in parts] if upper else parts


def pliers(upper: bool) -> list[Part]:
    """One half: toothed jaw, lapped joint with its rivet, and a rubber grip; half B is half A turned over."""
    d = DIM.PLIERS
    long, wide, h = d.jaw_length, d.jaw_width, d.jaw_height / 2
    rings = []
    for x in np.linspace(0.0105, long, 70):
        bite = 0.0003
        if x > 0.031:  # flat gripping teeth, 1.5 mm apart
            bite = 0.0002 + 0.0006 * abs((x / 0.0015) % 1 - 0.5) * 2
        elif x > 0.018:  # the pipe grip
            bite = 0.0003 + 0.0032 * np.sin(np.pi * (x - 0.018) / 0.013) + 0.0007 * abs((x / 0.0022) % 1 - 0.5)
        back = wide - 0.0048 * ((x - 0.0105) / (long - 0.0105)) ** 1.6 - 0.0012 * max(0.0, (x - long + 0.002) / 0.002)
        tall = h - 0.0012 * (x / long) ** 2
        rings.append(lift(rounded((back - bite) / 2, tall, 0.0012, 1) - ((back + bite) / 2, 0), x))
    jaw = loft(np.stack(rings)[..., [2, 0, 1]], STEEL, 28).mapped("x", 0.05)
    lap = d.pin_radius + 0.0035
    disc = turn([(lap, 0), (lap, -0.0048), (lap - 0.0008, -0.0056)], STEEL, 36, 30).mapped("x", 0.05)
    throat_path = [(0.0140, -0.0058, -0.0027, 0.0050, 0.0024), (0.006, -0.0035, -0.0028, 0.0078, 0.0028)]
    throat_path += [(-0.006, 0.0040, -0.0028, 0.0072, 0.0028), (-0.015, 0.0095, -0.0022, 0.0055, 0.0034)]
    throat_path += [(-0.023, 0.0135, -0.0008, 0.0047, 0.0042), (-0.034, d.handle_y, 0, 0.0040, 0.0045)]
    throat = sweep(curve(throat_path, 18), STEEL, 16, 3.5)
    x0, x1, y = d.handle_x + d.handle_length / 2, d.handle_x - d.handle_length / 2, d.handle_y
    w, t = d.handle_width / 2, d.handle_height / 2
    grip_path = [(x0 - 0.006, y - 0.0022, 0, 0.92 * w, 0.92 * t), (x0 - 0.012, y - 0.0004, 0, 1.12 * w, 1.0 * t)]
    grip_path += [(x0 - 0.020, y, 0, 0.90 * w, 0.90 * t), (x0 - 0.045, y + 0.0008, 0, w, t)]
    grip_path += [(x1 + 0.035, y + 0.0008, 0, w, t)]
    grip_path += [(x1 + 0.012, y, 0, 0.92 * w, 0.94 * t), (x1, y - 0.0008, 0, 0.95 * w, 0.95 * t)]
    stations = blunt(curve(grip_path, 72), 0.03, 0.06)
    ribbed = (stations[:, 0] < x0 - 0.028) & (stations[:, 0] > x1 + 0.030)
    stations[:, 3:] *= np.where(ribbed & (np.arange(72) % 3 == 0), 0.84, 1.0)[:, None]
    blue = Material("rubber_grip", (0.05, 0.20, 0.56), roughness=0.55)
    grip = replace(sweep(stations, blue, 16, 2.6), crease=35)
    sleeve = stations[2:8] * (1, 1, 1, 1.03, 1.03)
    p = d.pin_radius * 0.72
    rivet = turn([(p, -0.0050), (p, -0.0060), (p - 0.0010, -0.0068), (p / 2, -0.0072)], BRIGHT_STEEL, 28, 30)
    parts = [jaw, disc, throat, grip, sweep(sleeve, BLACK, 16, 2.6), rivet]
    return [part.turned() for part in parts] if upper else parts


def bar_handle(length: float, radius: float, standoff: float, axis: str, sink: float = 0.0) -> list[Part]:
    """A steel bar along ``axis`` at x = ``standoff``, on posts ``length`` apart that start at x = -``sink``."""
    fall = [(radius * float(np.cos(t)), radius * float(np.sin(t))) for t in np.linspace(0, TAU / 4, 4)]
    profile = [(r, -length / 2 - z) for r, z in reversed(fall)] + [(r, length / 2 + z) for r, z in fall]
    parts = [turn(profile, STEEL, 20, 50).aimed(axis).mapped(axis, 0.12).moved(x=standoff)]
    for at in (-length / 2, length / 2):
        foot = (-sink, at, 0.0) if axis == "y" else (-sink, 0.0, at)
        post = rod(standoff + sink, 0.7 * radius, BRIGHT_STEEL, 16).aimed("x").moved(*foot)
        rose = rod(0.4 * radius, 1.25 * radius, BRIGHT_STEEL, 20).aimed("x").moved(*foot)
        parts += [post, rose]
    return parts


def drawer_pitch() -> float:
    """Height from one drawer front to the next: the fronts share the space between plinth and top panel."""
    d = DIM.CABINET
    return float((d.height - d.wall - d.plinth_height) / d.drawers)


CABINET_PAINT = Material("paint", roughness=0.5, image=brushed(61, (0.47, 0.57, 0.60), 0.008))
OAK = Material("oak", roughness=0.5, image=wood(63, (0.80, 0.62, 0.40), (0.60, 0.41, 0.23), rings=6))
BIRCH = Material("birch", roughness=0.6, image=wood(65, (0.90, 0.80, 0.62), (0.80, 0.66, 0.46), rings=4))


def cabinet_body() -> list[Part]:
    """Painted carcass that frames the inset drawer fronts, rails behind them, recessed plinth, oak top."""
    d = DIM.CABINET
    y, w, back, rail = d.width / 2, d.wall, -d.depth, -d.front_thickness - 0.001
    under, base = d.height - w, d.plinth_height
    panels = [
        box((back, s * (y - w / 2) - w / 2, 0), (0, s * (y - w / 2) + w / 2, under), CABINET_PAINT) for s in (-1, 1)
    ]
    panels.append(box((back, -y + w, base - 0.002), (rail, y - w, base + w), CABINET_PAINT))
    panels.append(box((back, -y + w, base), (back + 0.008, y - w, under), BIRCH))
    panels.append(box((-0.06, -y + w, 0), (-0.045, y - w, base), DARK_STEEL))
    for i in range(1, d.drawers + 1):
        z = base + i * drawer_pitch()
        panels.append(box((rail - 0.05, -y + w, z - 0.018), (rail, y - w, min(z + 0.006, under)), CABINET_PAINT))
    top = box((back, -y, under), (0, y, d.height), OAK, 0.003)
    return [*(part.mapped("z", 0.4) for part in panels), top.mapped("y", 0.4)]


def cabinet_drawer() -> list[Part]:
    """Framed front, open birch box on steel runners, and the bar handle."""
    d = DIM.CABINET
    a, b, t = (d.width - 2 * d.wall - d.front_gap) / 2, (drawer_pitch() - d.front_gap) / 2, d.front_thickness
    frame = [*bevel(t, 0.002), (0.050, t), (0.052, t - 0.001), (0.055, t - 0.005)]
    front = replace(nest(a, b, frame, CABINET_PAINT, 0.002, 1).aimed("x").moved(-t).mapped("y", 0.4), crease=30)
    depth, wall = d.drawer_depth, d.drawer_wall
    half, height = d.width / 2 - d.wall - 0.013, 2 * b - 0.075
    tray = [(0.0, 0.0), (0.0, height), (wall, height), (wall, wall)]
    inside = nest(depth / 2, half, tray, BIRCH).mapped("x", 0.3).moved(-t - depth / 2, 0, -b + 0.030)
    runner = box((-t - depth, -0.0055, -b + 0.07), (-t - 0.01, 0.0055, -b + 0.11), BRIGHT_STEEL)
    runners = [runner.moved(y=s * (half + 0.0055)) for s in (-1, 1)]
    return [front, inside, *runners, *bar_handle(d.handle_length, d.handle_radius, d.handle_standoff, "y", sink=0.005)]


STAINLESS = Material("stainless", metallic=0.45, roughness=0.38, image=brushed(71, (0.74, 0.75, 0.76), 0.010))


def slab(z0: float, z1: float) -> list[Part]:
    """A door leaf in the door frame: stainless skin over a gasket, outer face at ``door_thickness``."""
    d = DIM.FRIDGE
    a, b, mid = d.width / 2 - 0.001, (z1 - z0) / 2, (z0 + z1) / 2
    skin = nest(a, b, bevel(d.door_thickness - 0.008, 0.010, 3), STAINLESS, 0.010, 3).aimed("x").mapped("z", 0.5)
    seal = nest(a - 0.012, b - 0.012, bevel(0.009, 0.001), GASKET, 0.01, 2).aimed("x")
    return [skin.moved(0.008, d.width / 2, mid), seal.moved(0, d.width / 2, mid)]


def fridge_body() -> list[Part]:
    """Shell, lined fridge room with shelves and a crisper, closed freezer front with its own bar, toe kick."""
    d = DIM.FRIDGE
    a, mid, base = d.width / 2, d.height / 2, 0.07
    grey = Material("side_paint", (0.50, 0.51, 0.53), metallic=0.2, roughness=0.5)
    lining = Material("lining", (0.93, 0.94, 0.95), roughness=0.35)
    shell = [(0.0, 0.0), (0.0, d.depth - 0.002), (0.004, d.depth - 0.002), (0.004, 0.004)]
    outer = nest(a, mid - base / 2, shell, grey).aimed("x").moved(-d.depth, 0, mid + base / 2)
    low, high = d.door_bottom - 0.02, d.height - 0.004
    room = [(0.0, 0.004), (0.0, d.depth), (d.wall - 0.004, d.depth), (d.wall - 0.004, d.wall)]
    liner = nest(a - 0.004, (high - low) / 2, room, lining, 0.03, 3).aimed("x").moved(-d.depth, 0, (high + low) / 2)
    filler = box((-d.depth + 0.01, -a + 0.004, base + 0.004), (-0.004, a - 0.004, low), lining)
    inner, back = a - d.wall, -d.depth + d.wall
    glass = Material("shelf_glass", (0.72, 0.84, 0.84), roughness=0.08)
    parts = [outer, liner, filler]
    for z in (0.93, 1.18, 1.43):
        parts.append(box((back, -inner, z), (-0.125, inner, z + 0.006), glass))
        parts.append(box((-0.135, -inner, z - 0.006), (-0.115, inner, z + 0.010), BRIGHT_STEEL, 0.003))
    floor = d.door_bottom - 0.02 + d.wall
    crisper = [(0.02, 0.0), (0.0, 0.17), (0.004, 0.17), (0.022, 0.005)]
    drawer = nest(0.19, inner - 0.01, crisper, Material("crisper", (0.70, 0.78, 0.82), roughness=0.15), 0.02, 2)
    parts += [drawer.moved(-0.34, 0, floor), box((back, -inner, floor + 0.185), (-0.13, inner, floor + 0.192), glass)]
    parts.append(box((-0.158, -0.08, floor + 0.125), (-0.142, 0.08, floor + 0.150), WHITE, 0.004))
    lamp = Material("lamp", (1.0, 0.98, 0.92), roughness=0.3)
    parts.append(box((-0.42, -0.12, d.height - d.wall - 0.012), (-0.20, 0.12, d.height - d.wall + 0.002), lamp, 0.004))
    parts += [part.moved(y=d.hinge_y) for part in slab(d.freezer_bottom, d.freezer_top)]
    handle = bar_handle(d.handle_length, d.handle_radius, d.handle_standoff, "y")
    parts += [part.moved(d.door_thickness, 0, d.freezer_handle_z) for part in handle]
    parts.append(box((-d.depth + 0.02, -a + 0.01, 0.0), (-0.03, a - 0.01, base + 0.002), BLACK))
    parts += [box((-0.032, -a + 0.05, z), (-0.027, a - 0.05, z + 0.006), DARK_STEEL) for z in (0.016, 0.032, 0.048)]
    return parts


def fridge_door() -> list[Part]:
    """Door leaf with bar handle, badge, inner liner and three bins."""
    d = DIM.FRIDGE
    mid, half = (d.door_bottom + d.height) / 2, (d.height - d.door_bottom) / 2
    liner = nest(d.width / 2 - 0.055, half - 0.055, bevel(0.016, 0.006, 2), WHITE, 0.03, 4).aimed("x")
    parts = [*slab(d.door_bottom, d.height), liner.moved(-0.012, d.width / 2, mid)]
    steps = [(0.008, 0.0), (0.0, 0.006), (0.0, 0.085), (0.004, 0.085), (0.006, 0.006)]
    for z in (0.72, 1.06, 1.40):
        tray = nest(0.048, d.width / 2 - 0.075, steps, Material("bin", (0.80, 0.86, 0.89), roughness=0.2), 0.02, 3)
        parts.append(tray.moved(-0.058, d.width / 2, z))
    handle = bar_handle(d.handle_length, d.handle_radius, d.handle_standoff, "z")
    parts += [part.moved(d.door_thickness, d.handle_y, d.handle_z) for part in handle]
    x = d.door_thickness
    return [*parts, box((x - 0.001, 0.31, 1.655), (x + 0.0015, 0.39, 1.672), DARK_STEEL, 0.0008)]


OBJECTS: dict[str, Callable[[], list[Part]]] = {
    "apple": apple,
    "bottle": bottle,
    "board": board,
    "hammer": hammer,
    "sponge": sponge,
    "scissors_a": lambda: scissors(upper=False),
    "scissors_b": lambda: scissors(upper=True),
    "pliers_a": lambda: pliers(upper=False),
    "pliers_b": lambda: pliers(upper=True),
    "cabinet_body": cabinet_body,
    "cabinet_drawer": cabinet_drawer,
    "fridge_body": fridge_body,
    "fridge_door": fridge_door,
}


def to_glb(parts: Sequence[Part]) -> bytes:
    """Join the parts of each material into one mesh and pack them all as a GLB file."""
    scene = trimesh.Scene()
    for name in dict.fromkeys(part.material.name for part in parts):
        group = [part for part in parts if part.material.name == name]
        material = group[0].material
        textured = material.image is not None
        columns = [np.concatenate([part.tri.reshape(-1, 3) for part in group])]
        columns.append(np.concatenate([part.normals() for part in group]))
        if textured:
            columns.append(np.concatenate([part.uv.reshape(-1, 2) for part in group]))
        corners = np.column_stack([np.round(c, p) + 0.0 for c, p in zip(columns, (6, 3, 4), strict=False)])
        unique, index = np.unique(corners, axis=0, return_inverse=True)
        mesh = trimesh.Trimesh(
            unique[:, :3],
            index.reshape(-1, 3),
            vertex_normals=unique[:, 3:6],
            visual=TextureVisuals(uv=unique[:, 6:] if textured else None, material=material.pbr()),
            process=False,
        )
        scene.add_geometry(mesh, geom_name=name, node_name=name)
    return bytes(trimesh.exchange.gltf.export_glb(scene, include_normals=True))


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the benchmark's visual meshes.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a committed file differs")
    check = parser.parse_args().check
    for name, build in OBJECTS.items():
        parts = build()
        path, data = ASSETS / f"{name}.glb", to_glb(parts)
        if not check:
            path.write_bytes(data)
            print(f"{path.name:20} {len(data) / 1000:7.1f} kB {sum(len(p.tri) for p in parts):6} triangles")
        elif not path.exists() or path.read_bytes() != data:
            print(f"{path} differs from what scripts/make_assets.py draws; run the script again.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
