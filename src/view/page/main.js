// The page: its state, keyboard and mouse input, and change events from the server if there is one.

const FEW = 56;         // maximum number of boxes to show initially

class View {
  constructor() {
    const $ = id => document.getElementById(id);
    this.state = { open: new Set(), unfolded: new Set(), folding: true };
    this.depth = null;
    this.measure = null;
    this.drawing = new Drawing($("graph"), $("canvas"), this);
    this.source = new Source(this);
    this.items = new Map();
    this.chosen = null;
    this.line = null;
    // until the user changes the size
    this.fitted = true;
    $("folding").addEventListener("change", e => { this.state.folding = e.target.checked; this.draw(); });
    $("measure").addEventListener("change", e => { this.measure = e.target.value; this.draw(); });
    $("find").addEventListener("input", () => this.find(0));
    $("find").addEventListener("keydown", e => {
      if (e.key === "Enter") { e.preventDefault(); this.find(e.shiftKey ? -1 : 1); }
      if (e.key === "Escape") { e.target.value = ""; this.find(0); e.target.blur(); }
    });
    $("smaller").addEventListener("click", () => this.resize(1 / 1.2));
    $("larger").addEventListener("click", () => this.resize(1.2));
    $("fit").addEventListener("click", () => this.fit());
    $("canvas").addEventListener("keydown", e => this.key(e));
    $("text").addEventListener("keydown", e => this.keyInSource(e));
    addEventListener("keydown", e => {
      if (e.ctrlKey || e.metaKey || e.altKey || /INPUT|SELECT/.test(e.target.tagName)) return;
      if (e.key === "/") { e.preventDefault(); $("find").focus(); $("find").select(); }
      if (e.key === "+") this.resize(1.2);
      if (e.key === "-") this.resize(1 / 1.2);
      if (e.key === "0") this.fit();
      if (e.key === "Escape") { this.chosen = this.line = null; this.refresh(); }
    });
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
  }

  /** Shows new data. Open groups, the selection and the scroll position are kept where names have not changed. */
  apply(data) {
    const $ = id => document.getElementById(id);
    const broken = data.error !== undefined;
    $("error").hidden = !broken;
    $("canvas").hidden = broken;
    document.title = data.name + (broken ? " (errors)" : "");
    $("name").textContent = data.name;
    for (const e of document.querySelectorAll(".controls button, .controls input, .controls select")) e.disabled = broken;
    if (broken) {
      $("error").textContent = data.error;
      $("totals").textContent = "does not compile";
      $("shares").hidden = true;
      $("about").hidden = true;
      this.tree = null;
      this.source.show(data.sources, [], 0);
      return;
    }
    $("about").hidden = false;
    const first = this.depth === null;
    const scroll = $("graph").scrollTop, known = new Set(this.items.keys());
    this.tree = tree(data);
    this.state.timed = !!data.profile;
    this.parts = parts(this.tree.root);
    this.items = new Map();
    this.walk(this.tree.root, item => this.items.set(item.key, item));
    const { layers, params, macs } = data.totals;
    $("totals").textContent = [`${layers} layers`, `${exact(params)} parameters`, macs === null ? "" : `${exact(macs)} multiply-adds`,
      data.profile ? `${data.profile.median_ms.toFixed(2)} ms` : "", data.file].filter(Boolean).join(" · ");
    this.measures();
    this.levels();
    if (first) this.open(this.start());
    else this.walk(this.tree.root, item => { if (!known.has(item.key) && opens(item, this.depth)) this.state.open.add(item.key); });
    if (this.chosen && !this.items.has(this.chosen)) this.chosen = null;
    this.line = null;
    const file = this.source.at;
    drawShares(this);
    // the layers of a derived network are in the file of its base network
    const begin = data.nodes.length ? data.nodes[0].place : undefined;
    this.source.show(data.sources, data.places, begin === undefined ? 0 : data.places[begin].file);
    if (!first && file !== null && file < data.sources.length) this.source.open(file);
    this.draw(first);
    if (!first) $("graph").scrollTop = scroll;
  }

  walk(item, visit) {
    for (const child of item.children) {
      visit(child);
      if (child.kind === "group") this.walk(child, visit);
    }
    for (const child of item.folded || []) if (child.kind === "fold") visit(child);
  }

  measures() {
    const select = document.getElementById("measure");
    const list = MEASURES.filter(([key]) => this.tree.root[key]);
    if (!this.measure || !list.some(([key]) => key === this.measure)) {
      this.measure = list.length ? list[list.length - 1][0] : "params";
    }
    select.replaceChildren(...list.map(([key, word]) => Object.assign(element("option", "", word), { value: key, selected: key === this.measure })));
    // bars compare an item with the largest one of its kind
    const most = { leaf: 0, group: 0 };
    this.walk(this.tree.root, item => {
      const kind = item.kind === "leaf" ? "leaf" : "group";
      if (item.kind !== "leaf" && item.parent === this.tree.root && item.what === "stage") return;
      most[kind] = Math.max(most[kind], item[this.measure] || 0);
    });
    this.most = most;
  }

  /** Offers the levels of detail that differ from the previous one. */
  levels() {
    const box = document.getElementById("levels");
    const counts = [0, 1, 2, 3].map(depth => this.count(this.tree.root, depth));
    const words = [this.tree.groups.some(g => g.what === "stage") ? "stages" : "parts", "blocks", "layers", "all"];
    this.offered = [0, 1, 2, 3].filter(depth => depth === 0 || counts[depth] !== counts[depth - 1]);
    box.replaceChildren(...this.offered.map(depth => {
      const button = element("button", "", words[depth]);
      button.dataset.depth = depth;
      button.title = `${counts[depth]} boxes`;
      button.addEventListener("click", () => { this.open(depth); this.draw(true); });
      return button;
    }));
    box.hidden = this.offered.length < 2;
    this.counts = counts;
  }

  count(group, depth) {
    return shown(group, this.state).reduce((n, item) => n + 1 + (opens(item, depth) ? this.count(item, depth) : 0), 0);
  }

  /** The initial level of detail: the highest one with few enough boxes. */
  start() {
    const fitting = this.offered.filter(depth => this.counts[depth] <= (depth < 3 ? FEW : FEW / 2));
    return fitting.length ? fitting[fitting.length - 1] : 0;
  }

  open(depth) {
    this.depth = depth;
    this.state.open.clear();
    this.walk(this.tree.root, item => { if (opens(item, depth)) this.state.open.add(item.key); });
  }

  draw(first) {
    if (!this.tree) return;
    this.measures();
    const laid = layout(this.tree.root, this.state, this.printing ? this.sheet : 0);
    shorts(laid);
    this.drawing.show(laid);
    if (first && this.fitted) this.fit();
    for (const button of document.getElementById("levels").children) button.setAttribute("aria-pressed", String(Number(button.dataset.depth) === this.depth));
    this.refresh();
  }

  zoom(scale) {
    const { pane } = this.drawing, middle = (pane.scrollTop + pane.clientHeight / 2) / this.drawing.scale;
    this.drawing.zoom(Math.min(2, Math.max(0.25, scale)));
    pane.scrollTop = middle * this.drawing.scale - pane.clientHeight / 2;
  }

  resize(by) {
    this.fitted = false;
    this.zoom(this.drawing.scale * by);
  }

  fit() {
    this.fitted = true;
    this.zoom(Math.min(1, Math.max(0.45, (this.drawing.pane.clientWidth - 44) / (this.drawing.width + 8))));
  }

  /** Creates the elements of a box. */
  make(box) {
    const { item } = box, leaf = item.kind === "leaf";
    const layer = isLayer(item);
    const elements = [];
    const set = (e, x, y, w, h) => Object.assign(e.style, { left: x + "px", top: y + "px", width: w + "px", height: h + "px" });
    const tint = e => e.style.setProperty("--c", `var(--c${item.color || 0})`);
    if (box.open) {
      const frame = element("div", "box frame");
      frame.setAttribute("aria-hidden", "true");
      set(frame, box.x, box.y, box.w, box.h);
      tint(frame);
      elements.push(frame);
    }
    const join = item.op === "add" || item.op === "mul" || item.op === "concat";
    const e = element("div", "box " + (box.open ? "head" : leaf ? "leaf" + (layer ? " layer" : "") + (join ? " join" : "") : "closed" + (item.kind === "fold" ? " fold" : "")));
    set(e, box.x, box.y, box.w, box.open ? HEAD : box.h);
    tint(e);
    e.dataset.key = item.key;
    e.tabIndex = -1;
    e.setAttribute("role", "treeitem");
    e.setAttribute("aria-level", box.depth + 1);
    if (!leaf) e.setAttribute("aria-expanded", String(box.open));
    this.label(e, item, box.open);
    e.addEventListener("click", () => this.click(item, box.open));
    if (!leaf && !box.open && item.bump) this.bump(box, elements);
    const part = this.most[leaf ? "leaf" : "group"] ? (item[this.measure] || 0) / this.most[leaf ? "leaf" : "group"] : 0;
    if (part > 0 && !box.open) {
      const fill = element("span", "fill");
      fill.style.width = Math.max(1, 100 * Math.min(1, part)) + "%";
      e.append(fill);
    }
    elements.push(e);
    return elements;
  }

  label(e, item, open) {
    const row = (...cells) => {
      const r = element("div", "row");
      for (const [name, text] of cells) if (text) r.append(element("span", name, text));
      e.append(r);
      return r;
    };
    const { us, shape } = item, leaf = item.kind === "leaf";
    const costs = [item.params ? about(item.params) + " params" : "", item.macs ? about(item.macs) + " macs" : "", us ? time(us) : ""].filter(Boolean).join(" · ");
    const facts = [leaf ? item.text : title(item) || item.what, item.name, shape, item.params ? exact(item.params) + " parameters" : "",
      item.macs ? exact(item.macs) + " multiply-adds" : "", us ? time(us) : "", ...item.outputs ? item.outputs.map(name => "the network's " + name) : []].filter(Boolean);
    if (leaf) {
      const own = this.own(item), name = own === item.op ? "" : own;
      const badges = item.outputs.map(output => ["o", output]);
      if (isLong(item)) row(["t", item.text]), row(["n", name || " "], ...badges, ["s", sizes(shape)]), row(["n", " "], ["v", costs]);
      else if (isLayer(item)) row(["t", item.text], ...badges, ["s", sizes(shape)]), row(["n", name || " "], ["v", costs]);
      else if (isTall(item)) row(["t", item.text]), row(["n", name || " "], ["v", us ? time(us) : ""], ["s", sizes(shape)], ...badges);
      else row(["t", item.text], ["n", name || " "], ["v", us ? time(us) : ""], ["s", sizes(shape)], ...badges).classList.add("only");
    } else {
      const made = title(item);
      const r = row(["twist", open ? "▾" : "▸"], ["t", item.name || made || item.what], ["n", item.name ? made || " " : " "]);
      if (item.kind === "fold") {
        const split = element("button", "split", "unfold");
        split.tabIndex = -1;
        split.title = "Show each of these blocks (u)";
        split.addEventListener("click", event => { event.stopPropagation(); this.unfold(item); });
        r.append(split);
      }
      row(["twist", " "], ["n", costs || " "], ["s", sizes(shape)]);
    }
    e.title = facts.join("\n");
    e.setAttribute("aria-label", facts.join(", "));
  }

  /** A name relative to its enclosing groups. */
  own(item) {
    const scope = item.parent.scope || "";
    return scope && item.name.startsWith(scope + ".") ? item.name.slice(scope.length + 1) : item.name;
  }

  bump(box, elements) {
    const svg = vector("svg", { width: BUMP + 2, height: box.h, "aria-hidden": "true" });
    Object.assign(svg.style, { left: box.x + box.w + (box.item.kind === "fold" ? 6 : 0) + "px", top: box.y + "px" });
    const h = box.h;
    svg.append(vector("path", { class: "bump " + box.item.bump, d: `M0 6C${BUMP} 6 ${BUMP} ${h - 6} 5 ${h - 6}` }));
    svg.append(vector("path", { class: "tip short", d: `M0 ${h - 6}l6 -3.5v7z` }));
    elements.push(svg);
  }

  click(item, open) {
    if (item.kind !== "leaf" && (this.chosen === item.key || !open)) this.toggle(item, !open);
    this.choose(item.key, false);
  }

  toggle(item, open) {
    if (open) this.state.open.add(item.key); else this.state.open.delete(item.key);
    this.depth = this.depth === null ? 0 : this.depth;
    this.draw();
  }

  unfold(item) {
    this.split(item);
    this.draw();
    this.choose(item.identical[0].key, false);
  }

  /** Unfolds a fold: its blocks are closed, except for the first if the fold was open. */
  split(fold) {
    const was = this.state.open.has(fold.key);
    this.state.unfolded.add(fold.key);
    for (const each of fold.identical) this.state.open.delete(each.key);
    if (was) this.state.open.add(fold.identical[0].key);
  }

  /** Selects an item. With `reach`, opens the groups around it and scrolls to it. */
  choose(key, reach) {
    const item = this.items.get(key);
    if (!item) return;
    this.chosen = key;
    this.line = null;
    if (reach) {
      let changed = false;
      const open = group => { if (!this.state.open.has(group.key)) this.state.open.add(group.key), changed = true; };
      for (let at = item; at && at.parent; at = at.parent) {
        const fold = this.state.folding && (at.parent.folded || []).find(f => f.kind === "fold" && f.identical.includes(at));
        if (fold && !this.state.unfolded.has(fold.key)) {
          // the first block represents the whole fold
          if (fold.identical[0] === at && item !== at) open(fold);
          else this.split(fold), changed = true;
        }
        if (at !== item) open(at);
      }
      if (changed) this.draw();
      this.drawing.reach(this.visible(key), false);
    }
    // update the details first, since they take space from the source
    this.refresh();
    const [place] = this.places(item);
    if (place !== undefined) {
      const { file, line } = this.tree.data.places[place];
      this.source.reach(file, line);
    }
    const e = this.drawing.element(key);
    if (e && document.activeElement !== document.getElementById("find")) e.focus({ preventScroll: true });
  }

  /** The key of the box that shows an item: its own, or that of the closed group that contains it. */
  visible(key) {
    for (let at = this.items.get(key); at; at = at.parent) {
      if (this.drawing.by.has(at.key)) return at.key;
      const fold = at.parent && at.parent.folded && at.parent.folded.find(f => f.kind === "fold" && f.identical.includes(at));
      if (fold && this.drawing.by.has(fold.key)) return fold.key;
    }
    return key;
  }

  chooseLine(file, line) {
    this.chosen = null;
    this.line = this.line && this.line.file === file && this.line.line === line ? null : { file, line };
    this.refresh();
    if (!this.line) return;
    const first = this.drawing.boxes.find(box => this.lit(box.item));
    if (first) this.drawing.reach(first.item.key, false);
  }

  /** The statements that created an item, innermost first. */
  places(item) {
    const list = item.kind === "leaf" ? (item.node.place === undefined ? [] : [item.node.place]) : [...item.places].reverse();
    for (let at = item.parent; at; at = at.parent) list.push(...[...at.places].reverse());
    return [...new Set(list)];
  }

  /** Whether the selected line created an item, or something inside it that is not visible. */
  lit(item) {
    if (!this.line) return false;
    const { places } = this.tree.data;
    const here = index => index !== undefined && places[index].file === this.line.file && places[index].line === this.line.line;
    if (item.places && item.places.some(here)) return true;
    if (item.kind === "leaf") return here(item.node.place);
    if (this.state.open.has(item.key)) return false;
    return this.tree.nodes.slice(item.first, item.last + 1).some(leaf => here(leaf.node.place));
  }

  /** Updates everything that depends on the selection. */
  refresh() {
    this.paint();
    if (!this.tree) return;
    drawAbout(this);
    this.source.mark();
  }

  paint() {
    if (!this.tree) return;
    const shownKey = this.chosen && this.visible(this.chosen);
    const items = this.drawing.boxes;
    const roving = shownKey && this.drawing.by.has(shownKey) ? shownKey : items.length ? items[0].item.key : "";
    for (const [key, elements] of this.drawing.made) {
      const e = elements[elements.length - 1], { item } = this.drawing.by.get(key);
      const on = key === shownKey, from = this.lit(item);
      for (const each of elements) if (each.classList.contains("box")) each.classList.toggle("on", on);
      e.classList.toggle("from", from);
      e.setAttribute("aria-selected", String(on || from));
      e.tabIndex = key === roving ? 0 : -1;
    }
    for (const line of this.drawing.lines) {
      if (!line.drawn) continue;
      const hot = shownKey && ((line.from && line.from.key === shownKey) || (line.to && line.to.key === shownKey));
      for (const e of line.drawn) e.classList.toggle("hot", !!hot);
    }
  }

  key(event) {
    const target = event.target.closest(".box");
    if (!target || event.ctrlKey || event.metaKey || event.altKey) return;
    const boxes = this.drawing.boxes, at = boxes.findIndex(box => box.item.key === target.dataset.key);
    if (at < 0) return;
    const { item, open } = boxes[at];
    const go = index => { if (boxes[index]) this.step(boxes[index].item.key); };
    const act = {
      ArrowDown: () => go(at + 1),
      ArrowUp: () => go(at - 1),
      Home: () => go(0),
      End: () => go(boxes.length - 1),
      ArrowRight: () => item.kind === "leaf" ? null : open ? go(at + 1) : (this.toggle(item, true), this.step(item.key)),
      ArrowLeft: () => open ? (this.toggle(item, false), this.step(item.key)) : this.step(this.up(item)),
      Enter: () => item.kind === "leaf" ? this.choose(item.key, false) : (this.toggle(item, !open), this.step(item.key)),
      " ": () => this.choose(item.key, false),
      u: () => item.kind === "fold" ? this.unfold(item) : null,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  up(item) {
    const fold = item.parent && item.parent.identical ? item.parent : null;
    for (let at = fold || item.parent; at && at.parent; at = at.parent) if (this.drawing.by.has(at.key)) return at.key;
    return this.visible(item.parent && item.parent.parent ? item.parent.key : item.key);
  }

  step(key) {
    if (!this.drawing.by.has(key)) return;
    const e = this.drawing.reach(key, true);
    this.choose(key, false);
    if (e) e.focus({ preventScroll: true });
  }

  keyInSource(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const lines = [...document.querySelectorAll("#text .l.has")];
    const at = lines.indexOf(document.activeElement);
    if (step && lines.length) {
      event.preventDefault();
      const next = lines[at < 0 ? 0 : Math.min(lines.length - 1, Math.max(0, at + step))];
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      event.preventDefault();
      lines[at].click();
    }
  }

  find(step) {
    const text = document.getElementById("find").value.trim().toLowerCase();
    if (!text || !this.tree) { this.found = null; return; }
    const hits = [...this.tree.groups, ...this.tree.nodes].filter(item => {
      const name = item.kind === "leaf" ? item.name : path(item);
      return name.toLowerCase().includes(text) || (item.kind === "leaf" && item.text.toLowerCase().includes(text));
    });
    if (!hits.length) { this.notice(`no layer matches “${text}”`); return; }
    this.notice("");
    const full = item => (item.kind === "leaf" ? item.name : path(item)).toLowerCase();
    hits.sort((a, b) => (full(b) === text) - (full(a) === text) || a.first - b.first);
    const now = hits.findIndex(item => item.key === this.chosen);
    const next = step === 0 ? 0 : (now + step + hits.length) % hits.length;
    this.choose(hits[next].key, true);
  }

  notice(text) {
    const box = document.getElementById("notice");
    box.textContent = text;
    box.hidden = !text;
  }

  print(on) {
    if (!this.tree || this.printing === on) return;
    this.printing = on;
    if (on) {
      this.before = { scale: this.drawing.scale, at: this.source.at };
      // the printable area of an A4 sheet with the margins of the style, in CSS pixels
      const width = (210 - 24) * 96 / 25.4, height = (297 - 24) * 96 / 25.4;
      this.sheet = 0;
      this.drawing.scale = 1;
      this.draw();
      const scale = Math.min(1, width / this.drawing.width);
      this.sheet = height / scale;
      this.drawing.scale = scale;
      this.draw();
      if (this.source.sources.length) this.source.whole();
    } else {
      this.drawing.scale = this.before.scale;
      this.draw();
      if (this.source.sources.length) this.source.open(this.before.at || 0);
    }
  }
}

const view = new View();
view.apply(JSON.parse(document.getElementById("data").textContent));

if (document.body.dataset.live === "yes") {
  const events = new EventSource("events");
  let { version } = document.body.dataset;
  events.addEventListener("model", async event => {
    view.notice("");
    if (version === event.data) return;
    version = event.data;
    const answer = await fetch("data");
    if (answer.ok) view.apply(await answer.json());
  });
  events.addEventListener("error", () => {
    // a new server may start on this port, with versions counted from 1 again
    version = null;
    view.notice("disconnected from resnetc: the page shows the last received state");
  });
}
