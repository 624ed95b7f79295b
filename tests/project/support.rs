//! The support matrix, `docs/operators.md`: each operator is tried with everything that it may be used for, and what happens is the
//! table.

use std::fmt::Write;
use std::path::Path;

use resnetc::internal::check;
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::onnx::{self, ExportOptions, Source};
use resnetc::internal::grad::{self, GradOptions};
use resnetc::internal::ir::ops::operators;
use resnetc::internal::ir::{Checked, Graph};
use resnetc::internal::runtime::{Model, ParamStore, init, interp};
use resnetc::internal::syntax::prelude;
use resnetc::internal::torch;

use ndarray::ArrayD;

/// The columns after the statement.
const USES: [&str; 5] = ["f32", "training", "ONNX out", "ONNX in", "PyTorch out"];

/// A network in which a statement reads a feature map, and a layer reads the statement's result.
fn network(statement: &str) -> Checked {
    let branch = match statement {
        _ if statement.contains("LABEL") => "branch LABEL { relu }\n",
        // reads values with one pixel
        _ if statement.starts_with("channel_conv") => "avgpool global\n",
        _ => "",
    };
    let body = format!("conv 3x3, filters: 4\n{branch}{statement}");
    let source = format!("resnet 1\nblock tried {{\n{body}\n}}\nnetwork net {{\ninput 4 x 16 x 16\ntried\nlinear 3\n}}\n");
    let mut front = Frontend::text("operator.resnet", &source);
    front.check("net", &[]).unwrap_or_else(|| panic!("{statement}: {:?}", front.diagnostics))
}

type Outcome = Result<(), String>;

/// The kernels compute what the reference interpreter does.
fn runs(checked: &Checked, params: &ParamStore) -> Outcome {
    let input = ArrayD::from_shape_fn(vec![2, 4, 16, 16], |at| ((at[1] * 7 + at[2] * 5 + at[3] * 3) % 11) as f32 / 5.0 - 1.0);
    let inputs = [("input", input.view())];
    let expected = interp::run(&checked.canonical(), params, &inputs).map_err(|error| error.to_string())?;
    let model = Model::new(checked.clone(), params.clone()).map_err(|error| error.to_string())?;
    let found = model.session().and_then(|mut session| session.run(&inputs)).map_err(|error| error.to_string())?;
    let far = found.main().iter().zip(expected.main()).any(|(a, b)| (a - b).abs() > 1e-3 * b.abs().max(1.0));
    if far { Err("its results differ from the reference interpreter's".to_owned()) } else { Ok(()) }
}

fn trains(checked: &Checked) -> Outcome {
    grad::training(&checked.canonical().scores().0, &GradOptions::default()).map(drop).map_err(|error| error.to_string())
}

/// Exports, and whether the words of the graph that is imported again are the same.
fn onnx_out_and_in(checked: &Checked, params: &ParamStore, folder: &Path) -> [Outcome; 2] {
    let path = folder.join("operator.onnx");
    let options = ExportOptions { opset: onnx::LAST_OPSET, ..ExportOptions::default() };
    if let Err(error) = onnx::write(&path, checked, params, &Source::default(), &options) {
        return [Err(error.to_string()), Err("it is not exported".to_owned())];
    }
    let words = |graph: &Graph| {
        let mut words: Vec<String> = graph.ids().map(|id| graph.node(id).op.word().to_owned()).collect();
        words.sort();
        words
    };
    let imported = match onnx::open(&path) {
        Err(error) => Err(error.to_string()),
        Ok(imported) if check::check(imported.network("net"), &mut Vec::new()).is_none() => Err("it does not check".to_owned()),
        Ok(imported) => {
            let (own, found) = (words(checked.graph()), words(&imported.graph));
            if own == found {
                Ok(())
            } else {
                let other: Vec<String> = found.into_iter().filter(|word| !own.contains(word)).collect();
                Err(match &other[..] {
                    [] => "as fewer operators with the same result".to_owned(),
                    words => format!("as `{}`", words.join("`, `")),
                })
            }
        }
    };
    [Ok(()), imported]
}

fn row(statement: &str, notes: &mut Vec<String>, folder: &Path) -> String {
    let checked = network(statement);
    let params = init::init(&checked, 1).unwrap();
    let [out, back] = onnx_out_and_in(&checked, &params, folder);
    let torch = torch::write(&checked, None).map(drop).map_err(|error| error.to_string());
    let outcomes = [runs(&checked, &params), trains(&checked), out, back, torch];
    let mut cell = |outcome: Outcome| match outcome {
        Ok(()) => "yes".to_owned(),
        Err(reason) => {
            let at = notes.iter().position(|note| *note == reason).unwrap_or_else(|| {
                notes.push(reason);
                notes.len() - 1
            });
            format!("[{}]", at + 1)
        }
    };
    let cells: Vec<String> = outcomes.into_iter().map(&mut cell).collect();
    format!("| `{statement}` | {} |\n", cells.join(" | "))
}

fn page() -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut out = String::from(
        "# What each operator supports\n\n\
         Each statement was tried in a small network: computed by the kernels and compared with the reference interpreter (f32), differentiated (training), exported to the newest ONNX opset, \
         imported from that file, and exported to PyTorch. A number refers to the reason below. There are no bf16 and int8 kernels yet. `resnetc explain OPERATOR` prints an operator's \
         arguments.\n\n\
         `RESNETC_WRITE_DOCS=1 cargo test --test project support::` writes this page.\n\n",
    );
    let _ = writeln!(out, "| statement | {} |\n| --- |{}", USES.join(" | "), " --- |".repeat(USES.len()));
    let mut notes = Vec::new();
    for operator in operators() {
        for example in operator.schema.examples {
            out.push_str(&row(example, &mut notes, folder.path()));
        }
    }
    for activation in prelude::activations().iter().filter(|a| a.params.iter().all(|p| p.kind.is_none_or(|k| k != "channel"))) {
        out.push_str(&row(activation.name, &mut notes, folder.path()));
    }
    out.push_str(&row("apply 1 - x * x", &mut notes, folder.path()));
    if !notes.is_empty() {
        out.push('\n');
    }
    for (at, note) in notes.iter().enumerate() {
        let _ = writeln!(out, "{}. {note}", at + 1);
    }
    out
}

#[test]
fn the_page_says_what_each_operator_supports() {
    let page = page();
    if std::env::var_os("RESNETC_WRITE_DOCS").is_some() {
        std::fs::write("docs/operators.md", page).unwrap();
        return;
    }
    let written = std::fs::read_to_string("docs/operators.md").unwrap();
    assert_eq!(written, page, "RESNETC_WRITE_DOCS=1 cargo test --test project support:: writes it");
}
