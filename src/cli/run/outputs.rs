//! A summary of a network's outputs, where no file is named for them.

use ndarray::{ArrayD, Ix2};
use serde_json::json;

use super::super::args::Format;
use super::super::failure::Failure;
use super::super::output::Out;
use super::args::Args;
use crate::infer::top_k;
use crate::runtime::{OutputArray, Outputs};

/// The number of samples whose largest scores are shown.
const SAMPLES: usize = 8;

/// Prints the shape, the type and the range of each output, and of the main one, if it has a score for each class, the largest scores of the first
/// samples. Returns what has values that are not finite.
pub(super) fn show(args: &Args, outputs: &Outputs, labels: &[String], out: &mut Out) -> Result<Vec<String>, Failure> {
    let mut bad = Vec::new();
    for (index, (name, array)) in outputs.arrays().enumerate() {
        let (values, kind): (ArrayD<f64>, &str) = match array {
            OutputArray::F32(y) => (y.mapv(f64::from), "f32"),
            OutputArray::I64(y) => (y.mapv(|v| v as f64), "i64"),
            OutputArray::I32(y) => (y.mapv(f64::from), "i32"),
        };
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let (count, not_finite) = (finite().count(), values.len() - finite().count());
        let range = (count > 0).then(|| {
            let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), v| (min.min(v), max.max(v)));
            (min, finite().sum::<f64>() / count as f64, max)
        });
        let scores = array.as_f32().filter(|_| index == 0).and_then(|y| y.view().into_dimensionality::<Ix2>().ok());
        let best: Vec<Vec<(usize, f32)>> = scores.map_or_else(Vec::new, |scores| {
            let best = |row: Vec<f32>| top_k(&row, usize::from(args.top)).into_iter().map(|class| (class, row[class])).collect();
            scores.outer_iter().take(SAMPLES).map(|row| best(row.to_vec())).collect()
        });
        match args.format {
            Format::Json => {
                let score =
                    |(class, score): &(usize, f32)| json!({ "class": class, "label": labels.get(*class), "score": score });
                let top: Vec<Vec<_>> = best.iter().map(|row| row.iter().map(score).collect()).collect();
                out.line(json!({
                    "output": name, "shape": array.shape(), "type": kind, "min": range.map(|r| r.0), "mean": range.map(|r| r.1),
                    "max": range.map(|r| r.2), "not_finite": not_finite, "top": top,
                }))?;
            }
            Format::Text => {
                let sizes: Vec<String> = array.shape().iter().map(usize::to_string).collect();
                let range =
                    range.map_or(String::new(), |(min, mean, max)| format!(": min {min:.4}, mean {mean:.4}, max {max:.4}"));
                out.line(format_args!("{name}  {}  {kind}{range}", sizes.join(" x ")))?;
                for (sample, row) in best.iter().enumerate() {
                    let name = |class: usize| labels.get(class).map_or_else(|| format!("class {class}"), Clone::clone);
                    let list: Vec<String> = row.iter().map(|(class, score)| format!("{} {score:.4}", name(*class))).collect();
                    out.line(format_args!("  sample {sample}: {}", list.join(", ")))?;
                }
                if let more @ 1.. = array.shape().first().copied().unwrap_or(0).saturating_sub(SAMPLES)
                    && !best.is_empty()
                {
                    out.line(format_args!("  and {more} more samples"))?;
                }
            }
        }
        if not_finite > 0 {
            bad.push(format!("`{name}` ({not_finite} of {} values)", values.len()));
        }
    }
    if args.format == Format::Text {
        out.flush()?;
        out.note("note: --output Y.npy writes the values");
    }
    Ok(bad)
}
