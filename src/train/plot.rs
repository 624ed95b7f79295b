//! Drawings of the curves of runs, as SVG.

use std::fmt::Write;

/// The size of the largest drawing, in user units.
pub(super) const WIDTH: f64 = 860.0;
pub(super) const HEIGHT: f64 = 460.0;
/// The margins around a plot.
pub(super) const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;
/// The height of a line of the legend.
pub(super) const LEGEND: f64 = 22.0;
/// The number of colors before they repeat.
pub(super) const COLORS: usize = 6;

/// The style of the page and of a drawing by itself.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1d1d1f; --dim: #6b6b70; --line: #d9d9de; --paper: #ffffff;
  --c0: #1f6fb4; --c1: #c8442c; --c2: #2c8a4b; --c3: #8650b0; --c4: #b07a10; --c5: #0e8a8a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --dim: #9a9aa2; --line: #3a3a40; --paper: #17171a;
  --c0: #6cb2f0; --c1: #ff8b73; --c2: #70cf92; --c3: #c69aec; --c4: #e6b455; --c5: #5fd0d0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } p { color: var(--dim); }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 13px; }
.grid { stroke: var(--line); stroke-width: 1; } .curve { fill: none; }
.raw { stroke-width: 1; opacity: .25; } .train { stroke-width: 1; stroke-dasharray: 4 3; opacity: .8; } .valid { stroke-width: 2.4; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .5rem 1rem; } .panels .train { stroke-width: 1.6; stroke-dasharray: none; opacity: 1; }
table { border-collapse: collapse; margin-top: 1rem; } th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; color: var(--dim); }
.key { display: inline-block; width: 1rem; height: .25rem; margin-right: .5rem; vertical-align: middle; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); } .s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); }
.c0 { background: var(--c0); } .c1 { background: var(--c1); } .c2 { background: var(--c2); } .c3 { background: var(--c3); } .c4 { background: var(--c4); } .c5 { background: var(--c5); }
";

/// The curves of one quantity: (step, value).
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Means of few steps, where the training curve is smoothed.
    pub raw: Vec<(f64, f64)>,
    pub train: Vec<(f64, f64)>,
    pub valid: Vec<(f64, f64)>,
}

/// How a quantity is drawn.
pub(super) struct Plot {
    /// Its name in the page.
    pub id: &'static str,
    /// What the axis says.
    title: &'static str,
    /// Width and height.
    size: [f64; 2],
    /// The largest value that the axis reaches.
    most: f64,
    /// Whether the axis may be logarithmic.
    may_be_log: bool,
}

/// Errors in percent.
pub(super) const ERROR: Plot = Plot { id: "frame", title: "error (%)", size: [WIDTH, HEIGHT], most: 100.0, may_be_log: false };

const SMALL: [f64; 2] = [400.0, 260.0];

/// What the page shows below.
pub(super) const OTHERS: [Plot; 3] = [
    Plot { id: "loss", title: "loss", size: SMALL, most: f64::INFINITY, may_be_log: true },
    Plot { id: "lr", title: "learning rate", size: SMALL, most: f64::INFINITY, may_be_log: false },
    Plot { id: "rate", title: "images/s", size: SMALL, most: f64::INFINITY, may_be_log: false },
];

/// The vertical axis.
struct Axis {
    least: f64,
    most: f64,
    is_log: bool,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(plot: &Plot, runs: &[(String, Series)]) -> Axis {
        // the first values are near chance level and would compress the rest: as in the paper, they may leave the frame
        let settled = || {
            runs.iter().flat_map(|(_, run)| {
                let late = |points: &[(f64, f64)]| points.iter().skip(points.len() / 20).map(|p| p.1).collect::<Vec<_>>();
                [late(&run.train), late(&run.valid)].concat()
            })
        };
        let highest = settled().fold(0.0, f64::max);
        let lowest = settled().fold(f64::INFINITY, f64::min);
        if plot.may_be_log && lowest > 0.0 && highest / lowest >= 10.0 {
            return Axis::log(lowest, highest);
        }
        // an error below 1 % is drawn as such
        let highest = if plot.most.is_finite() { highest.max(1.0).min(plot.most) } else { highest };
        let step = round(if highest > 0.0 { highest / 5.0 } else { 0.2 });
        let most = ((highest / step).ceil() * step).min(plot.most).max(step);
        let ticks = (0..=(most / step).round() as usize).map(|i| i as f64 * step).collect();
        Axis { least: 0.0, most, is_log: false, ticks }
    }

    fn log(lowest: f64, highest: f64) -> Axis {
        let (first, last) = (lowest.log10().floor() as i32, highest.log10().ceil() as i32);
        let parts: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = (first..=last).flat_map(|power| parts.iter().map(move |part| part * 10f64.powi(power)));
        let all: Vec<f64> = all.collect();
        let below = all.iter().copied().rev().find(|&tick| tick <= lowest * 1.001).unwrap_or(lowest);
        let above = all.iter().copied().find(|&tick| tick >= highest * 0.999).unwrap_or(highest);
        let ticks = all.into_iter().filter(|tick| (below..=above).contains(tick)).collect();
        Axis { least: below, most: above, is_log: true, ticks }
    }

    /// Where a value is, from 0 at the bottom to 1 at the top.
    fn place(&self, value: f64) -> f64 {
        if self.is_log {
            return (value.max(f64::MIN_POSITIVE) / self.least).ln() / (self.most / self.least).ln();
        }
        value / self.most
    }
}

/// Draws the curves of several runs.
pub(super) fn draw(out: &mut String, plot: &Plot, runs: &[(String, Series)]) {
    let [width, height] = plot.size;
    let Plot { id, title, .. } = plot;
    let all = runs.iter().flat_map(|(_, run)| run.train.iter().chain(&run.valid));
    let last = all.map(|p| p.0).fold(1.0, f64::max);
    let axis = Axis::new(plot, runs);
    let step_x = round(last / ((width - LEFT - RIGHT) / 130.0).round().max(1.0));
    let x = |v: f64| LEFT + (width - LEFT - RIGHT) * v / last;
    // what leaves the frame stays near it
    let y = |v: f64| TOP + (height - TOP - BOTTOM) * (1.0 - axis.place(v)).clamp(-9.0, 9.0);
    let label = if *id == "frame" { "Error" } else { title };
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{label} against iterations\">\n\
         <clipPath id=\"{id}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>",
        width - LEFT - RIGHT,
        height - TOP - BOTTOM
    );
    for &value in &axis.ticks {
        let at = y(value);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            width - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            short(value)
        );
    }
    for i in 0..=(last / step_x).floor() as usize {
        let value = i as f64 * step_x;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(value),
            height - BOTTOM + 20.0,
            short(value)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">iterations</text>\n\
         <text x=\"14\" y=\"{:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {:.1})\">{title}</text>",
        (LEFT + width - RIGHT) / 2.0,
        height - 6.0,
        height / 2.0,
        height / 2.0
    );
    let _ = writeln!(out, "<g clip-path=\"url(#{id})\">");
    for (i, (name, run)) in runs.iter().enumerate() {
        for (class, points) in [("raw", &run.raw), ("train", &run.train), ("valid", &run.valid)] {
            if points.is_empty() {
                continue;
            }
            let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let _ = writeln!(
                out,
                "<polyline class=\"curve {class} s{}\" points=\"{}\"><title>{}, {class}</title></polyline>",
                i % COLORS,
                path.join(" "),
                escaped(name)
            );
        }
    }
    out.push_str("</g>\n</svg>\n");
}

/// Rounds up to 1, 2 or 5 times a power of ten.
fn round(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|&s| s >= value * 0.999).unwrap_or(10.0 * power)
}

/// `2000` as `2k`; three digits of others.
fn short(value: f64) -> String {
    if value >= 1000.0 && value % 100.0 == 0.0 {
        return format!("{}k", value / 1000.0);
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
