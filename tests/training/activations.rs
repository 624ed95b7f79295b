//! `std.activations` against PyTorch, in values and gradients: `tests/reference/activations.py` wrote the numbers.

use resnetc::internal::driver::Frontend;
use resnetc::internal::elementwise::Read;
use resnetc::internal::ir::Elementwise;
use resnetc::internal::syntax::prelude;

/// Where we differ: the statement, the point, and why.
const DIFFERS: &[(&str, f64, &str)] = &[
    ("clamp min: 0, max: 6", 0.0, "ours passes the gradient at the limits"),
    ("clamp min: 0, max: 6", 6.0, "ours passes the gradient at the limits"),
    ("clamp max: 1", 1.0, "ours passes the gradient at the limits"),
    ("hardswish", f64::NAN, "PyTorch's gradient is 1"),
    ("hardsigmoid", f64::NAN, "PyTorch's gradient is 0"),
];

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

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let text = include_str!("../fixtures/activations.txt");
    let (mut statement, mut current, mut seen) = ("", None, Vec::new());
    let mut failures = Vec::new();
    for line in text.lines().skip(1) {
        let Some(numbers) = line.strip_prefix("  ") else {
            statement = line;
            current = Some(function(line));
            seen.push(line.split(' ').next().unwrap());
            continue;
        };
        let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let [x, y, gradient] = numbers[..] else { panic!("{line}") };
        let found = value_and_gradient(current.as_ref().unwrap(), x);
        let is_known = DIFFERS.iter().any(|(of, at, _)| *of == statement && (*at == x || (at.is_nan() && x.is_nan())));
        if !agrees(found[0], y) || agrees(found[1], gradient) == is_known {
            failures.push(format!("{statement} at {x}: {found:?}, in PyTorch {:?}", [y, gradient]));
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    let missing: Vec<_> = prelude::activations().iter().filter(|a| !seen.contains(&a.name)).map(|a| a.name).collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
}
