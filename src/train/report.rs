//! `report.html`: training and validation error over iterations, as in Figure 6 of He et al. 2016. A single self-contained file.

use std::fmt::Write;
use std::path::Path;

use super::TrainError;
use super::log::Line;
use crate::base::file::write_atomically;

/// The largest number of points of a curve.
const POINTS: usize = 600;
/// The layout of the drawing, in user units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;
/// The height of a line of the legend.
const LEGEND: f64 = 22.0;

/// The curves of a run.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    name: String,
    /// (step, error in percent), averaged over several steps.
    train: Vec<(f64, f64)>,
    /// (step, error in percent).
    valid: Vec<(f64, f64)>,
    epochs: u64,
    steps: u64,
    seconds: f64,
    loss: f64,
    /// The error of the last epoch, in percent.
    last_train: Option<f64>,
    /// Whether the loss of the last validation was not finite.
    is_not_finite: bool,
}

impl Curves {
    /// The curves of a log.
    pub fn of(name: &str, lines: &[Line]) -> Curves {
        let mut curves = Curves { name: name.to_owned(), ..Curves::default() };
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for line in lines {
            match line {
                Line::Start { .. } => {}
                Line::Step { step, error, loss, .. } => {
                    steps.push((*step as f64, 100.0 * error));
                    (curves.steps, curves.loss) = (*step, *loss);
                }
                Line::Epoch { epoch, error, loss, seconds, .. } => {
                    (curves.epochs, curves.seconds, curves.loss) = (*epoch, *seconds, *loss);
                    curves.last_train = Some(100.0 * error);
                }
                Line::Valid { step, error, loss, .. } => {
                    curves.valid.push((*step as f64, 100.0 * error));
                    curves.is_not_finite = !loss.is_finite();
                }
            }
        }
        // the error of single batches is noisy: each point is the mean of several
        let each = steps.len().div_ceil(POINTS).max(1);
        curves.train = steps
            .chunks(each)
            .map(|chunk| (chunk.last().map_or(0.0, |p| p.0), chunk.iter().map(|p| p.1).sum::<f64>() / chunk.len() as f64))
            .collect();
        curves
    }

    /// A one-line summary of the run.
    pub fn summary(&self) -> String {
        let mut text = format!("{}: {} iterations, {} epochs, loss {:.4}", self.name, self.steps, self.epochs, self.loss);
        if let Some(error) = self.last_train {
            let _ = write!(text, ", training error {error:.2} %");
        }
        if let Some((_, error)) = self.valid.last() {
            let _ = write!(text, ", validation error {error:.2} %{}", self.warning());
        }
        text
    }

    fn warning(&self) -> &'static str {
        if self.is_not_finite { " (loss not finite)" } else { "" }
    }
}

/// Writes the curves of one or more runs: an HTML page, or only the drawing if the path ends in `.svg`.
pub fn write(path: &Path, runs: &[Curves]) -> Result<(), TrainError> {
    let page = if path.extension().is_some_and(|e| e == "svg") { drawing(runs) } else { page(runs) };
    write_atomically(path, |out| out.write_all(page.as_bytes())).map_err(|source| TrainError::File {
        path: path.to_owned(),
        what: "cannot write the report",
        source,
    })
}

/// The HTML page.
pub fn page(runs: &[Curves]) -> String {
    let title = runs.iter().map(|r| escaped(&r.name)).collect::<Vec<_>>().join(", ");
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Training: {title}</title>\n<style>\n{STYLE}</style></head><body>\n<h1>Training: {title}</h1>\n\
         <p>Error in percent over iterations. Thin dashed lines: training batches; bold lines: validation.</p>\n"
    );
    draw(&mut out, runs);
    out.push_str(
        "<table><thead><tr><th>run</th><th>iterations</th><th>epochs</th><th>last loss</th><th>training error, last epoch</th>\
         <th>validation error, last</th><th>best</th><th>minutes</th></tr></thead><tbody>\n",
    );
    for (i, run) in runs.iter().enumerate() {
        let percent = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.2} %"));
        let best = run.valid.iter().map(|p| p.1).min_by(f64::total_cmp);
        let _ = writeln!(
            out,
            "<tr><td><span class=\"key c{}\"></span>{}</td><td>{}</td><td>{}</td><td>{:.4}</td><td>{}</td><td>{}{}</td><td>{}</td><td>{:.1}</td></tr>",
            i % COLORS,
            escaped(&run.name),
            run.steps,
            run.epochs,
            run.loss,
            percent(run.last_train),
            percent(run.valid.last().map(|p| p.1)),
            run.warning(),
            percent(best),
            run.seconds / 60.0
        );
    }
    out.push_str("</tbody></table>\n</body></html>\n");
    out
}

/// The drawing as a standalone SVG, with a legend.
pub fn drawing(runs: &[Curves]) -> String {
    let mut out = String::new();
    let all = HEIGHT + LEGEND * runs.len() as f64;
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {all}\" font-family=\"system-ui, sans-serif\">\n<style>\n{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{all}\" fill=\"var(--paper)\"/>\n"
    );
    for (i, run) in runs.iter().enumerate() {
        let y = HEIGHT + LEGEND * (i as f64 + 0.4);
        let _ = writeln!(
            out,
            "<line class=\"valid s{}\" x1=\"{LEFT}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/><text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            i % COLORS,
            y - 4.0,
            LEFT + 24.0,
            y - 4.0,
            LEFT + 34.0,
            escaped(&run.summary())
        );
    }
    draw(&mut out, runs);
    out.push_str("</svg>\n");
    out
}

/// The number of colors before they repeat.
const COLORS: usize = 6;

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1d1d1f; --dim: #6b6b70; --line: #d9d9de; --paper: #ffffff;
  --c0: #1f6fb4; --c1: #c8442c; --c2: #2c8a4b; --c3: #8650b0; --c4: #b07a10; --c5: #0e8a8a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --dim: #9a9aa2; --line: #3a3a40; --paper: #17171a;
  --c0: #6cb2f0; --c1: #ff8b73; --c2: #70cf92; --c3: #c69aec; --c4: #e6b455; --c5: #5fd0d0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } p { color: var(--dim); }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 13px; }
.grid { stroke: var(--line); stroke-width: 1; } .curve { fill: none; }
.train { stroke-width: 1; stroke-dasharray: 4 3; opacity: .8; } .valid { stroke-width: 2.4; }
table { border-collapse: collapse; margin-top: 1rem; } th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; color: var(--dim); }
.key { display: inline-block; width: 1rem; height: .25rem; margin-right: .5rem; vertical-align: middle; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); } .s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); }
.c0 { background: var(--c0); } .c1 { background: var(--c1); } .c2 { background: var(--c2); } .c3 { background: var(--c3); } .c4 { background: var(--c4); } .c5 { background: var(--c5); }
";

fn draw(out: &mut String, runs: &[Curves]) {
    let all = || runs.iter().flat_map(|r| r.train.iter().chain(&r.valid));
    let last = all().map(|p| p.0).fold(1.0, f64::max);
    // the first errors are near chance level and would compress the rest: as in the paper, they may leave the frame
    let settled = runs.iter().flat_map(|r| {
        let skip = r.train.len() / 20;
        r.train.iter().skip(skip).chain(r.valid.iter().skip(r.valid.len() / 20))
    });
    let highest = settled.map(|p| p.1).fold(1.0, f64::max).min(100.0);
    let (step_x, step_y) = (round(last / 6.0), round(highest / 5.0));
    let top = ((highest / step_y).ceil() * step_y).min(100.0).max(step_y);
    let x = |v: f64| LEFT + (WIDTH - LEFT - RIGHT) * v / last;
    let y = |v: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - v / top);
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"Error against iterations\">\n\
         <clipPath id=\"frame\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>",
        WIDTH - LEFT - RIGHT,
        HEIGHT - TOP - BOTTOM
    );
    for i in 0..=(top / step_y).round() as usize {
        let (value, at) = (i as f64 * step_y, y(i as f64 * step_y));
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
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
            HEIGHT - BOTTOM + 20.0,
            short(value)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">iterations</text>\n\
         <text x=\"14\" y=\"{:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {:.1})\">error (%)</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 6.0,
        HEIGHT / 2.0,
        HEIGHT / 2.0
    );
    out.push_str("<g clip-path=\"url(#frame)\">\n");
    for (i, run) in runs.iter().enumerate() {
        for (class, points) in [("train", &run.train), ("valid", &run.valid)] {
            let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let _ = writeln!(
                out,
                "<polyline class=\"curve {class} s{}\" points=\"{}\"><title>{}, {class}</title></polyline>",
                i % COLORS,
                path.join(" "),
                escaped(&run.name)
            );
        }
    }
    out.push_str("</g>\n</svg>\n");
}

/// Rounds up to 1, 2 or 5 times a power of ten.
fn round(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|&s| s >= value * 0.999).unwrap_or(10.0 * power)
}

/// `2000` as `2k`.
fn short(value: f64) -> String {
    if value >= 1000.0 && value % 100.0 == 0.0 {
        format!("{}k", value / 1000.0)
    } else {
        format!("{}", (value * 100.0).round() / 100.0)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
