// Replays a recorded episode on a canvas. Lengths in the trace are 0.1 mm, quaternions 1e-4; here metres and ones.
"use strict";
(() => {
  const canvas = document.querySelector("canvas.replay");
  if (!canvas) return;
  const trace = JSON.parse(document.getElementById("trace").textContent);
  const UNIT = 1e-4;
  const NEAR = 0.03; // metres before the eye from which on things are drawn
  const metres = (point) => point.map((value) => value * UNIT);
  const pen = canvas.getContext("2d");
  const scrubber = document.querySelector("input[name=frame]");
  const button = document.querySelector("button[name=play]");
  const said = document.querySelector("output.state");
  const last = trace.frames.length - 1;

  const bodies = trace.bodies.map((body) => ({ ...body, vertices: body.vertices.map(metres) }));
  const frames = trace.frames.map((frame) => ({
    ...frame,
    keypoints: frame.keypoints.map(metres),
    planned: frame.planned.map(metres),
    tips: frame.tips.map(metres),
    poses: frame.poses.map(metres),
  }));

  // ---- where one looks from: around a point, by two angles and a distance
  const target = metres(trace.target);
  const eye = metres(trace.eye);
  const away = eye.map((value, axis) => value - target[axis]);
  const start = {
    distance: Math.hypot(...away),
    yaw: Math.atan2(away[1], away[0]),
    pitch: Math.asin(away[2] / (Math.hypot(...away) || 1)),
  };
  const view = { ...start };
  let width = 1;
  let height = 1;
  let axes = [];
  let from = eye;

  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  const unit = (a) => {
    const length = Math.hypot(...a) || 1;
    return a.map((value) => value / length);
  };

  const aim = () => {
    view.pitch = Math.min(1.5, Math.max(-0.2, view.pitch));
    view.distance = Math.min(6 * start.distance, Math.max(0.15 * start.distance, view.distance));
    const flat = Math.cos(view.pitch);
    const back = [flat * Math.cos(view.yaw), flat * Math.sin(view.yaw), Math.sin(view.pitch)];
    from = target.map((value, axis) => value + view.distance * back[axis]);
    const forward = back.map((value) => -value);
    const right = unit(cross(forward, [0, 0, 1]));
    axes = [right, cross(right, forward), forward];
  };
  const seen = (point) => {
    const at = minus(point, from);
    return [dot(axes[0], at), dot(axes[1], at), dot(axes[2], at)];
  };
  const onPage = (at) => {
    const scale = (1.15 * Math.min(width, height * 1.3)) / at[2];
    return [width / 2 + scale * at[0], height / 2 - scale * at[1]];
  };
  const placed = (pose) => {
    const [x, y, z, w, i, j, k] = pose;
    const rows = [
      [1 - 2 * (j * j + k * k), 2 * (i * j - k * w), 2 * (i * k + j * w)],
      [2 * (i * j + k * w), 1 - 2 * (i * i + k * k), 2 * (j * k - i * w)],
      [2 * (i * k - j * w), 2 * (j * k + i * w), 1 - 2 * (i * i + j * j)],
    ];
    return (point) => [dot(rows[0], point) + x, dot(rows[1], point) + y, dot(rows[2], point) + z];
  };

  // ---- colours, from the style sheet, so that light and dark need no second place
  let colours = {};
  const paint = () => {
    const style = getComputedStyle(canvas);
    for (const name of ["hand", "object", "scene", "planned", "tracked", "lost", "ink"])
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    colours.rgb = {};
    for (const name of ["hand", "object", "scene"])
      colours.rgb[name] = [1, 3, 5].map((place) => parseInt(colours[name].slice(place, place + 2), 16));
  };

  const light = unit([0.4, -0.5, 0.8]);
  const facesOf = (frame, kinds) => {
    const found = [];
    bodies.forEach((body, number) => {
      if (!kinds.includes(body.kind)) return;
      const world = body.vertices.map(placed(frame.poses[number]));
      const looked = world.map(seen);
      for (const face of body.faces) {
        if (face.some((vertex) => looked[vertex][2] < NEAR)) continue;
        const normal = unit(cross(minus(world[face[1]], world[face[0]]), minus(world[face[2]], world[face[0]])));
        // the scene's outside only: its large faces would be drawn in the wrong order otherwise
        if (body.kind === "scene" && dot(normal, minus(from, world[face[0]])) <= 0) continue;
        const shade = 0.62 + 0.38 * Math.abs(dot(normal, light));
        const depth = face.reduce((sum, vertex) => sum + looked[vertex][2], 0) / face.length;
        // what lies flat in the scene hides what is below it, however large its faces are
        const flat = body.kind === "scene" && normal[2] > 0.95;
        const layer = flat ? 1000 + world[face[0]][2] : -depth;
        found.push({ layer, shade, kind: body.kind, corners: face.map((vertex) => onPage(looked[vertex])) });
      }
    });
    return found.sort((a, b) => a.layer - b.layer);
  };
  const drawFaces = (faces) => {
    pen.lineWidth = 0.7;
    for (const { corners, shade, kind } of faces) {
      pen.fillStyle = pen.strokeStyle = `rgb(${colours.rgb[kind].map((value) => Math.round(value * shade)).join(" ")})`;
      pen.beginPath();
      corners.forEach(([x, y], place) => (place ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.fill();
      pen.stroke();
    }
  };
  const mark = (point, radius, colour, hollow) => {
    const at = seen(point);
    if (at[2] < NEAR) return;
    const [x, y] = onPage(at);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.lineWidth = 2;
    if (hollow) pen.strokeStyle = colour;
    else pen.fillStyle = colour;
    if (hollow) pen.stroke();
    else pen.fill();
  };
  const line = (points, colour, thickness) => {
    pen.beginPath();
    let drawing = false;
    for (const point of points) {
      const at = seen(point);
      if (at[2] < NEAR) {
        drawing = false;
        continue;
      }
      const [x, y] = onPage(at);
      if (drawing) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      drawing = true;
    }
    pen.strokeStyle = colour;
    pen.lineWidth = thickness;
    pen.stroke();
  };

  let time = 0; // frames, with a fraction
  let playing = false;
  let before = 0;
  let waiting = false;

  const errorOf = (frame) =>
    Math.max(...frame.keypoints.map((point, place) => Math.hypot(...minus(point, frame.planned[place]))));

  const draw = () => {
    const now = Math.min(last, Math.floor(time));
    const frame = frames[now];
    aim();
    pen.clearRect(0, 0, width, height);
    drawFaces(facesOf(frame, ["scene"])); // behind everything, so that its large faces need no exact order
    drawFaces(facesOf(frame, ["object", "hand"]));
    const limit = trace.threshold * UNIT;
    for (let place = 0; place < trace.keypoint_names.length; place++) {
      frames.forEach((one, number) => {
        if (number > now && number % 2 === 0) mark(one.planned[place], 1.8, colours.planned);
      });
      line(frames.slice(0, now + 1).map((one) => one.keypoints[place]), colours.tracked, 2);
      const off = Math.hypot(...minus(frame.keypoints[place], frame.planned[place])) > limit;
      line([frame.keypoints[place], frame.planned[place]], off ? colours.lost : colours.ink, 1.5);
      mark(frame.planned[place], 6, colours.planned, true);
      mark(frame.keypoints[place], 4.5, off ? colours.lost : colours.tracked);
    }
    for (const tip of frame.tips) mark(tip, 2.5, colours.ink);
    scrubber.value = String(now);
    const words = `${(now * trace.seconds).toFixed(2)} s, keypoints off by ${(100 * errorOf(frame)).toFixed(1)} cm`;
    said.value = frame.solved ? `${words}, solved` : words;
    scrubber.setAttribute("aria-valuetext", said.value);
  };

  const tick = (moment) => {
    waiting = false;
    if (playing) {
      // the first frame's moment may lie before the click
      time += Math.min(0.1, Math.max(0, moment - before) / 1000) / trace.seconds;
      before = moment;
      if (time >= last) {
        time = last;
        play(false);
      }
    }
    draw();
    if (playing) ask();
  };
  const ask = () => {
    if (!waiting) requestAnimationFrame(tick);
    waiting = true;
  };
  const play = (wanted) => {
    if (wanted && time >= last) time = 0;
    playing = wanted;
    before = performance.now();
    button.textContent = playing ? "Pause" : "Play";
    ask();
  };
  const seek = (frame) => {
    time = Math.min(last, Math.max(0, frame));
    ask();
  };

  button.addEventListener("click", () => play(!playing));
  scrubber.max = String(last);
  scrubber.addEventListener("input", () => {
    play(false);
    seek(Number(scrubber.value));
  });
  document.querySelector("button[name=view]").addEventListener("click", () => {
    Object.assign(view, start);
    ask();
  });

  const keys = {
    ArrowLeft: () => (view.yaw -= 0.1),
    ArrowRight: () => (view.yaw += 0.1),
    ArrowUp: () => (view.pitch += 0.08),
    ArrowDown: () => (view.pitch -= 0.08),
    "+": () => (view.distance /= 1.15),
    "=": () => (view.distance /= 1.15),
    "-": () => (view.distance *= 1.15),
    ",": () => seek(Math.floor(time) - 1),
    ".": () => seek(Math.floor(time) + 1),
    Home: () => seek(0),
    End: () => seek(last),
    " ": () => play(!playing),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
    ask();
  });

  const pointers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const was = pointers.get(event.pointerId);
    if (!was) return;
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    };
    const apart = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.size === 2) view.distance *= apart / spread();
    else {
      view.yaw -= (event.clientX - was[0]) * 0.008;
      view.pitch += (event.clientY - was[1]) * 0.006;
    }
    ask();
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls unless one works here
      event.preventDefault();
      view.distance *= Math.exp(0.001 * event.deltaY);
      ask();
    },
    { passive: false },
  );

  new ResizeObserver(() => {
    const box = canvas.getBoundingClientRect();
    const fine = Math.min(2, devicePixelRatio || 1);
    [width, height] = [Math.max(1, box.width), Math.max(1, box.height)];
    [canvas.width, canvas.height] = [Math.round(width * fine), Math.round(height * fine)];
    pen.setTransform(fine, 0, 0, fine, 0, 0);
    ask();
  }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    paint();
    ask();
  });
  paint();
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
})();
