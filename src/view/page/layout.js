// Layout: a chain runs downward along an axis, branches are side by side, and a value that skips part of the chain runs beside
// it. Positions along y are absolute; those along x are relative to the axis until everything is laid out.

const SIZE = { leaf: [276, 24], tall: [276, 44], long: [276, 62], join: [216, 24], group: [316, 44] };
const TIMED = 68;    // extra width of boxes that show times
const GAP = 16;      // between two items of a chain
const FORK = 26;     // where a chain forks or joins
const BESIDE = 22;   // between branches
const LANE = 12;     // between parallel lines
const PAD = 14;      // inside an open group
const HEAD = 44;     // the heading of an open group
const BUMP = 20;     // the shortcut drawn next to a closed block
const LANES = 16;    // maximum number of parallel lines beside an unstructured chain

const SOURCE = -1;

/** Lays out a tree; returns the boxes and lines, and the total size. `sheet` is the height of a printed page, or 0. */
function layout(root, state, sheet) {
  const out = { boxes: [], lines: [], width: 0, height: 0 };
  const body = container(root, state, 0, sheet);
  place(root, body, 0, 0, out);
  let left = 0, right = 0;
  for (const box of out.boxes) {
    left = Math.min(left, box.x);
    right = Math.max(right, box.x + box.w + (box.item.bump && !box.open ? BUMP : 0));
  }
  for (const line of out.lines) left = Math.min(left, line.left), right = Math.max(right, line.right);
  for (const box of out.boxes) box.x -= left, box.axis -= left;
  for (const line of out.lines) {
    for (const point of line.points) point[0] -= left;
  }
  out.width = right - left;
  out.height = body.bottom;
  return out;
}

function isOpen(item, state) {
  return item.kind !== "leaf" && state.open.has(item.key);
}

/** Measures an item with its top at `y`: its extent left and right of the axis, and its height. */
function measure(item, state, y, sheet) {
  item.bump = item.shortcut || null;
  if (!isOpen(item, state)) {
    const [width, h] = item.kind !== "leaf" ? SIZE.group
      : item.op === "add" || item.op === "mul" || item.op === "concat" ? SIZE.join
      : isLong(item) ? SIZE.long : isTall(item) ? SIZE.tall : SIZE.leaf;
    const w = width + (state.timed ? TIMED : 0);
    y = onto(y, h, sheet);
    return { item, y, h, l: w / 2, r: w / 2 + (item.bump ? BUMP : 0), body: null };
  }
  y = onto(y, HEAD + GAP + 44, sheet);
  const body = container(item, state, y + HEAD + GAP, sheet);
  const wide = SIZE.group[0] + (state.timed ? TIMED : 0) + 2 * PAD;
  const l = Math.max(body.l + PAD, wide / 2), r = Math.max(body.r + PAD, wide / 2);
  return { item, y, h: body.bottom + PAD - y, l, r, body };
}

/** Moves `y` to the next sheet if the edge of the current one would cut the item. */
function onto(y, h, sheet) {
  return sheet && h < sheet && Math.floor(y / sheet) !== Math.floor((y + h + 2) / sheet) ? Math.ceil(y / sheet) * sheet + 4 : y;
}

/** Lays out the contents of a group, starting at `top`. */
function container(group, state, top, sheet) {
  const items = shown(group, state);
  const [first, last] = inside(group);
  const at = index => {
    let low = 0, high = items.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (items[mid].first <= index) low = mid; else high = mid - 1;
    }
    return low;
  };
  const sink = items.length;
  const edges = new Map();
  const add = (u, v, main, value) => {
    const key = u * (sink + 2) + v;
    const edge = edges.get(key);
    if (!edge) edges.set(key, { u, v, main, value });
    else edge.main = edge.main || main;
  };
  items.forEach((item, v) => {
    item.outside.forEach((read, slot) => {
      if (read >= first && read <= last) add(at(read), v, slot === 0, read);
      else if (group.parent) add(SOURCE, v, slot === 0, read);
    });
    if (item.lastUse > last) add(v, sink, false, item.last);
  });
  // the last item always leads out of the group, whatever else leaves it before
  if (sink > 0 && group.parent) add(sink - 1, sink, true, last);
  const cx = { items, edges: [...edges.values()], sink, state, sheet, from: [], into: [] };
  for (let i = 0; i <= sink + 1; i++) cx.from.push([]), cx.into.push([]);
  for (const edge of cx.edges) {
    if (edge.u >= 0) cx.from[edge.u].push(edge);
    cx.into[edge.v].push(edge);
  }
  const block = series(cx, items.map((_, i) => i), SOURCE, sink, top);
  return { ...block, cx, top };
}

const empty = top => ({ placed: [], routes: [], l: 0, r: 0, bottom: top });

/** Adds a block to another one, shifted horizontally. */
function take(into, block, dx) {
  for (const p of block.placed) p.dx += dx, into.placed.push(p);
  for (const route of block.routes) {
    if (route.lane !== undefined) route.lane += dx;
    into.routes.push(route);
  }
  into.l = Math.max(into.l, block.l - dx);
  into.r = Math.max(into.r, block.r + dx);
  into.bottom = Math.max(into.bottom, block.bottom);
}

/** Lays out the items between a source and a sink. Items that all paths pass through are placed on the axis, one below the other. */
function series(cx, list, source, sink, top) {
  if (!list.length) return empty(top);
  const position = new Map(list.map((item, i) => [item, i + 1]));
  const end = list.length + 1;
  const place = item => item === source ? 0 : item === sink ? end : position.get(item);
  const passed = new Array(end + 2).fill(0);
  const over = (from, to) => { if (to - from > 1) passed[from + 1]++, passed[to]--; };
  for (const item of list) {
    const here = position.get(item);
    let enters = false, leaves = false;
    for (const edge of cx.into[item]) {
      const from = place(edge.u);
      if (from !== undefined) over(from, here), enters = true;
    }
    for (const edge of cx.from[item]) {
      const to = place(edge.v);
      if (to === undefined) continue;
      leaves = true;
      if (to === end) over(here, end);
    }
    if (!enters) over(0, here);
    if (!leaves) over(here, end);
  }
  const out = empty(top);
  let running = 0, segment = [], before = source;
  const cuts = [];
  for (let i = 1; i < end; i++) {
    running += passed[i];
    if (running === 0) cuts.push(i);
  }
  if (!cuts.length) return chain(cx, list, source, sink, top);
  const cut = new Set(cuts);
  let y = top, started = false;
  for (let i = 1; i <= end; i++) {
    if (i < end && !cut.has(i)) {
      segment.push(list[i - 1]);
      continue;
    }
    const next = i === end ? sink : list[i - 1];
    // the group's heading already leaves room before the first item
    const begin = started ? y : top;
    const block = between(cx, segment, before, next, begin, !started);
    take(out, block, 0);
    if (i < end) {
      const gap = started || segment.length ? (block.forks ? FORK : GAP) : 0;
      const item = measure(cx.items[next], cx.state, block.bottom + gap, cx.sheet);
      item.dx = 0;
      out.placed.push({ ...item, index: next });
      out.l = Math.max(out.l, item.l);
      out.r = Math.max(out.r, item.r);
      y = out.bottom = item.y + item.h;
      started = true;
    }
    segment = [];
    before = next;
  }
  return out;
}

/** Lays out what is between two items of a chain: no branch, one, or several; and possibly a direct line. */
function between(cx, segment, a, b, top, first) {
  const straight = cx.into[b] && cx.into[b].find(edge => edge.u === a);
  const out = empty(top);
  if (!segment.length) {
    if (straight) out.routes.push({ edge: straight, how: "straight" });
    return out;
  }
  const arms = components(cx, segment);
  const forks = arms.length + (straight ? 1 : 0) > 1;
  out.forks = forks;
  const begin = top + (first ? (forks ? FORK - GAP : 0) : forks ? FORK : GAP);
  const target = b < cx.items.length ? cx.items[b] : null;
  const main = mainArm(cx, arms, straight, target, b);
  const blocks = arms.map(arm => series(cx, arm, a, b, begin));
  if (main === "line") {
    // the value itself goes straight down, with the branches beside it
    let x = 0, l = 12;
    for (const block of blocks) {
      x += l + BESIDE + block.l;
      side(block, a, b, true);
      take(out, block, x);
      l = block.r;
    }
    out.l = Math.max(out.l, 12);
    out.routes.push({ edge: straight, how: "straight" });
  } else {
    if (arms.length > 2) {
      const whole = blocks.reduce((sum, block) => sum + block.l + block.r, (blocks.length - 1) * BESIDE);
      let x = -whole / 2;
      for (const block of blocks) {
        x += block.l;
        side(block, a, b, false);
        take(out, block, x);
        x += block.r + BESIDE;
      }
    } else {
      take(out, blocks[main], 0);
      for (let i = 0; i < blocks.length; i++) {
        if (i === main) continue;
        side(blocks[i], a, b, true);
        take(out, blocks[i], out.r + BESIDE + blocks[i].l);
      }
    }
    if (straight) {
      out.r += LANE + 4;
      out.routes.push({ edge: straight, how: "beside", lane: out.r });
    }
  }
  return out;
}

/** Sets how the lines of a branch beside the axis join the next item: narrow additions from the side, others from above. */
function side(block, a, b, beside) {
  for (const route of block.routes) {
    if (route.edge.v === b && route.how === "straight") route.join = beside ? "side" : "top";
    if (route.edge.v === b && route.how === "beside") route.join = beside ? "side" : "top";
  }
}

/** The branch on the axis: for an addition the one with the most layers, otherwise that of the first operand. */
function mainArm(cx, arms, straight, target, b) {
  const layers = arms.map(arm => arm.reduce((n, i) => n + cx.items[i].last - cx.items[i].first + 1, 0));
  const most = layers.indexOf(Math.max(...layers));
  if (!target || target.op === "add" || target.kind !== "leaf") return most;
  if (straight && straight.main) return "line";
  const first = cx.into[b].find(edge => edge.main);
  const arm = first ? arms.findIndex(arm => arm.includes(first.u)) : -1;
  return arm < 0 ? most : arm;
}

/** Connected components of the items, in the order of their first items. */
function components(cx, list) {
  const own = new Set(list), seen = new Set(), out = [];
  for (const start of list) {
    if (seen.has(start)) continue;
    const group = [], todo = [start];
    seen.add(start);
    while (todo.length) {
      const item = todo.pop();
      group.push(item);
      const next = [...cx.into[item].map(e => e.u), ...cx.from[item].map(e => e.v)];
      for (const other of next) if (own.has(other) && !seen.has(other)) seen.add(other), todo.push(other);
    }
    out.push(group.sort((a, b) => a - b));
  }
  return out;
}

/** Fallback: items in execution order, one below the other, with lines beside them for edges between non-neighbors. */
function chain(cx, list, source, sink, top) {
  const out = empty(top);
  let y = top;
  const order = [source, ...list, sink];
  const position = new Map(order.map((item, i) => [item, i]));
  list.forEach((index, i) => {
    const item = measure(cx.items[index], cx.state, i ? y + GAP : y, cx.sheet);
    item.dx = 0;
    out.placed.push({ ...item, index });
    out.l = Math.max(out.l, item.l);
    out.r = Math.max(out.r, item.r);
    y = item.y + item.h;
  });
  out.bottom = y;
  // the lines of a value share a lane, which is occupied from its item to its last user
  const reach = new Map();
  for (const item of list) {
    for (const edge of [...cx.into[item], ...cx.from[item].filter(e => e.v === sink)]) {
      const from = position.get(edge.u), to = position.get(edge.v);
      if (from === undefined || to === undefined) continue;
      if (to === from + 1) out.routes.push({ edge, how: "straight" });
      else reach.set(from, [...(reach.get(from) || []), edge]);
    }
  }
  const free = [];
  let most = 0;
  for (const [from, edges] of [...reach].sort((a, b) => a[0] - b[0])) {
    const to = Math.max(...edges.map(e => position.get(e.v)));
    let lane = free.findIndex(until => until <= from);
    if (lane < 0) lane = free.length < LANES ? free.length : from % LANES;
    free[lane] = to;
    most = Math.max(most, lane + 1);
    for (const edge of edges) out.routes.push({ edge, how: "beside", lane: out.r + (lane + 1) * LANE });
  }
  out.r += most * LANE + (most ? 4 : 0);
  return out;
}

/** Converts a layout to boxes and lines, with its axis at `x`. */
function place(group, body, x, depth, out) {
  const cx = body.cx;
  const at = new Map();
  for (const p of body.placed) {
    const box = { item: p.item, x: x + p.dx - p.l, y: p.y, w: p.l + p.r - (p.item.bump && !p.body ? BUMP : 0), h: p.h, axis: x + p.dx, open: !!p.body, depth };
    out.boxes.push(box);
    at.set(p.index, box);
    if (p.body) {
      place(p.item, p.body, box.axis, depth + 1, out);
    }
  }
  const entry = { axis: x, y: body.top - GAP, h: 0, x, w: 0, port: true };
  const exit = { axis: x, y: body.bottom + PAD, h: 0, x, w: 0, port: true };
  for (const { edge, how, lane, join } of body.routes) {
    const a = edge.u === SOURCE ? entry : at.get(edge.u), b = edge.v === cx.sink ? exit : at.get(edge.v);
    if (!a || !b) continue;
    out.lines.push(route(a, b, how, lane === undefined ? undefined : x + lane, join, edge));
  }
}

/** The line from one box to another. */
function route(a, b, how, lane, join, edge) {
  const from = a.y + a.h, to = b.y;
  const narrow = !b.port && !b.open && b.item.kind === "leaf";
  let points;
  const leave = from + (a.port ? 2 : 8);
  if (how === "beside") {
    const x = Math.max(lane, narrow ? b.x + b.w + 10 : lane);
    points = narrow && x > b.x + b.w
      ? [[a.axis, from], [a.axis, leave], [x, leave], [x, b.y + b.h / 2], [b.x + b.w, b.y + b.h / 2]]
      : [[a.axis, from], [a.axis, leave], [x, leave], [x, to - 8], [b.axis, to - 8], [b.axis, to]];
  } else if (Math.abs(a.axis - b.axis) < 1) {
    points = [[a.axis, from], [b.axis, to]];
  } else if (join === "side" && narrow && a.axis > b.x + b.w + 6) {
    points = [[a.axis, from], [a.axis, b.y + b.h / 2], [b.x + b.w, b.y + b.h / 2]];
  } else if (join) {
    points = [[a.axis, from], [a.axis, to - 13], [b.axis, to - 13], [b.axis, to]];
  } else {
    points = [[a.axis, from], [a.axis, from + (a.port ? 4 : 13)], [b.axis, from + (a.port ? 4 : 13)], [b.axis, to]];
  }
  const xs = points.map(p => p[0]), ys = points.map(p => p[1]);
  return {
    points, edge, how, arrow: !b.port, left: Math.min(...xs), right: Math.max(...xs) + 2, top: Math.min(...ys), bottom: Math.max(...ys),
    from: a.item || null, to: b.item || null,
  };
}
