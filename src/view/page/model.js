// The data as a tree of items: leaves (nodes) in groups, with totals, and with runs of identical blocks.

/** Builds everything that is drawn from the page's data. */
function tree(data) {
  const nodes = data.nodes.map((node, index) => ({
    kind: "leaf", index, first: index, last: index, node, key: "n " + node.name, name: node.name, op: node.op,
    text: data.texts[node.text], shape: data.texts[node.shape], params: node.params || 0, macs: node.macs, us: 0,
    lastUse: -1, outputs: [], parent: null, children: null,
  }));
  for (const leaf of nodes) for (const read of leaf.node.reads) nodes[read].lastUse = Math.max(nodes[read].lastUse, leaf.index);
  for (const [name, index] of data.outputs) nodes[index].outputs.push(name);
  if (data.profile) for (const step of data.profile.steps) if (step.node !== null) nodes[step.node].us += step.us;

  const root = { kind: "group", key: "", name: data.name, unit: "", what: "network", count: 0, places: [], children: [], parent: null };
  const groups = data.groups.map(g => ({ kind: "group", name: g.name, unit: g.unit, what: g.kind, count: g.count, places: g.places, children: [], parent: null }));
  const placed = new Set();
  const place = index => {
    const group = groups[index];
    if (placed.has(index)) return group;
    placed.add(index);
    const up = data.groups[index].parent;
    group.parent = up === undefined ? root : place(up);
    group.parent.children.push(group);
    return group;
  };
  for (const leaf of nodes) {
    leaf.parent = leaf.node.group === undefined ? root : place(leaf.node.group);
    leaf.parent.children.push(leaf);
  }
  sum(root);
  const seen = new Map();
  for (const group of groups) {
    // a key that remains the same when the source changes, as long as the surrounding names do
    let key = "g " + path(group);
    const times = seen.get(key) || 0;
    seen.set(key, times + 1);
    group.key = times ? key + " #" + times : key;
    group.shortcut = group.what === "stage" || group.what === "part" ? null : shortcut(group, nodes);
  }
  for (const group of [root, ...groups]) fold(group, nodes);
  // a scope around nearly everything (`features`) is not shown as one part: its contents are
  for (let at = root; at;) {
    at = at.children.find(child => child.what === "scope" && child.leaves > 0.6 * root.leaves);
    if (at) at.whole = true;
  }
  return { data, root, nodes, groups };
}

function sum(group) {
  Object.assign(group, { params: 0, macs: 0, us: 0, leaves: 0 });
  const outside = new Map();
  for (const child of group.children) {
    if (child.kind === "group") sum(child);
    else child.outside = [...new Set(child.node.reads)];
    group.params += child.params;
    group.macs = group.macs === null || child.macs === null ? null : group.macs + child.macs;
    group.us += child.us;
    group.leaves += child.kind === "leaf" ? 1 : child.leaves;
  }
  const children = group.children;
  // the common prefix of all names
  group.scope = children.map(child => child.kind === "leaf" ? child.name.slice(0, Math.max(0, child.name.lastIndexOf("."))) : child.scope).reduce(common);
  group.first = children.length ? children[0].first : 0;
  group.last = children.length ? children[children.length - 1].last : -1;
  group.shape = children.length ? children[children.length - 1].shape : "";
  group.op = "";
  group.lastUse = Math.max(-1, ...children.map(child => child.lastUse));
  for (const child of children) for (const read of child.outside) if (read < group.first) outside.set(read, true);
  group.outside = [...outside.keys()];
}

function common(a, b) {
  const left = a.split("."), right = b.split(".");
  let same = 0;
  while (same < left.length && left[same] === right[same]) same++;
  return left.slice(0, same).join(".");
}

function path(item) {
  const parts = [];
  for (let at = item; at && at.parent; at = at.parent) parts.unshift(at.name || at.unit);
  return parts.join(".");
}

/** The kind of shortcut that a group's last addition adds: its input (identity), zero-padded, or a projection. */
function shortcut(group, nodes) {
  for (let i = group.last; i >= group.first && i > group.last - 4; i--) {
    const leaf = nodes[i];
    if (leaf.op !== "add") continue;
    const kinds = leaf.node.reads.map(read => {
      let layers = 0, moved = false, at = read;
      for (let steps = 0; at >= group.first && steps < 64; steps++) {
        const { op, node } = nodes[at];
        if (op === "conv" || op === "linear") layers++;
        if (op === "pad" || op === "subsample" || op === "avgpool") moved = true;
        if (!node.reads.length) return null;
        at = node.reads[0];
      }
      return at < group.first ? { layers, kind: layers ? "projection" : moved ? "zeros" : "identity" } : null;
    });
    if (kinds.length !== 2 || kinds.includes(null)) return null;
    const [path, short] = kinds[0].layers >= kinds[1].layers ? kinds : [kinds[1], kinds[0]];
    return path.layers > 0 ? short.kind : null;
  }
  return null;
}

/** Three or more consecutive blocks that differ only in their names are folded into one item that shows the first of them. */
function fold(group, nodes) {
  group.folded = group.children;
  if (group.what !== "stage" || group.children.length < 3) return;
  const print = (item, base) => item.kind === "group"
    ? "(" + item.children.map(child => print(child, base)).join(" ") + ")"
    : [item.node.text, item.node.shape, item.params, ...item.node.reads.map(read => read >= base ? read - base : "x")].join();
  const prints = group.children.map(child => child.kind === "group" ? print(child, child.first) : null);
  const list = [];
  for (let i = 0; i < group.children.length;) {
    let end = i + 1;
    while (end < group.children.length && prints[i] !== null && prints[end] === prints[i]) end++;
    if (end - i < 3) {
      list.push(...group.children.slice(i, end));
    } else {
      const identical = group.children.slice(i, end), one = identical[0], last = identical[identical.length - 1];
      const item = {
        kind: "fold", key: one.key + " fold", name: one.name + " … " + last.name, unit: one.unit, what: "fold", count: identical.length,
        places: one.places, children: one.children, identical, parent: group, first: one.first, last: last.last, shape: one.shape,
        outside: [...new Set(identical.flatMap(each => each.outside))].filter(read => read < one.first), lastUse: last.lastUse,
        shortcut: one.shortcut, op: "", params: 0, macs: 0, us: 0, leaves: 0, folded: null,
      };
      for (const each of identical) {
        item.params += each.params;
        item.macs = item.macs === null || each.macs === null ? null : item.macs + each.macs;
        item.us += each.us;
        item.leaves += each.leaves;
      }
      list.push(item);
    }
    i = end;
  }
  group.folded = list;
}

/** The visible items of a group: identical blocks are folded unless the user has unfolded them. */
function shown(group, state) {
  if (group.kind === "fold") return group.identical[0].folded;
  if (!state.folding) return group.children;
  if (group.folded === group.children) return group.children;
  return group.folded.flatMap(item => item.kind === "fold" && state.unfolded.has(item.key) ? item.identical : [item]);
}

function inside(group) {
  // the first of several identical blocks represents all of them
  return group.kind === "fold" ? [group.identical[0].first, group.identical[0].last] : [group.first, group.last];
}

/** The title of a group, shown after its name. */
function title(item) {
  if (item.kind === "leaf") return item.text;
  if (item.kind === "fold") return `${item.count} identical`;
  if (item.what === "stage") return item.unit ? `${item.count} of ${item.unit}` : `${item.count} block${item.count === 1 ? "" : "s"}`;
  if (isUnit(item)) return item.children.map(c => c.op === "conv" || c.op === "linear" ? c.text : c.op).join(" · ");
  return item.unit;
}

/** Whether a group is a single convolution with a few following operators, so that one line describes it. */
function isUnit(item) {
  const layers = item.children.filter(c => c.op === "conv" || c.op === "linear");
  return item.kind === "group" && item.what !== "part" && layers.length === 1 && item.children.length <= 4 && item.children.every(c => c.kind === "leaf");
}

/** Whether a group is open at a level of detail: 0 stages, 1 blocks, 2 layers, 3 everything. */
function opens(item, depth) {
  if (item.kind === "leaf") return false;
  if (item.whole) return true;
  if (depth <= 0) return false;
  if (depth >= 3) return true;
  if (depth === 2) return !isUnit(item);
  return item.what === "stage" || item.what === "part" || (item.what === "scope" && item.children.some(c => c.kind !== "leaf" && !isUnit(c)));
}

/** Layers, and items with long texts, have two lines. */
const isLayer = item => item.kind === "leaf" && item.params > 0 && item.op !== "batchnorm";
const isTall = item => isLayer(item) || (item.kind === "leaf" && (item.text.length > 14 || item.text.length + sizes(item.shape).length > 30));

const isLong = item => isLayer(item) && item.text.length + sizes(item.shape).length > 33;

const sizes = shape => shape.replace(/ x /g, "×");

function about(n) {
  if (n === null || n === undefined) return "free";
  for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (n >= 0.9995 * size) return (n / size).toPrecision(3).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") + " " + unit;
  }
  return String(n);
}

const exact = n => n === null || n === undefined ? "free" : String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009");

const time = us => us >= 1000 ? (us / 1000).toFixed(2) + " ms" : us.toFixed(us < 10 ? 1 : 0) + " µs";

const share = part => part > 0 && part < 0.001 ? "< 0.1 %" : part >= 0.0995 ? (100 * part).toFixed(0) + " %" : (100 * part).toFixed(1) + " %";
