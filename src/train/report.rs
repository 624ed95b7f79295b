//! `report.html`: training and validation error over iterations, as in Figure 6 of He et al. 2016, loss, learning rate and throughput.
//! A single self-contained file.

use std::fmt::Write;
use std::path::Path;

use super::TrainError;
use super::log::Line;
use super::plot::{COLORS, ERROR, HEIGHT, LEFT, LEGEND, OTHERS, Plot, STYLE, Series, WIDTH, draw, escaped};
use crate::base::file::write_atomically;

/// The largest number of points of a curve.
const POINTS: usize = 600;
/// The most steps that a point of a smoothed curve is the mean of, unless there are more steps than points.
const WINDOW: usize = 50;

/// The curves of a run.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    name: String,
    /// In percent.
    error: Series,
    loss_series: Series,
    lr: Series,
    /// Samples per second.
    rate: Series,
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
        let mut steps: Vec<[f64; 5]> = Vec::new();
        for line in lines {
            match line {
                Line::Start { .. } => {}
                Line::Step { step, error, loss, lr, images_per_s, .. } => {
                    steps.push([*step as f64, 100.0 * error, *loss, *lr, *images_per_s]);
                    (curves.steps, curves.loss) = (*step, *loss);
                }
                Line::Epoch { epoch, error, loss, seconds, .. } => {
                    (curves.epochs, curves.seconds, curves.loss) = (*epoch, *seconds, *loss);
                    curves.last_train = Some(100.0 * error);
                }
                Line::Valid { step, error, loss, .. } => {
                    curves.error.valid.push((*step as f64, 100.0 * error));
                    curves.loss_series.valid.push((*step as f64, *loss));
                    curves.is_not_finite = !loss.is_finite();
                }
            }
        }
        curves.loss_series.valid.retain(|point| point.1.is_finite());
        // single batches are noisy: each point is the mean of several, and of its neighbors where these are few
        let each = steps.len().div_ceil(POINTS).max(1);
        let window = (steps.len() / 20).clamp(1, WINDOW).div_ceil(each);
        let means = |column: usize| -> Vec<(f64, f64)> {
            let mean = |chunk: &[[f64; 5]]| chunk.iter().map(|step| step[column]).sum::<f64>() / chunk.len() as f64;
            steps.chunks(each).map(|chunk| (chunk.last().map_or(0.0, |step| step[0]), mean(chunk))).collect()
        };
        for (series, column) in [(&mut curves.error, 1), (&mut curves.loss_series, 2), (&mut curves.rate, 4)] {
            let points = means(column);
            series.train = smoothed(&points, window);
            series.raw = if window > 1 { points } else { Vec::new() };
        }
        // the schedule's own values: a mean would round its steps
        curves.lr.train = steps.chunks(each).filter_map(|chunk| chunk.last().map(|step| (step[0], step[3]))).collect();
        curves
    }

    /// A one-line summary of the run.
    pub fn summary(&self) -> String {
        let mut text = format!("{}: {} iterations, {} epochs, loss {:.4}", self.name, self.steps, self.epochs, self.loss);
        if let Some(error) = self.last_train {
            let _ = write!(text, ", training error {error:.2} %");
        }
        if let Some((_, error)) = self.error.valid.last() {
            let _ = write!(text, ", validation error {error:.2} %{}", self.warning());
        }
        text
    }

    fn warning(&self) -> &'static str {
        if self.is_not_finite { " (loss not finite)" } else { "" }
    }
}

/// The mean of each point and its neighbors, `window` in all; fewer at the ends.
fn smoothed(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let (before, after) = (window / 2, window - window / 2);
    let mean = |at: usize| {
        let near = &points[at.saturating_sub(before)..(at + after).min(points.len())];
        near.iter().map(|point| point.1).sum::<f64>() / near.len().max(1) as f64
    };
    points.iter().enumerate().map(|(at, point)| (point.0, mean(at))).collect()
}

/// The middle one of the values of a curve.
fn median(points: &[(f64, f64)]) -> Option<f64> {
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
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
         <p>Error in percent over iterations. Thin dashed lines: training batches; bold lines: validation. Training curves are smoothed; \
         what they are the mean of is faint.</p>\n"
    );
    plot(&mut out, &ERROR, runs);
    out.push_str("<div class=\"panels\">\n");
    OTHERS.iter().for_each(|other| plot(&mut out, other, runs));
    out.push_str("</div>\n");
    out.push_str(
        "<table><thead><tr><th>run</th><th>iterations</th><th>epochs</th><th>last loss</th><th>training error, last epoch</th>\
         <th>validation error, last</th><th>best</th><th>images/s</th><th>minutes</th></tr></thead><tbody>\n",
    );
    for (i, run) in runs.iter().enumerate() {
        let percent = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.2} %"));
        let best = run.error.valid.iter().map(|p| p.1).min_by(f64::total_cmp);
        let _ = writeln!(
            out,
            "<tr><td><span class=\"key c{}\"></span>{}</td><td>{}</td><td>{}</td><td>{:.4}</td><td>{}</td><td>{}{}</td><td>{}</td><td>{}</td><td>{:.1}</td></tr>",
            i % COLORS,
            escaped(&run.name),
            run.steps,
            run.epochs,
            run.loss,
            percent(run.last_train),
            percent(run.error.valid.last().map(|p| p.1)),
            run.warning(),
            percent(best),
            median(&run.rate.train).map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}")),
            run.seconds / 60.0
        );
    }
    out.push_str("</tbody></table>\n</body></html>\n");
    out
}

/// Draws a quantity of the runs.
fn plot(out: &mut String, plot: &Plot, runs: &[Curves]) {
    let series = |run: &Curves| match plot.id {
        "loss" => run.loss_series.clone(),
        "lr" => run.lr.clone(),
        "rate" => run.rate.clone(),
        _ => run.error.clone(),
    };
    let series: Vec<(String, Series)> = runs.iter().map(|run| (run.name.clone(), series(run))).collect();
    draw(out, plot, &series);
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
    plot(&mut out, &ERROR, runs);
    out.push_str("</svg>\n");
    out
}
