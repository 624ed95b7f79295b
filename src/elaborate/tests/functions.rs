//! Elementwise functions: what their programs compute, and which function a word is.

use std::path::Path;
use std::sync::Arc;

use super::super::Program;
use crate::base::file_system::MemoryFiles;
use crate::base::source::SourceMap;
use crate::ir::{Broadcast, Elementwise, Network};

fn network(files: &[(&str, &str)]) -> Network {
    let mut memory = MemoryFiles::default();
    files.iter().for_each(|(path, text)| memory.insert(path, *text));
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let program = Program::load(Path::new(files[0].0), Arc::new(memory), &mut sources, &mut diags).unwrap();
    let network = program.elaborate("net", &[], &mut sources, &mut diags);
    assert!(diags.is_empty(), "{diags:?}");
    network.unwrap()
}

/// The functions of a network with these declarations and statements, by the names of their layers.
fn functions(declarations: &str, statements: &str) -> Vec<(String, Elementwise)> {
    let text = format!("resnet 1\n{declarations}\nnetwork net(n = 3) {{\n  input 3 x 8 x 8\n{statements}\n}}\n");
    named(&network(&[("net.resnet", &text)]))
}

fn named(network: &Network) -> Vec<(String, Elementwise)> {
    let nodes = network.graph.ids().map(|id| network.graph.node(id));
    nodes.filter_map(|node| Some((node.name.clone(), (**node.op.as_elementwise()?).clone()))).collect()
}

fn only(declarations: &str, statements: &str) -> Elementwise {
    let mut list = functions(declarations, statements);
    assert_eq!(list.len(), 1);
    list.remove(0).1
}

/// The value of `apply EXPRESSION` where x is this.
fn value(expression: &str, x: f64) -> f64 {
    only("", &format!("apply {expression}")).program.evaluate(&[x])
}

#[test]
fn expressions_compute_what_they_say() {
    for (expression, x, expected) in [
        ("1 - x", 3.0, -2.0),
        ("-x / 2 * n", 3.0, -4.5),
        ("x * (1 / 2)", 3.0, 1.5),
        ("if x > 0 and x < 2 then 1 else if x == 2 or x >= 5 then 2 else 3", 1.0, 1.0),
        ("if x > 0 and x < 2 then 1 else if x == 2 or x >= 5 then 2 else 3", 2.0, 2.0),
        ("if x > 0 and x < 2 then 1 else if x == 2 or x >= 5 then 2 else 3", 6.0, 2.0),
        ("if x > 0 and x < 2 then 1 else if x == 2 or x >= 5 then 2 else 3", 3.0, 3.0),
        ("if not (x > 0 and not x > 1) then 1 else 0 * x", 0.5, 0.0),
        ("if not (x > 0 and not x > 1) then 1 else 0 * x", 2.0, 1.0),
        ("if n == 3 and true then x else x / 0", 2.0, 2.0),
        ("clamp(x, -inf, n)", 5.0, 3.0),
        ("min(max(x, 1), 2) + abs(-x)", 5.0, 7.0),
        ("elu(x, alpha: n % 2) + relu6(x + 3)", 4.0, 10.0),
        ("x + floor(pi)", 0.0, 3.0),
        ("softplus(x, beta: 2, threshold: 3)", 2.0, 2.0),
    ] {
        assert_eq!(value(expression, x), expected, "{expression} at {x}");
    }
    assert!(value("if x > 0 then 0 else x", f64::NAN).is_nan());
    assert_eq!(value("if not x > 0 then 0 else x", f64::NAN), 0.0);
}

#[test]
fn calls_share_what_they_have_in_common() {
    let mut text = String::from("elementwise f0(x) = sigmoid(x)\n");
    for i in 1..40 {
        text += &format!("elementwise f{i}(x) = f{}(x) * f{0}(x)\n", i - 1);
    }
    assert_eq!(only(&text, "f39").program.instructions().len(), 41);
    // 2^40 calls of a function that does nothing
    let mut text = String::from("elementwise g0(x) = x\n");
    for i in 1..40 {
        text += &format!("elementwise g{i}(x) = g{}(g{0}(x))\n", i - 1);
    }
    assert!(only(&text, "g39").program.is_identity());
}

#[test]
fn the_numbers_of_a_call_are_known() {
    let elu = only("", "elu alpha: 0.5");
    assert_eq!((&*elu.name, elu.numbers[0].value, elu.numbers[0].is_default), ("elu", 0.5, false));
    assert_eq!(elu, only("", "elu 0.5"));
    assert!(only("", "elu alpha: 1").numbers[0].is_default);
    let ramp = "elementwise ramp(x, low = 0, high = low + 2, slope: parameter = 1 / high) = if x > low then slope * x else high";
    let found = only(ramp, "ramp low: 2");
    assert_eq!(found.numbers.iter().map(|n| (n.value, n.is_default)).collect::<Vec<_>>(), [(2.0, false), (4.0, true)]);
    assert_eq!(found.operands[1].broadcast, Broadcast::Parameter { init: 0.25 });
    assert_eq!(found.program.evaluate(&[3.0, 5.0]), 15.0);
}

#[test]
fn operands_are_values_with_labels() {
    let film = "elementwise film(x, scale: channel, shift: channel, plus = 1) = x * (scale + plus) + shift";
    let branches = "branch scale {\n avgpool global\n}\nbranch b.shift {\n avgpool global\n}\n";
    let text = |call: &str| format!("resnet 1\n{film}\nnetwork net {{\ninput 3 x 8 x 8\n{branches}{call}\n}}\n");
    for call in ["film scale, shift: b.shift", "film shift: b.shift, scale: scale"] {
        let net = network(&[("net.resnet", &text(call))]);
        let id = net.graph.outputs()[0].1.node;
        let operands: Vec<_> = net.graph.operands(id).iter().map(|v| net.graph.node(v.node).name.clone()).collect();
        assert_eq!(operands, ["input", "scale.avgpool", "b.shift.avgpool"], "{call}");
        let function = net.graph.node(id).op.as_elementwise().unwrap();
        assert_eq!(function.program.evaluate(&[2.0, 3.0, 4.0]), 12.0);
    }
}

#[test]
fn a_file_has_its_own_functions_and_blocks_before_those_of_the_library() {
    let own = functions("elementwise gelu(x) = 2 * x", "gelu\napply gelu(x)\nsilu");
    assert_eq!(own[0].1.program.evaluate(&[3.0]), 6.0);
    assert_eq!(own[1].1.program.evaluate(&[3.0]), 6.0);
    assert_eq!(functions("block mish {\n  relu\n  tanh\n}", "mish")[1].1.name, "tanh");
    let library = "resnet 1\nelementwise gelu(x) = 3 * x\nelementwise twice(x) = 2 * gelu(x)\n";
    let text = "resnet 1\nuse \"lib.resnet\": twice\nnetwork net {\n  input 3 x 8 x 8\n  twice\n  gelu\n}\n";
    let names = named(&network(&[("net.resnet", text), ("lib.resnet", library)]));
    assert_eq!(names[0].1.program.evaluate(&[1.0]), 6.0);
    assert!((names[1].1.program.evaluate(&[1.0]) - 0.841_345).abs() < 1e-5);
}

#[test]
fn layers_are_numbered_and_named() {
    let names = |text| functions("", text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("relu\ngelu\ngelu\nrelu\nprelu as act\napply 1 - x"), ["relu1", "gelu", "gelu2", "relu2", "act", "apply"]);
    assert_eq!(names("sequential s {\n  conv 3x3, filters: 3\n  gelu\n  apply x + 1\n}"), ["s.1", "s.2"]);
}

#[test]
fn a_block_takes_an_activation() {
    let block = "block unit(act = relu, scale = 1) {\n  act\n  apply x * scale\n}";
    let calls = "unit\nunit act: elu(alpha: 0.25), scale: 2\nunit act: own";
    let list = functions(&format!("{block}\nelementwise own(x) = -x"), calls);
    let names: Vec<_> = list.iter().map(|(_, function)| &*function.name).collect();
    assert_eq!(names, ["relu", "apply", "elu", "apply", "own", "apply"]);
    assert_eq!(list[2].1.numbers[0].value, 0.25);
    assert!(list[1].1.program.is_identity());
}

#[test]
fn the_library_has_the_programs_that_kernels_know() {
    assert!(only("", "relu").program.is_relu());
    assert_eq!(only("", "relu"), Elementwise::relu());
    assert_eq!(only("", "sigmoid"), Elementwise::sigmoid());
    assert_eq!(only("", "clamp min: 0, max: 6"), Elementwise::clamp(0.0, 6.0));
    assert_eq!(only("", "clamp max: 6"), Elementwise::clamp(f32::NEG_INFINITY, 6.0));
    assert_eq!(only("", "apply 0.5 * x + 1"), Elementwise::affine(0.5, 1.0));
}

/// The codes of a file's errors.
fn codes(text: &str) -> Vec<&'static str> {
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let mut memory = MemoryFiles::default();
    memory.insert("net.resnet", text);
    let program = Program::load(Path::new("net.resnet"), Arc::new(memory), &mut sources, &mut diags).unwrap();
    program.elaborate("net", &[], &mut sources, &mut diags);
    diags.iter().map(|diag| diag.code.0).collect()
}

#[test]
fn hostile_functions_are_refused() {
    let net = "network net {\n  input 3 x 8 x 8\n  relu\n}\n";
    // a chain of calls deeper than the stack
    let mut chain = String::from("resnet 1\n");
    for i in (1..5000).rev() {
        chain += &format!("elementwise h{i}(x) = 1 + h{}(x)\n", i - 1);
    }
    chain += "elementwise h0(x) = -x\n";
    let found = codes(&(chain + net));
    assert!(found.iter().all(|code| ["E0113", "E0128"].contains(code)) && !found.is_empty(), "{found:?}");
    // calls that nest, and double
    let nested = format!("resnet 1\nelementwise n(x) = {}x{}\n{net}", "relu6(".repeat(60), ")".repeat(60));
    assert_eq!(codes(&nested), [] as [&str; 0]);
    let mut double = String::from("resnet 1\nelementwise d0(x) = sigmoid(x)\n");
    for i in 1..40 {
        double += &format!("elementwise d{i}(x) = d{}(d{0}(x + {i}))\n", i - 1);
    }
    let found = codes(&(double + net));
    assert_eq!(found, ["E0128"]);
    // long expressions
    let sum = |n| format!("resnet 1\nelementwise s(x) = x{}\n{net}", " + x * 2".repeat(n));
    assert_eq!(codes(&sum(200)), [] as [&str; 0]);
    assert_eq!(codes(&sum(254)), ["E0128"]);
    assert_eq!(codes(&sum(400)), ["E0009"]);
    let signs = format!("resnet 1\nelementwise m(x) = {}x\n{net}", "-".repeat(500));
    assert_eq!(codes(&signs), [] as [&str; 0]);
}
