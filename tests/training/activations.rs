//! `std.activations` against PyTorch, in values and gradients: `tests/reference/activations.py` wrote the numbers.

use ndarray::ArrayD;
use resnetc::internal::driver::Frontend;
use resnetc::internal::elementwise::Read;
use resnetc::internal::ir::Elementwise;
use resnetc::internal::kernels::Isa;
use resnetc::internal::runtime::{Model, SessionOptions, init};
use resnetc::internal::syntax::prelude;

fn function(statement: &str) -> Elementwise {
    let mut front = Frontend::text("net.resnet", &format!("resnet 1\nnetwork net {{\n  input 3 x 8 x 8\n  {statement}\n}}\n"));
    let checked = front.check("net", &[]).unwrap_or_else(|| panic!("{statement}: {:?}", front.diagnostics));
    let graph = &checked.network.graph;
    let functions: Vec<_> = graph.ids().filter_map(|id| graph.node(id).op.as_elementwise()).collect();
    assert_eq!(functions.len(), 1, "{statement}");
    (**functions[0]).clone()
}

/// The value at a point, and the gradient in the current value.
fn value_and_gradient(function: &Elementwise, x: f64) -> [f64; 2] {
    let rest = function.operands.iter().skip(1).map(|operand| f64::from(operand.broadcast.init().unwrap()));
    let operands: Vec<f64> = std::iter::once(x).chain(rest).collect();
    let y = function.program.evaluate(&operands);
    let gradient = function.program.gradient(0).unwrap();
    let reads: Vec<f64> = gradient
        .reads
        .iter()
        .map(|read| match read {
            Read::ResultGradient => 1.0,
            Read::Result => y,
            Read::Operand(slot) => operands[*slot],
        })
        .collect();
    [y, gradient.program.evaluate(&reads)]
}

/// Our constants are rounded to float32.
fn agrees(found: f64, expected: f64) -> bool {
    found == expected || (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= 1e-12 + 1e-5 * expected.abs()
}

/// The statements of the fixture, with the argument, value and gradient on each of their lines.
fn fixture() -> Vec<(&'static str, Vec<[f64; 3]>)> {
    let mut list: Vec<(&str, Vec<[f64; 3]>)> = Vec::new();
    for line in include_str!("../fixtures/activations.txt").lines().skip(1) {
        match (line.strip_prefix("  "), list.last_mut()) {
            (Some(numbers), Some((_, points))) => {
                let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
                points.push(numbers.try_into().unwrap());
            }
            _ => list.push((line, Vec::new())),
        }
    }
    list
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let mut failures = Vec::new();
    for (statement, points) in fixture() {
        let function = function(statement);
        for [x, y, gradient] in points {
            let found = value_and_gradient(&function, x);
            // at NaN, PyTorch's vectorized gradients differ from its scalar ones
            if !agrees(found[0], y) || !(x.is_nan() || agrees(found[1], gradient)) {
                failures.push(format!("{statement} at {x}: {found:?}, in PyTorch {:?}", [y, gradient]));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    let seen: Vec<&str> = fixture().iter().map(|(statement, _)| statement.split(' ').next().unwrap()).collect();
    let missing: Vec<_> = prelude::activations().iter().filter(|a| !seen.contains(&a.name)).map(|a| a.name).collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
}

/// A step in float32 near a value, also where it is denormal.
fn is_near(found: f32, expected: f64, x: f64) -> bool {
    let rounding = 3e-6 * expected.abs() + 2e-7 * x.abs().min(1.0) + f64::from(f32::from_bits(2));
    found == expected as f32 || found.is_nan() && expected.is_nan() || (f64::from(found) - expected).abs() <= rounding
}

#[test]
fn kernels_compute_the_values_of_pytorch() {
    let mut failures = Vec::new();
    for (statement, points) in fixture() {
        let source = format!("resnet 1\nnetwork net {{\n  input {}\n  {statement}\n}}\n", points.len());
        let checked = Frontend::text("net.resnet", &source).check("net", &[]).unwrap();
        let input = ArrayD::from_shape_fn(vec![1, points.len()], |at| points[at[1]][0] as f32);
        let model = Model::new(checked.clone(), init::init(&checked, 1).unwrap()).unwrap();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let mut session = model.session_with(SessionOptions { threads: 1, isa: Some(isa) }).unwrap();
            let outputs = session.run(&[("input", input.view())]).unwrap();
            for (&[x, y, _], &found) in points.iter().zip(outputs.main()) {
                if !is_near(found, y, x) {
                    failures.push(format!("{statement} at {x:e} ({isa}): {found:e}, in PyTorch {y:e}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
