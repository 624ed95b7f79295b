// The panels around the graph: bars with the shares of parameters, multiply-adds and time, details of the selected layer, and the
// source.

const MEASURES = [["params", "parameters"], ["macs", "multiply-adds"], ["us", "time"]];

/** The segments of the bars: the network's outermost groups, and the runs of layers between them. */
function parts(root) {
  const list = [];
  const outer = root.children.flatMap(function inside(child) { return child.whole ? child.children.flatMap(inside) : [child]; });
  for (const child of outer) {
    if (child.kind === "leaf" && !child.params && !child.macs && !child.us) continue;
    const loose = child.kind === "leaf", before = list[list.length - 1];
    if (loose && before && before.loose) before.items.push(child);
    else list.push({ loose, items: [child] });
  }
  let hue = 0;
  for (const part of list) {
    const quiet = part.loose || part.items[0].what === "part";
    part.color = quiet ? 0 : hue++ % 7 + 1;
    const [one] = part.items;
    part.name = one.name || title(one) || one.unit;
    if (part.items.length > 1) part.name += " … " + part.items[part.items.length - 1].name;
    for (const [key] of MEASURES) part[key] = part.items.reduce((sum, item) => sum === null || item[key] === null ? null : sum + item[key], 0);
  }
  for (const child of root.children) color(child, 0);
  for (const part of list) for (const item of part.items) color(item, part.color);
  return list;
}

function color(item, value) {
  item.color = value;
  for (const child of item.children || []) color(child, value);
  for (const child of item.folded || []) if (child.kind === "fold") child.color = value;
}

function drawShares(view) {
  const { tree: { root, data }, parts: list } = view;
  const section = document.getElementById("shares");
  section.replaceChildren();
  // the width of a bar, without its name and number
  const width = innerWidth - 260;
  for (const [key, word] of MEASURES) {
    const whole = root[key];
    if (!whole) continue;
    const bar = element("div", "bar");
    for (const part of list) {
      if (!part[key]) continue;
      const of = part[key] / whole, value = key === "us" ? time(part[key]) : exact(part[key]);
      const button = element("button", "part", `${part.name} ${share(of)}`);
      button.style.flexGrow = of * 1000;
      button.style.setProperty("--c", `var(--c${part.color})`);
      button.title = `${part.name}: ${value} ${word}, ${share(of)}`;
      button.setAttribute("aria-label", button.title);
      button.addEventListener("click", () => view.choose(part.items[0].key, true));
      if (of * width < 7 * button.textContent.length + 16) button.classList.add("thin");
      bar.append(button);
    }
    section.append(element("span", "what", word), element("span", "all", key === "us" ? time(whole) : about(whole)), bar);
  }
  const legend = element("ul", "key");
  const kinds = new Set(view.tree.groups.map(g => g.shortcut).filter(Boolean));
  for (const part of list.length <= 24 ? list : []) {
    const entry = element("li"), swatch = element("i");
    swatch.style.setProperty("--c", `var(--c${part.color})`);
    entry.append(swatch, part.name + (part.items.length === 1 && part.items[0].what === "stage" && part.items[0].name ? `: ${title(part.items[0])}` : ""));
    legend.append(entry);
  }
  for (const kind of ["identity", "projection", "zeros"]) {
    if (!kinds.has(kind)) continue;
    const sample = vector("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" });
    sample.append(vector("path", { class: "bump " + kind, d: "M0 5H22" }));
    const entry = element("li");
    entry.append(sample, { identity: "identity shortcut", projection: "projection shortcut", zeros: "zero-padded shortcut" }[kind]);
    legend.append(entry);
  }
  if (data.profile) legend.append(element("li", "", data.profile.made));
  if (legend.children.length) section.append(legend);
  section.hidden = !section.children.length;
}

function drawAbout(view) {
  const { tree: { root, nodes, data } } = view;
  const section = document.getElementById("about");
  section.replaceChildren();
  const item = view.chosen && view.items.get(view.chosen);
  if (!item) {
    section.append(element("p", "empty", data.places.length
      ? "Select a layer to see its details and its source line; select a line to see its layers."
      : "Select a layer to see its details."));
    return;
  }
  const leaf = item.kind === "leaf";
  section.append(element("h2", "", leaf ? item.name : path(item.kind === "fold" ? item.parent : item) + (item.kind === "fold" ? ` ${item.name}` : "")));
  const list = element("dl");
  const row = (word, ...what) => {
    const dd = element("dd");
    dd.append(...what.flat());
    list.append(element("dt", "", word), dd);
  };
  const to = (key, text) => {
    const button = element("button", "to", text);
    button.addEventListener("click", () => view.choose(key, true));
    return button;
  };
  const links = indices => [...new Set(indices)].flatMap((i, n) => [n ? ", " : "", to(nodes[i].key, nodes[i].name)]).filter(Boolean);
  row(leaf ? "operator" : "kind", leaf ? item.text : item.kind === "fold" ? `${item.count} identical blocks of ${item.unit}` : title(item) || item.what);
  row("output", item.shape + (leaf && item.outputs.length ? ` (the network's ${item.outputs.join(", ")})` : ""));
  const part = key => root[key] ? `, ${share(item[key] / root[key])}` : "";
  if (item.params || !leaf) row("parameters", exact(item.params) + part("params"));
  if (item.macs !== 0) row("multiply-adds", exact(item.macs) + (item.macs ? part("macs") : ""));
  if (!leaf) row("layers", String(item.leaves) + " operators");
  if (item.us) row("time", time(item.us) + part("us"));
  if (leaf && data.profile && item.node.step !== undefined) {
    const step = data.profile.steps[item.node.step];
    row("step", step.node === item.index || step.node === null ? step.kernel : ["computed in ", to(nodes[step.node].key, step.name)]);
  }
  if (item.shortcut) row("shortcut", { identity: "identity", projection: "projection of the block's input", zeros: "zero-padded identity" }[item.shortcut]);
  if (leaf && item.node.reads.length) row("inputs", links(item.node.reads));
  if (leaf) {
    const users = nodes.slice(item.index + 1, item.lastUse + 1).filter(n => n.node.reads.includes(item.index)).map(n => n.index);
    if (users.length) row("used by", links(users.slice(0, 12)), users.length > 12 ? ` and ${users.length - 12} more` : "");
  }
  const made = view.places(item);
  if (made.length) row("source", made.flatMap((place, n) => {
    const { file, line } = data.places[place];
    const button = element("button", "to", `${data.sources[file].name}:${line}`);
    button.addEventListener("click", () => view.source.reach(file, line));
    return n ? [", used in ", button] : [button];
  }));
  section.append(list);
}

const WORDS = /(\/\/.*$)|("(?:[^"\\]|\\.)*"?)|\b(@WORDS@)\b|\b(\d[\w.]*)\b/g;

class Source {
  constructor(view) {
    this.view = view;
    this.files = document.getElementById("files");
    this.pane = document.getElementById("text");
  }

  /** Shows new files and opens the one with index `start`. */
  show(sources, places, start) {
    this.sources = sources;
    this.made = places;
    document.getElementById("source").hidden = !sources.length;
    this.files.replaceChildren();
    sources.forEach((source, i) => {
      const tab = element("button", "", source.name);
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => this.open(i));
      this.files.append(tab);
    });
    this.at = null;
    if (sources.length) this.open(start);
  }

  open(index) {
    if (this.at === index) return;
    this.at = index;
    [...this.files.children].forEach((tab, i) => tab.setAttribute("aria-selected", String(i === index)));
    const box = element("div", "lines");
    this.fill(box, index);
    this.pane.replaceChildren(box);
    this.pane.scrollTop = 0;
    this.mark();
  }

  fill(box, index) {
    const makes = new Set(this.made.filter(place => place.file === index).map(place => place.line));
    this.sources[index].text.split("\n").forEach((text, i) => {
      const line = element("div", makes.has(i + 1) ? "l has" : "l"), code = element("span", "x");
      line.dataset.n = i + 1;
      line.append(code);
      let done = 0;
      for (const match of text.matchAll(WORDS)) {
        if (match.index > done) code.append(text.slice(done, match.index));
        code.append(element("span", match[1] ? "c" : match[2] ? "q" : match[3] ? "k" : "m", match[0]));
        done = match.index + match[0].length;
      }
      code.append(text.slice(done) || (done ? "" : "\u200b"));
      if (makes.has(i + 1)) {
        line.tabIndex = -1;
        line.setAttribute("role", "button");
        line.addEventListener("click", () => this.view.chooseLine(index, i + 1));
      }
      box.append(line);
    });
  }

  /** Shows all files below each other, for printing. */
  whole() {
    const box = element("div", "lines");
    this.sources.forEach((source, i) => {
      box.append(element("div", "file", source.name));
      this.fill(box, i);
    });
    this.pane.replaceChildren(box);
    this.at = null;
  }

  reach(file, line) {
    this.open(file);
    const e = this.pane.querySelector(`[data-n="${line}"]`);
    if (!e) return;
    const top = e.offsetTop - this.pane.offsetTop;
    if (top < this.pane.scrollTop + 20 || top > this.pane.scrollTop + this.pane.clientHeight - 60) this.pane.scrollTop = top - this.pane.clientHeight / 3;
  }

  /** Marks the source lines of the selected item, or the selected line. */
  mark() {
    if (this.at === null) return;
    for (const e of this.pane.querySelectorAll(".here, .around")) e.classList.remove("here", "around");
    const { view } = this;
    const mark = (place, name) => {
      if (place.file !== this.at) return;
      for (let n = place.line; n <= Math.min(place.end, place.line + (name === "here" ? 40 : 0)); n++) {
        const e = this.pane.querySelector(`[data-n="${n}"]`);
        if (e && !e.classList.contains("here")) e.classList.add(name);
      }
    };
    if (view.line) return mark({ ...view.line, end: view.line.line }, "here");
    const item = view.chosen && view.items.get(view.chosen);
    if (item) view.places(item).forEach((index, i) => mark(this.made[index], i ? "around" : "here"));
  }
}
