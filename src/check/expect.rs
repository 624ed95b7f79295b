//! `expect` lines: assertions about the network.

use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::ir::summary::{StageRow, Totals, stages, thousands};
use crate::ir::{Checked, Expect, ExpectValue, Metric, Shape};

/// Checks all expectations of the network.
pub(super) fn check(checked: &Checked, diags: &mut Vec<Diagnostic>) {
    if checked.network.expects.is_empty() {
        return;
    }
    let totals = Totals::of(checked);
    for expect in &checked.network.expects {
        match &expect.metric {
            Metric::Layers => {
                let diag = count(expect, "layers", codes::EXPECT_LAYERS, Some(totals.layers));
                diags.extend(diag.map(|d| d.note("layers are the convolutions and linear layers on the longest path")));
            }
            Metric::Params => {
                let diag = count(expect, "parameters", codes::EXPECT_PARAMS, Some(totals.params));
                diags.extend(diag.map(|d| by_stage(d, checked, |row| Some(row.params))));
            }
            Metric::Macs => {
                let diag = count(expect, "multiply-adds", codes::EXPECT_MACS, totals.macs);
                diags.extend(diag.map(|d| by_stage(d, checked, |row| row.macs)));
            }
            Metric::Output(name) => shape(checked, expect, name.as_deref(), diags),
        }
    }
}

/// The error for a count that differs from the expected one; `None` if it matches.
fn count(expect: &Expect, what: &str, code: Code, got: Option<u64>) -> Option<Diagnostic> {
    let Some(got) = got else {
        let message = format!("the {what} depend on the input's size, which is free");
        let diag = Diagnostic::error(code, message, expect.span, "cannot be counted");
        return Some(diag.help("put it in a network with a fixed input size"));
    };
    let (fits, wanted) = match expect.value {
        ExpectValue::Exactly(n) => (n == got, thousands(n)),
        // slightly more than one unit, since 0.1 has no exact binary representation
        ExpectValue::About { value, unit } => {
            ((got as f64 - value).abs() <= unit * (1.0 + 1e-9), format!("about {}", short(value)))
        }
        ExpectValue::Shape(_) => return None,
    };
    if fits {
        return None;
    }
    let counted = thousands(got);
    let message = format!("expected {wanted} {what}, counted {counted}");
    let diag = Diagnostic::error(code, message, expect.span, format!("counted {counted}"));
    Some(match expect.value {
        ExpectValue::Exactly(n) if got > n => diag.note(format!("{} more than expected", thousands(got - n))),
        ExpectValue::Exactly(n) => diag.note(format!("{} fewer than expected", thousands(n - got))),
        ExpectValue::About { unit, .. } => {
            diag.note(format!("`~=` holds within one unit of the last digit written: {} here", short(unit)))
        }
        ExpectValue::Shape(_) => diag,
    })
}

/// Adds the count of each stage, which helps to find the difference.
fn by_stage(diag: Diagnostic, checked: &Checked, of: impl Fn(&StageRow) -> Option<u64>) -> Diagnostic {
    const MOST: usize = 12;
    let rows = stages(checked);
    let parts: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let name = match (row.name.as_str(), row.unit.as_str()) {
                ("", "") => "outside stages",
                ("", unit) => unit,
                (name, _) => name,
            };
            Some(format!("{name} {}", thousands(of(row).filter(|&n| n > 0)?)))
        })
        .collect();
    match parts.len() {
        2..=MOST => diag.note(format!("counted {}", parts.join(", "))),
        _ => diag.note("`resnetc summary` counts layer by layer"),
    }
}

/// `3.8e9` as `3.8 G`.
fn short(value: f64) -> String {
    for (unit, name) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if value >= unit {
            return format!("{}{name}", value / unit);
        }
    }
    value.to_string()
}

fn shape(checked: &Checked, expect: &Expect, name: Option<&str>, diags: &mut Vec<Diagnostic>) {
    let ExpectValue::Shape(wanted) = &expect.value else { return };
    let network = &checked.network;
    let value = match name {
        None => network.graph.outputs().first().map(|(_, value)| *value),
        Some(name) => {
            let labeled = network.labeled.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
            labeled.or_else(|| network.graph.outputs().iter().find(|(n, _)| n == name).map(|(_, value)| *value))
        }
    };
    let Some(value) = value else {
        let known = ["layers", "params", "macs", "output"];
        let all = known.into_iter().chain(network.labeled.iter().map(|(n, _)| n.as_str()));
        let name = name.unwrap_or("output");
        let mut diag = Diagnostic::error(
            codes::EXPECT_UNKNOWN,
            format!("`expect` names the unknown value `{name}`"),
            expect.span,
            "not found",
        );
        if let Some(near) = crate::elaborate::nearest(name, all) {
            diag = diag.help(format!("did you mean `{near}`?"));
        }
        diags.push(diag.note("`expect` takes `layers`, `params`, `macs`, `output`, or a labeled value of the network"));
        return;
    };
    let got: &Shape = checked.shape(value);
    if got != wanted {
        diags.push(
            Diagnostic::error(
                codes::EXPECT_SHAPE,
                format!("expected {wanted}, inferred {got}"),
                expect.span,
                format!("{got} here"),
            )
            .label(network.graph.node(value.node).origin.span, "computed here"),
        );
    }
}
