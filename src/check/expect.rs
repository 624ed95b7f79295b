//! `expect` lines: assertions about what was counted.

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::summary::{Totals, thousands};
use crate::ir::{Checked, Expect, ExpectValue, Metric, Shape};

/// Checks all expectations of the network.
pub(super) fn check(checked: &Checked, diags: &mut Vec<Diagnostic>) {
    if checked.network.expects.is_empty() {
        return;
    }
    let totals = Totals::of(checked);
    for expect in &checked.network.expects {
        match &expect.metric {
            Metric::Layers => count(expect, "layers", codes::EXPECT_LAYERS, Some(totals.layers), diags),
            Metric::Params => count(expect, "parameters", codes::EXPECT_PARAMS, Some(totals.params), diags),
            Metric::Macs => count(expect, "multiply-adds", codes::EXPECT_MACS, totals.macs, diags),
            Metric::Output(name) => shape(checked, expect, name.as_deref(), diags),
        }
    }
}

fn count(expect: &Expect, what: &str, code: crate::base::diagnostic::Code, got: Option<u64>, diags: &mut Vec<Diagnostic>) {
    let Some(got) = got else {
        diags.push(
            Diagnostic::error(
                code,
                format!("the {what} depend on the input's size, which is free"),
                expect.span,
                "cannot be counted",
            )
            .help("expect it of a network with a fixed input"),
        );
        return;
    };
    let (fits, wanted) = match expect.value {
        ExpectValue::Exactly(n) => (n == got, thousands(n)),
        // a hair beyond one unit, for what binary fractions do to 0.1
        ExpectValue::About { value, unit } => {
            ((got as f64 - value).abs() <= unit * (1.0 + 1e-9), format!("about {}", short(value)))
        }
        ExpectValue::Shape(_) => return,
    };
    if fits {
        return;
    }
    let mut diag = Diagnostic::error(
        code,
        format!("expected {wanted} {what}, counted {}", thousands(got)),
        expect.span,
        format!("{} here", thousands(got)),
    );
    if let ExpectValue::Exactly(n) = expect.value {
        let (more, by) = if got > n { ("more", got - n) } else { ("fewer", n - got) };
        diag = diag.note(format!("{} {more} than expected", thousands(by)));
    }
    diags.push(diag.note("`resnetc summary` counts layer by layer"));
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
            let labelled = network.labelled.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
            labelled.or_else(|| network.graph.outputs().iter().find(|(n, _)| n == name).map(|(_, value)| *value))
        }
    };
    let Some(value) = value else {
        let known = ["layers", "params", "macs", "output"];
        let all = known.into_iter().chain(network.labelled.iter().map(|(n, _)| n.as_str()));
        let name = name.unwrap_or("output");
        let mut diag =
            Diagnostic::error(codes::EXPECT_UNKNOWN, format!("nothing is called `{name}`"), expect.span, "expected of what?");
        if let Some(near) = crate::elaborate::nearest(name, all) {
            diag = diag.help(format!("did you mean `{near}`?"));
        }
        diags.push(diag.note("an expectation is about `layers`, `params`, `macs`, `output`, or a labelled value of the network"));
        return;
    };
    let got: &Shape = checked.shape(value.node);
    if got != wanted {
        diags.push(
            Diagnostic::error(
                codes::EXPECT_SHAPE,
                format!("expected {wanted}, inferred {got}"),
                expect.span,
                format!("{got} here"),
            )
            .label(network.graph.node(value.node).origin.span, "made here"),
        );
    }
}
