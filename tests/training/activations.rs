//! Elementwise functions against PyTorch, in value and gradient: at ordinary arguments, ties, infinities, NaN and denormal numbers.
//! `tests/reference/activations.py` made the numbers.

use ndarray::ArrayD;
use resnetc::internal::driver::Frontend;
use resnetc::internal::elementwise::Read;
use resnetc::internal::ir::{Broadcast, Checked, Elementwise};
use resnetc::internal::kernels::Isa;
use resnetc::internal::runtime::{Model, ParamStore, SessionOptions, init};
use resnetc::internal::syntax::prelude;

/// Where we give another result on purpose: functions, argument, ours. The gradient of `clamp` passes at its limits.
const DIFFERENCES: &[(&str, &str)] = &[
    ("gradient of apply clamp(x, -1, 3) at -1e0", "0.5"),
    ("gradient of apply clamp(x, -1, 3) at 3e0", "0.5"),
    ("gradient of clamp min: -0.5, max: 3 at -5e-1", "0.5"),
    ("gradient of clamp min: -0.5, max: 3 at 3e0", "0.5"),
    ("gradient of clamp min: 0 at 0e0", "0.5"),
    ("gradient of clamp min: 0 at -0e0", "0.5"),
];

struct Fixture {
    x: Vec<f64>,
    /// The statement, values, and gradients for a gradient of 0.5 of the result.
    functions: Vec<(String, Vec<f64>, Vec<f64>)>,
}

fn fixture() -> Fixture {
    let text = std::fs::read_to_string("tests/fixtures/activations.json").unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |list: &serde_json::Value| -> Vec<f64> {
        list.as_array().unwrap().iter().map(|v| v.as_str().unwrap().parse().unwrap()).collect()
    };
    let functions = json["functions"].as_object().unwrap().iter();
    Fixture {
        x: numbers(&json["x"]),
        functions: functions.map(|(name, of)| (name.clone(), numbers(&of["y"]), numbers(&of["dx"]))).collect(),
    }
}

fn network(statement: &str, len: usize) -> Checked {
    let source = format!("resnet 1\nnetwork n {{\n input {len}\n {statement}\n}}\n");
    let checked = Frontend::text("n.resnet", &source).check("n", &[]);
    checked.unwrap_or_else(|| panic!("`{statement}` does not check"))
}

fn function(network: &Checked) -> &Elementwise {
    let graph = network.graph();
    graph.ids().find_map(|id| graph.node(id).op.as_elementwise()).unwrap()
}

/// The values of all operands, learned ones at their initial values.
fn operands(function: &Elementwise, x: f64) -> Vec<f64> {
    let value = |broadcast: Broadcast| broadcast.init().map_or(x, f64::from);
    function.operands.iter().map(|operand| value(operand.broadcast)).collect()
}

/// Equal to rounding: constants have the precision of f32.
fn close(ours: f64, theirs: f64, x: f64) -> bool {
    // denormal numbers are multiples of 1.4e-45
    let rounding = 1e-6 * theirs.abs() + 2e-7 * x.abs().min(1.0) + 3e-45;
    ours == theirs || ours.is_nan() && theirs.is_nan() || (ours - theirs).abs() <= rounding
}

fn differs(kind: &str, statement: &str, x: f64, ours: f64, theirs: f64) -> Option<String> {
    let line = format!("{kind} of {statement} at {x:e}");
    (!close(ours, theirs, x) && !DIFFERENCES.contains(&(line.as_str(), ours.to_string().as_str())))
        .then(|| format!("{line}: {ours:e}, PyTorch {theirs:e}"))
}

#[test]
fn every_activation_is_compared() {
    let fixture = fixture();
    let words: Vec<&str> = fixture.functions.iter().filter_map(|(statement, ..)| statement.split(' ').next()).collect();
    let missing: Vec<_> = prelude::activations().iter().map(|a| a.name).filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let fixture = fixture();
    let mut wrong = Vec::new();
    for (statement, y, dx) in &fixture.functions {
        let network = network(statement, 1);
        let function = function(&network);
        let gradient = function.program.gradient(0).unwrap();
        for ((&x, &y), &dx) in fixture.x.iter().zip(y).zip(dx) {
            let values = operands(function, x);
            let own = function.program.evaluate(&values);
            wrong.extend(differs("value", statement, x, own, y));
            let read = |read: &Read| match *read {
                Read::ResultGradient => 0.5,
                Read::Result => own,
                Read::Operand(slot) => values[slot],
            };
            let reads: Vec<f64> = gradient.reads.iter().map(read).collect();
            // at NaN, PyTorch's gradients differ between a single value and a vector of them
            if x.is_nan() {
                continue;
            }
            wrong.extend(differs("gradient", statement, x, gradient.program.evaluate(&reads), dx));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn kernels_compute_the_values_of_pytorch() {
    let fixture = fixture();
    let mut wrong = Vec::new();
    let x: Vec<f32> = fixture.x.iter().map(|&x| x as f32).collect();
    let input = ArrayD::from_shape_vec(vec![1, x.len()], x.clone()).unwrap();
    for (statement, y, _) in &fixture.functions {
        let network = network(statement, x.len());
        let params: ParamStore = init::init(&network, 1).unwrap();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let model = Model::new(network.clone(), params.clone()).unwrap();
            let mut session = model.session_with(SessionOptions { threads: 1, isa: Some(isa) }).unwrap();
            let outputs = session.run(&[("input", input.view())]).unwrap();
            for ((&x, &own), &y) in x.iter().zip(outputs.main()).zip(y) {
                wrong.extend(differs(
                    "value",
                    &format!("{statement} ({isa})"),
                    f64::from(x),
                    f64::from(own),
                    f64::from(y as f32),
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
