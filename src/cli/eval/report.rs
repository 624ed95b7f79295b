//! What `resnetc eval` answers.

use serde_json::{Value, json};

use super::super::args::Format;
use super::super::output::{Done, Failure, Out};
use super::super::table::table;
use super::judge::Evaluator;
use super::score::{Answer, Measures};
use super::{Args, Average};
use crate::data::{Crop, Views};

pub(super) fn report(args: &Args, judge: &Evaluator<'_>, out: &mut Out) -> Done {
    let measures = judge.measures();
    let Some(all) = measures.last() else { return Err(Failure::Input("no image could be read".into())) };
    match args.format {
        Format::Text => text(args, judge, &measures, out),
        Format::Json => out.line(object(args, judge, &measures, all)),
    }
}

/// The networks' names, and, of several, that of all together.
fn titles(judge: &Evaluator<'_>) -> Vec<String> {
    let mut titles: Vec<String> = judge.members.list.iter().map(|m| m.title.clone()).collect();
    if titles.len() > 1 {
        titles.push("ensemble".into());
    }
    titles
}

fn text(args: &Args, judge: &Evaluator<'_>, measures: &[Measures], out: &mut Out) -> Done {
    let counts = &judge.counts;
    let all = judge.work.data.len();
    let of = if counts.next < all { format!(" of {all}") } else { String::new() };
    let broken = if counts.broken > 0 { format!(" ({} broken)", counts.broken) } else { String::new() };
    let bad = measures.iter().map(|m| m.not_finite).max().unwrap_or(0);
    let bad = if bad > 0 { format!(" ({bad} with scores that are not finite, counted as wrong)") } else { String::new() };
    out.line(format_args!("images   {}{of}{broken}{bad}", counts.seen))?;
    if !judge.work.views.is_plain() {
        out.line(format_args!("views    {}", describe(judge.work.views, args.average)))?;
    }
    if judge.answered > 0 {
        out.line(format_args!("images/s {:.1}", rate(judge)))?;
    }
    out.line("")?;
    let percent = |part: f64| format!("{part:.2} %");
    let row = |(title, m): (String, &Measures)| {
        let loss = format!("{:.4}", m.loss);
        vec![title, percent(m.top1), percent(100.0 - m.top1), percent(m.top5), percent(100.0 - m.top5), loss]
    };
    let rows: Vec<Vec<String>> = titles(judge).into_iter().zip(measures).map(row).collect();
    table(out, &["network", "top-1", "error", "top-5", "error", "loss"], 1, &rows, rows.len() > 1)?;
    let name = |class: usize| name(judge, class);
    out.text(&counts.confusion.text(name))?;
    if !counts.worst.is_empty() {
        let row = |a: &Answer| {
            let [truth, probability] = [a.truth, a.probability].map(|p| share(100.0 * f64::from(p)));
            vec![judge.work.data.name(a.index), name(a.class), truth, name(a.answer), probability]
        };
        let rows: Vec<Vec<String>> = counts.worst.iter().map(row).collect();
        out.line("")?;
        table(out, &["image", "class", "given", "answer", "given"], 4, &rows, false)?;
    }
    Ok(())
}

/// A percentage, which may be very small.
fn share(percent: f64) -> String {
    if percent < 0.01 { format!("{percent:.0e} %") } else { format!("{percent:.2} %") }
}

fn object(args: &Args, judge: &Evaluator<'_>, measures: &[Measures], all: &Measures) -> Value {
    let counts = &judge.counts;
    let titles = titles(judge);
    let named: Vec<&str> = judge.members.list.iter().map(|m| m.title.as_str()).collect();
    let worst = |a: &Answer| {
        json!({
            "image": judge.work.data.name(a.index), "class": a.class, "label": name(judge, a.class), "probability": a.truth,
            "answer": a.answer, "answer_label": name(judge, a.answer), "answer_probability": a.probability,
        })
    };
    let mut object = measured(all);
    object["network"] = json!(named.join(" + "));
    object["images"] = json!(counts.seen);
    object["of"] = json!(judge.work.data.len());
    object["broken"] = json!(counts.broken);
    object["views"] = views(judge.work.views, args.average);
    object["confusion"] = json!(counts.confusion.rows);
    object["images_per_s"] = json!((judge.answered > 0).then(|| rate(judge)));
    if titles.len() > 1 {
        let each = titles.iter().zip(measures).take(named.len()).map(|(title, m)| {
            let mut object = measured(m);
            object["network"] = json!(title);
            object
        });
        object["networks"] = each.collect();
    }
    if args.worst > 0 {
        object["worst"] = counts.worst.iter().map(worst).collect();
    }
    object
}

fn measured(m: &Measures) -> Value {
    json!({
        "top1": m.top1, "top5": m.top5, "top1_error": 100.0 - m.top1, "top5_error": 100.0 - m.top5, "loss": m.loss,
        "not_finite": m.not_finite,
    })
}

fn rate(judge: &Evaluator<'_>) -> f64 {
    judge.answered as f64 / judge.seconds.max(1e-9)
}

/// A class's label, or what the dataset calls it.
fn name(judge: &Evaluator<'_>, class: usize) -> String {
    let named = judge.members.labels().get(class).or_else(|| judge.work.data.classes().get(class));
    named.cloned().unwrap_or_else(|| class.to_string())
}

fn views(views: &Views, average: Average) -> Value {
    let crops = match views.crop {
        Crop::Center => Some(1),
        Crop::Ten => Some(10),
        Crop::Whole => None,
    };
    let average = if average == Average::Logits { "logits" } else { "probabilities" };
    json!({
        "count": views.count(), "crops": crops, "scales": views.scales, "mirrored": views.flip || views.crop == Crop::Ten, "average": average,
    })
}

/// `10: corners and center, and mirrored; probabilities averaged`.
pub(super) fn describe(views: &Views, average: Average) -> String {
    let crop = match views.crop {
        Crop::Center => "the center",
        Crop::Ten => "the corners and the center",
        Crop::Whole => "the whole image",
    };
    let sizes: Vec<String> = views.scales.iter().map(usize::to_string).collect();
    let at = match &sizes[..] {
        [] => String::new(),
        [one] => format!(" at {one} pixels"),
        [rest @ .., last] => format!(" at {} and {last} pixels", rest.join(", ")),
    };
    let mirrored = if views.flip || views.crop == Crop::Ten { ", and mirrored" } else { "" };
    let average = match (views.count(), average) {
        (1, _) => "",
        (_, Average::Probabilities) => "; probabilities averaged",
        (_, Average::Logits) => "; logits averaged",
    };
    format!("{}: {crop}{at}{mirrored}{average}", views.count())
}
