// The drawing: boxes are focusable elements, with the lines as one SVG below them. For large graphs, only the part near the
// window is in the document.

const SVG = "http://www.w3.org/2000/svg";
const MANY = 900;       // above this number of boxes, only those near the window are created
const NEAR = 900;       // distance from the window, in pixels

function element(name, className, text) {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function vector(name, attributes) {
  const e = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

/** A line with rounded corners. */
function outline(points) {
  const list = points.filter((p, i) => !i || Math.abs(p[0] - points[i - 1][0]) + Math.abs(p[1] - points[i - 1][1]) > 0.1);
  let d = `M${list[0][0]} ${list[0][1]}`;
  for (let i = 1; i < list.length; i++) {
    const [x, y] = list[i], [px, py] = list[i - 1];
    if (i === list.length - 1) { d += `L${x} ${y}`; break; }
    const [nx, ny] = list[i + 1];
    const before = Math.hypot(x - px, y - py), after = Math.hypot(nx - x, ny - y);
    const round = Math.min(10, before / 2, after / 2);
    const at = (ax, ay, length) => [x + (ax - x) * round / length, y + (ay - y) * round / length];
    const [sx, sy] = at(px, py, before), [ex, ey] = at(nx, ny, after);
    d += `L${sx} ${sy}Q${x} ${y} ${ex} ${ey}`;
  }
  return d;
}

class Drawing {
  constructor(pane, canvas, view) {
    Object.assign(this, { pane, canvas, view, made: new Map(), boxes: [], lines: [], scale: 1 });
    this.svg = vector("svg", { "aria-hidden": "true" });
    pane.addEventListener("scroll", () => this.later(), { passive: true });
    addEventListener("resize", () => this.later());
  }

  later() {
    if (this.waiting || this.boxes.length <= MANY) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.fill(); });
  }

  /** Shows a layout, from scratch. */
  show(laid) {
    this.boxes = laid.boxes;
    this.lines = laid.lines;
    this.width = laid.width;
    this.height = laid.height;
    this.by = new Map(laid.boxes.map(box => [box.item.key, box]));
    this.canvas.replaceChildren(this.svg);
    this.svg.replaceChildren();
    this.svg.setAttribute("width", laid.width);
    this.svg.setAttribute("height", laid.height);
    this.made.clear();
    for (const line of this.lines) line.drawn = null;
    this.zoom(this.scale);
  }

  zoom(scale) {
    this.scale = scale;
    const { canvas } = this;
    canvas.style.width = this.width + "px";
    canvas.style.height = this.height + "px";
    canvas.style.zoom = scale;
    this.fill();
  }

  /** Creates what is near the window, and removes the rest. */
  fill() {
    const all = this.boxes.length <= MANY || this.view.printing;
    const origin = this.canvas.offsetTop;
    const top = all ? -Infinity : this.pane.scrollTop / this.scale - origin - NEAR;
    const bottom = all ? Infinity : (this.pane.scrollTop + this.pane.clientHeight) / this.scale - origin + NEAR;
    for (const [key, elements] of this.made) {
      const box = this.by.get(key);
      if (box.y + box.h < top || box.y > bottom) {
        if (elements.some(e => e === document.activeElement)) continue;
        for (const e of elements) e.remove();
        this.made.delete(key);
      }
    }
    const fresh = document.createDocumentFragment();
    for (const box of this.boxes) {
      if (this.made.has(box.item.key) || box.y + box.h < top || box.y > bottom) continue;
      const elements = this.view.make(box);
      this.made.set(box.item.key, elements);
      fresh.append(...elements);
    }
    this.canvas.append(fresh);
    // in graph order, for keyboard navigation and screen readers
    if (!all) this.sort();
    for (const line of this.lines) {
      const seen = line.bottom >= top && line.top <= bottom;
      if (seen && !line.drawn) this.draw(line);
      if (!seen && line.drawn) { for (const e of line.drawn) e.remove(); line.drawn = null; }
    }
    this.view.paint();
  }

  sort() {
    const order = new Map(this.boxes.map((box, i) => [box.item.key, i]));
    const list = [...this.made].sort((a, b) => order.get(a[0]) - order.get(b[0])).flatMap(([, elements]) => elements);
    let at = this.svg;
    for (const e of list) {
      if (at.nextSibling !== e) at.after(e);
      at = e;
    }
  }

  draw(line) {
    const kind = line.short ? " short " + line.short : "";
    const path = vector("path", { class: "wire" + kind, d: outline(line.points) });
    line.drawn = [path];
    if (line.arrow) {
      const [x, y] = line.points[line.points.length - 1], [px] = line.points[line.points.length - 2];
      const d = Math.abs(px - x) > 0.5 ? `M${x} ${y}l6 -3.5v7z` : `M${x} ${y}l-3.5 -6h7z`;
      line.drawn.push(vector("path", { class: "tip" + kind, d }));
    }
    this.svg.append(...line.drawn);
  }

  element(key) {
    const elements = this.made.get(key);
    return elements ? elements[elements.length - 1] : null;
  }

  /** Scrolls to an item and creates its element. */
  reach(key, gently) {
    const box = this.by.get(key);
    if (!box) return null;
    const top = (box.y + this.canvas.offsetTop) * this.scale, height = Math.min(box.h, 60) * this.scale;
    const { pane } = this;
    if (top < pane.scrollTop + 8 || top + height > pane.scrollTop + pane.clientHeight - 8) {
      pane.scrollTop = gently ? top - 40 : top - pane.clientHeight / 3;
    }
    const left = (box.x + this.canvas.offsetLeft) * this.scale;
    if (left < pane.scrollLeft || left + 40 > pane.scrollLeft + pane.clientWidth) pane.scrollLeft = left - 40;
    this.fill();
    return this.element(key);
  }
}

/** Finds the lines of shortcuts: beside the chain into an addition, and along the path of a projection or zero padding. */
function shorts(laid) {
  for (const line of laid.lines) {
    line.short = "";
    if (line.to && line.to.op === "add" && line.how === "beside") line.short = "identity";
  }
  // an arm beside the axis that ends in an addition, back to the fork
  const into = new Map();
  for (const line of laid.lines) if (line.to) into.set(line.to.key, [...(into.get(line.to.key) || []), line]);
  for (const line of laid.lines) {
    if (!line.to || line.to.op !== "add" || line.how === "beside" || line.points.length < 3) continue;
    const trail = [line];
    let at = line.from, zeros = true;
    while (at) {
      if (at.op === "conv" || at.op === "linear" || at.kind !== "leaf") zeros = false;
      const lines = into.get(at.key) || [];
      if (lines.length !== 1) break;
      trail.push(lines[0]);
      if (lines[0].points.length > 2) break;
      at = lines[0].from;
    }
    for (const each of trail) each.short = zeros ? "zeros" : "projection";
  }
}
