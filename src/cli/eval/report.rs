//! The output of `resnetc eval`.

use serde_json::{Value, json};

use super::super::args::Format;
use super::super::failure::Done;
use super::super::output::Out;
use super::super::table::table;
use super::args::{Args, Average, failure};
use super::confusion;
use crate::data::{Crop, Views};
use crate::eval::{EvalError, Evaluator, Measures, Report, WorstImage, describe};

/// `place` is where the images are.
pub(super) fn report(args: &Args, evaluator: &Evaluator, place: &str, out: &mut Out) -> Done {
    let Some(report) = evaluator.report() else { return Err(failure(EvalError::NoImages)) };
    match args.format {
        Format::Text => text(evaluator, &report, place, out),
        Format::Json => {
            let mut object = object(args, evaluator, &report);
            object["data"] = json!(place);
            out.line(object)
        }
    }
}

/// How many of the most probable classes `top-5` counts. A network with no more classes has no such column.
const FIVE: usize = 5;

fn text(evaluator: &Evaluator, report: &Report, place: &str, out: &mut Out) -> Done {
    out.line(format_args!("data     {place}"))?;
    summary(evaluator, report, out)?;
    let mut rows: Vec<(&str, &Measures)> = report.networks.iter().map(|(title, m)| (title.as_str(), m)).collect();
    if rows.len() > 1 {
        rows.push(("ensemble", &report.total));
    }
    let percent = |part: f64| format!("{part:.2} %");
    let has_five = evaluator.ensemble().classes() > FIVE;
    let row = |(title, m): (&str, &Measures)| {
        let mut row = vec![title.to_owned(), percent(m.top1), percent(100.0 - m.top1)];
        if has_five {
            row.extend([percent(m.top5), percent(100.0 - m.top5)]);
        }
        row.push(format!("{:.4}", m.loss));
        row
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(row).collect();
    let columns = ["network", "top-1", "error", "top-5", "error", "loss"];
    let columns = if has_five { columns.to_vec() } else { [&columns[..3], &columns[5..]].concat() };
    table(out, &columns, 1, &rows, rows.len() > 1)?;
    let name = |class: usize| evaluator.class_name(class);
    out.text(&confusion::text(&report.confusion, name))?;
    if !report.worst.is_empty() {
        let row = |worst: &WorstImage| {
            let [own, predicted] = [worst.probability, worst.predicted_probability].map(|p| share(100.0 * f64::from(p)));
            vec![worst.name.clone(), name(worst.class), own, name(worst.predicted), predicted]
        };
        let rows: Vec<Vec<String>> = report.worst.iter().map(row).collect();
        out.line("")?;
        table(out, &["image", "class", "given", "answer", "given"], 4, &rows, false)?;
    }
    Ok(())
}

/// How many images were evaluated, in which views, and how fast.
fn summary(evaluator: &Evaluator, report: &Report, out: &mut Out) -> Done {
    let of = if report.done < report.of { format!(" of {}", report.of) } else { String::new() };
    let broken = if report.broken > 0 { format!(" ({} skipped)", report.broken) } else { String::new() };
    let measures = report.networks.iter().map(|(_, measures)| measures).chain([&report.total]);
    let bad = measures.map(|m| m.not_finite).max().unwrap_or(0);
    let bad = if bad > 0 { format!(" ({bad} with scores that are not finite, counted as wrong)") } else { String::new() };
    out.line(format_args!("images   {}{of}{broken}{bad}", report.images))?;
    let options = evaluator.options();
    if !options.views.is_plain() {
        out.line(format_args!("views    {}", describe(&options.views, options.average)))?;
    }
    if let Some(rate) = report.images_per_s {
        out.line(format_args!("images/s {rate:.1}"))?;
    }
    out.line("")
}

/// A percentage, which may be very small.
fn share(percent: f64) -> String {
    if percent < 0.01 { format!("{percent:.0e} %") } else { format!("{percent:.2} %") }
}

fn object(args: &Args, evaluator: &Evaluator, report: &Report) -> Value {
    let named: Vec<&str> = report.networks.iter().map(|(title, _)| title.as_str()).collect();
    let worst = |worst: &WorstImage| {
        json!({
            "image": worst.name, "class": worst.class, "label": evaluator.class_name(worst.class), "probability": worst.probability,
            "answer": worst.predicted, "answer_label": evaluator.class_name(worst.predicted),
            "answer_probability": worst.predicted_probability,
        })
    };
    let mut object = measured(&report.total);
    object["network"] = json!(named.join(" + "));
    object["images"] = json!(report.images);
    object["of"] = json!(report.of);
    object["skipped"] = json!(report.broken);
    object["views"] = views(&evaluator.options().views, args.average);
    object["confusion"] = json!(report.confusion.rows);
    object["images_per_s"] = json!(report.images_per_s);
    if named.len() > 1 {
        let each = report.networks.iter().map(|(title, m)| {
            let mut object = measured(m);
            object["network"] = json!(title);
            object
        });
        object["networks"] = each.collect();
    }
    if args.worst > 0 {
        object["worst"] = report.worst.iter().map(worst).collect();
    }
    object
}

fn measured(m: &Measures) -> Value {
    json!({
        "top1": m.top1, "top5": m.top5, "top1_error": 100.0 - m.top1, "top5_error": 100.0 - m.top5, "loss": m.loss,
        "not_finite": m.not_finite,
    })
}

fn views(views: &Views, average: Average) -> Value {
    let crops = match views.crop {
        Crop::Center => Some(1),
        Crop::Ten => Some(10),
        Crop::Whole => None,
    };
    let average = if average == Average::Logits { "logits" } else { "probabilities" };
    json!({
        "count": views.count(), "crops": crops, "scales": views.scales, "flipped": views.flip || views.crop == Crop::Ten, "average": average,
    })
}
