//! Elaboration on small texts: names, policies, binding, `--set`, derivation, bounds. Diagnostics of whole files are in
//! `tests/cases`.

mod files;
mod functions;
mod numbers;

use std::sync::Arc;

use super::Program;
use crate::base::diagnostic::Diagnostic;
use crate::base::file_system::MemoryFiles;
use crate::base::source::{SourceFile, SourceMap};
use crate::ir::{Network, Op, Shape, Shortcut};

/// Elaborates the network `net`, with values set.
fn elaborate(text: &str, set: &[(&str, &str)]) -> (Option<Network>, Vec<Diagnostic>) {
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let file = SourceFile { name: "test".into(), path: None, text: format!("resnet 1\n{text}").into() };
    let program = Program::from_source(file, Arc::new(MemoryFiles::default()), &mut sources, &mut diags);
    let set: Vec<_> = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let network = program.elaborate("net", &set, &mut sources, &mut diags);
    (network, diags)
}

fn good(text: &str) -> Network {
    let (network, diags) = elaborate(text, &[]);
    assert!(diags.is_empty(), "{diags:?}");
    network.expect("a network")
}

fn codes(text: &str, set: &[(&str, &str)]) -> Vec<&'static str> {
    elaborate(text, set).1.iter().map(|d| d.code.0).collect()
}

/// The names of all nodes but the input, in order.
fn names(network: &Network) -> Vec<&str> {
    network.graph.ids().skip(1).map(|id| network.graph.node(id).name.as_str()).collect()
}

fn filters(network: &Network) -> Vec<usize> {
    let conv = |op: &Op| if let Op::Conv(conv) = op { Some(conv.filters) } else { None };
    network.graph.ids().filter_map(|id| conv(&network.graph.node(id).op)).collect()
}

const BASIC: &str = "use std.blocks: basic\n";

/// A network of one stage that doubles the channels and halves the map, under a policy.
fn residual(policy: &str) -> String {
    format!(
        "{BASIC}network net {{\n input 4 x 8 x 8\n shortcut: {policy}\n stage layer1: 2 of basic {{ filters: 8, map: halve }}\n}}\n"
    )
}

#[test]
fn names_are_torchvisions() {
    let net = good(&format!(
        "{BASIC}network net {{\n input 3 x 8 x 8\n stem {{\n conv 3x3, filters: 4\n batchnorm\n relu\n }}\n shortcut: projection\n \
         stage layer1: 1 of basic {{ filters: 8 }}\n head {{\n avgpool global\n linear 10\n }}\n}}\n"
    ));
    let expected = [
        "conv1",
        "bn1",
        "relu1",
        "layer1.0.conv1",
        "layer1.0.bn1",
        "layer1.0.relu1",
        "layer1.0.conv2",
        "layer1.0.bn2",
        "layer1.0.downsample.0",
        "layer1.0.downsample.1",
        "layer1.0.add",
        "layer1.0.relu2",
        "avgpool",
        "flatten",
        "fc",
    ];
    assert_eq!(names(&net), expected);
}

#[test]
fn a_sequence_numbers_statements_and_a_flat_one_those_of_its_blocks() {
    let net = |sequential: &str| {
        good(&format!(
            "block unit(filters) {{\n conv 3x3, filters\n relu\n}}\nnetwork net {{\n input 3 x 8 x 8\n {sequential} {{\n \
             repeat 2 of unit {{ filters: 4 }}\n maxpool 2x2\n unit 8\n unit 8 as last\n relu\n }}\n}}\n"
        ))
    };
    let flat = ["0", "1", "2", "3", "4", "5", "6", "last.conv1", "last.relu1", "8"].map(|name| format!("features.{name}"));
    assert_eq!(names(&net("sequential flat features")), flat);
    let each = ["0.conv1", "0.relu1", "1.conv1", "1.relu1", "2", "3.conv1", "3.relu1", "last.conv1", "last.relu1", "5"];
    assert_eq!(names(&net("sequential features")), each.map(|name| format!("features.{name}")));
    // the numbers are names of the scope around it
    assert_eq!(names(&net("sequential")), each);
    // a name like any other
    assert_eq!(names(&net("sequential flat"))[0], "flat.0.conv1");
}

/// torchvision's MobileNetV2: `features.1.conv.0.0.weight`.
#[test]
fn sequences_nest_as_pytorchs_do() {
    let net = good(
        "block conv_norm(kernel, filters, groups = 1) {\n sequential {\n conv kernel, filters, groups\n batchnorm\n relu6\n }\n}\n\
         block inverted(filters) {\n sequential conv {\n conv_norm 3x3, filters: in_channels, groups: in_channels\n \
         conv 1x1, filters\n batchnorm\n }\n add shortcut\n}\n\
         network net {\n input 3 x 8 x 8\n sequential features {\n conv_norm 3x3, filters: 4\n repeat 2 of inverted { filters: 4 }\n \
         conv_norm 1x1, filters: 8\n }\n}\n",
    );
    let mut expected = ["0.0", "0.1", "0.2"].map(str::to_owned).to_vec();
    for i in 1..3 {
        expected.extend(["conv.0.0", "conv.0.1", "conv.0.2", "conv.1", "conv.2", "add"].map(|name| format!("{i}.{name}")));
    }
    expected.extend(["3.0", "3.1", "3.2"].map(str::to_owned));
    assert_eq!(names(&net), expected.iter().map(|name| format!("features.{name}")).collect::<Vec<_>>());
    let net = |outer: &str| {
        let inner = "sequential {\n relu\n relu\n }\n scope s {\n relu\n }\n relu\n";
        good(&format!("network net {{\n input 3 x 8 x 8\n {outer} {{\n {inner} }}\n}}\n"))
    };
    assert_eq!(names(&net("sequential a")), ["a.0.0", "a.0.1", "a.s.relu1", "a.2"]);
    assert_eq!(names(&net("sequential flat a")), ["a.0", "a.1", "a.s.relu1", "a.3"]);
}

/// Without a label a join with a body opens no scope, and so it can stand twice.
#[test]
fn a_branch_that_is_joined_at_once_needs_no_label() {
    let gate = "mul {\n avgpool global\n conv 1x1, filters: in_channels\n sigmoid\n }\n";
    let net = |body: &str| good(&format!("block unit {{\n {body}}}\nnetwork net {{\n input 4 x 8 x 8\n unit\n}}\n"));
    let twice = net(&format!("{gate}{gate}"));
    assert_eq!(names(&twice), ["avgpool", "conv1", "sigmoid", "mul", "avgpool2", "conv2", "sigmoid2", "mul2"]);
    // the current value comes first
    let muls: Vec<_> = twice.graph.ids().filter(|&id| twice.graph.node(id).name.starts_with("mul")).collect();
    for (mul, x) in muls.into_iter().zip(["input", "mul"]) {
        let operands: Vec<_> = twice.graph.operands(mul).iter().map(|value| twice.graph.node(value.node).name.as_str()).collect();
        assert_eq!(operands[0], x);
        assert!(operands[1].starts_with("sigmoid"));
    }
    // a label names its scope and its value
    let labeled = net("mul {\n conv 1x1, filters: 4\n } as se\n relu\n add se\n");
    assert_eq!(names(&labeled), ["se.conv1", "se", "relu1", "add"]);
    // in a sequence it is one statement
    let numbered = net("sequential s {\n relu\n concat {\n conv 1x1, filters: 4\n }\n relu\n }\n");
    assert_eq!(names(&numbered), ["s.0", "s.1.conv1", "s.1", "s.2"]);
    // strides inside are those of a branch
    let strided =
        net("add {\n conv 3x3, filters: 4, stride: 2\n upsample nearest, scale_factor: 2\n }\n shortcut: pad\n add shortcut\n");
    assert_eq!(names(&strided), ["conv1", "upsample", "add", "add2"]);
}

#[test]
fn an_arm_without_a_name_opens_no_scope() {
    let net = good(
        "network net {\n input 3 x 8 x 8\n scope fire {\n conv 1x1, filters: 4 as squeeze\n parallel concat {\n { }\n \
         { conv 1x1, filters: 4 as expand1x1 }\n named { conv 3x3, filters: 4 }\n {\n conv 3x3, filters: 4\n }\n }\n conv 1x1, filters: 4\n }\n}\n",
    );
    assert_eq!(names(&net), ["fire.squeeze", "fire.expand1x1", "fire.named.conv1", "fire.conv1", "fire.concat", "fire.conv2"]);
}

#[test]
fn a_branch_without_a_name_opens_no_scope() {
    let net = |body: &str| {
        format!("network net {{\n input 4 x 8 x 8\n relu as x\n branch from x {{\n{body}\n}}\n conv 1x1, filters: 4\n")
    };
    let joined = good(&(net("conv 1x1, filters: 4\n relu as side") + " add side\n}\n"));
    assert_eq!(names(&joined), ["x", "conv1", "side", "conv2", "add"]);
    let output = good(&(net("conv 1x1, filters: 4\n output aux") + "}\n"));
    assert_eq!(output.graph.outputs().len(), 2);
    // what is not joined is reported, and so is what has no name to join it by
    assert_eq!(codes(&(net("conv 1x1, filters: 4\n relu as side") + "}\n"), &[]), ["E0117"]);
    assert_eq!(codes(&(net("conv 1x1, filters: 4") + "}\n"), &[]), ["E0117"]);
}

#[test]
fn instances_can_have_names_of_their_own() {
    let unit = "block unit {\n conv 1x1, filters: 4\n}\n";
    let net = good(&format!("{unit}network net {{\n input 4 x 8 x 8\n repeat \"layer{{i + 1}}-x\": 2 of unit\n}}\n"));
    assert_eq!(names(&net), ["layer1-x.conv1", "layer2-x.conv1"]);
    let same = format!("{unit}network net {{\n input 4 x 8 x 8\n repeat \"same{{count}}\": 2 of unit\n}}\n");
    assert_eq!(codes(&same, &[]), ["E0119"]);
    assert_eq!(codes(&same.replace("same", "no name "), &[]), ["E0118"]);
}

#[test]
fn the_first_instance_can_differ_by_a_key() {
    let net = |keys: &str| {
        format!(
            "block unit(filters, stride = 1, policy = none) {{\n shortcut: policy\n conv 3x3, filters, stride\n add shortcut\n}}\n\
             network net {{\n input 4 x 8 x 8\n repeat r: 3 of unit {{ {keys} }}\n}}\n"
        )
    };
    let strides = |net: &Network| {
        let stride = |op: &Op| if let Op::Conv(conv) = op { Some(conv.stride[0]) } else { None };
        net.graph.ids().filter_map(|id| stride(&net.graph.node(id).op)).collect::<Vec<_>>()
    };
    assert_eq!(strides(&good(&net("filters: 8, first stride: 2"))), [2, 1, 1]);
    assert_eq!(strides(&good(&net("filters: 8, stride: 2, first stride: 1"))), [1, 2, 2]);
    assert_eq!(filters(&good(&net("first filters: 4, filters: 8"))), [4, 8, 8]);
    // what follows doubles the filters of the others
    let doubled = "block unit(filters) {\n conv 1x1, filters: filters\n}\nnetwork net {\n input 4 x 8 x 8\n repeat a: 1 of unit { filters: 8 }\n \
                   repeat b: 2 of unit { filters: double, first filters: 4 }\n repeat c: 1 of unit { filters: double }\n}\n";
    assert_eq!(filters(&good(doubled)), [8, 4, 16, 32]);
    // a policy is a value
    let policies = good(&net("filters: 4, policy: identity, first policy: projection(when: always)"));
    assert_eq!(
        policies.shortcuts.iter().map(|used| used.policy).collect::<Vec<_>>(),
        [Shortcut::ProjectionAlways, Shortcut::Identity, Shortcut::Identity]
    );
    assert_eq!(codes(&net("first filters: 4"), &[]), ["E0203"]);
    assert_eq!(codes(&net("filters: 4, first width: 4"), &[]), ["E0201"]);
    let stage = net("filters: 8, map: halve, first stride: 2").replace("repeat", "stage");
    assert_eq!(codes(&stage, &[]), ["E0202"]);
    // it is a name elsewhere
    let named = "block first(first) {\n conv 1x1, filters: first\n}\nnetwork net {\n input 4 x 8 x 8\n repeat 2 of first { first: 3 }\n}\n";
    assert_eq!(filters(&good(&named.replace("repeat 2", "repeat first: 2"))), [3, 3]);
}

/// The policy of a stage's key may depend on the instance: here that of its first block.
#[test]
fn the_policy_of_the_first_instance_can_differ() {
    let net = |keys: &str| {
        format!("{BASIC}network net {{\n input 8 x 8 x 8\n repeat layer1: 3 of basic {{ filters: 8, {keys} }}\n}}\n")
    };
    for keys in [
        "shortcut: identity, first shortcut: projection(when: always)",
        "first shortcut: projection(when: always)",
        "shortcut: if i == 0 then projection(when: always) else identity",
    ] {
        let used: Vec<_> = good(&net(keys)).shortcuts.iter().map(|used| used.policy).collect();
        assert_eq!(used, [Shortcut::ProjectionAlways, Shortcut::Identity, Shortcut::Identity], "{keys}");
    }
}

/// dlib's shortcut: the pooled input, with zero channels appended. The block of a projection knows the channels that it reads.
#[test]
fn the_block_of_a_projection_knows_the_channels_of_its_input() {
    let pooled =
        "block pooled(filters, stride) {\n avgpool 2x2, stride, padding: 0\n pad channels: [0, filters - in_channels]\n}\n";
    let net = good(&(pooled.to_owned() + &residual("projection(unit: pooled)")));
    let pads = |op: &Op| if let Op::Pad(pad) = op { Some(pad.channels) } else { None };
    assert_eq!(net.graph.ids().filter_map(|id| pads(&net.graph.node(id).op)).collect::<Vec<_>>(), [[0, 4]]);
}

#[test]
fn identity_adds_the_input_and_leaves_what_does_not_fit_to_the_checker() {
    let net = good(&residual("identity"));
    let used = &net.shortcuts[0];
    assert_eq!((used.policy, used.stride), (Shortcut::Identity, 2));
    assert_eq!(net.graph.operands(used.add)[1], used.x);
}

#[test]
fn option_a_subsamples_and_appends_zero_channels_where_dimensions_change() {
    for (policy, channels) in [("pad", [0, 4]), ("pad(zeros: split)", [2, 2])] {
        let net = good(&residual(policy));
        let pads = |op: &Op| if let Op::Pad(pad) = op { Some(pad.channels) } else { None };
        let pads: Vec<_> = net.graph.ids().filter_map(|id| pads(&net.graph.node(id).op)).collect();
        assert_eq!(pads, [channels], "{policy}: in the first block alone");
        let strides = net.graph.ids().filter(|&id| net.graph.node(id).op == Op::Subsample([2, 2])).count();
        assert_eq!(strides, 1);
    }
}

#[test]
fn option_b_projects_once_option_c_in_every_block_and_none_adds_nothing() {
    let projections = |policy: &str| {
        let net = good(&residual(policy));
        (names(&net).iter().filter(|n| n.ends_with("downsample.0")).count(), net.shortcuts.len())
    };
    assert_eq!(projections("projection"), (1, 2));
    assert_eq!(projections("projection(when: always)"), (2, 2));
    assert_eq!(projections("none"), (0, 0));
}

#[test]
fn a_stage_states_its_own_policy() {
    let net = good(&residual("identity").replace("map: halve", "map: halve, shortcut: pad"));
    assert!(net.shortcuts.iter().all(|s| s.policy == Shortcut::Pad { split: false } && s.policy_span.is_some()));
}

#[test]
fn the_strides_of_blocks_within_count_on_a_shortcuts_path() {
    let net = good(
        "block down(filters) {\n conv 3x3, filters, stride: 2\n}\nblock unit(filters) {\n down filters\n down filters\n add shortcut\n}\n\
         network net {\n input 4 x 16 x 16\n shortcut: pad\n unit 4\n}\n",
    );
    assert_eq!(net.shortcuts[0].stride, 4);
    assert!(net.graph.ids().any(|id| net.graph.node(id).op == Op::Subsample([4, 4])));
}

#[test]
fn a_dilated_stage_keeps_its_map_and_its_first_block_the_dilation_before() {
    let net = good(
        "use std.blocks: bottleneck\nnetwork net {\n input 8 x 8 x 8\n shortcut: projection\n \
         stage layer1: 1 of bottleneck { filters: 2 }\n stage layer2: 2 of bottleneck { filters: double, dilate: double }\n \
         stage layer3: 2 of bottleneck { filters: double, dilate: double }\n}\n",
    );
    let dilation = |op: &Op| match op {
        Op::Conv(conv) if conv.kernel == [3, 3] => Some(conv.dilation[0]),
        _ => None,
    };
    let dilations: Vec<_> = net.graph.ids().filter_map(|id| dilation(&net.graph.node(id).op)).collect();
    assert_eq!(dilations, [1, 1, 2, 2, 4]);
    assert!(net.stages[1].allow_doubling && !net.stages[0].allow_doubling);
}

#[test]
fn arguments_bind_by_place_by_key_and_by_default() {
    let unit = "block unit(filters, inner = filters * 2) {\n conv 1x1, filters: inner\n conv 1x1, filters\n}\n";
    let net = |calls: &str| filters(&good(&format!("{unit}network net {{\n input 3 x 8 x 8\n{calls}\n}}\n")));
    assert_eq!(net("unit 4"), [8, 4]);
    assert_eq!(net("unit inner: 3, filters: 5"), [3, 5]);
    assert_eq!(net("let u = unit\n repeat 1 of u(inner: 7) { filters: 2 }"), [7, 2]);
    assert_eq!(net("repeat 2 of unit { filters: i + 1 }"), [2, 1, 4, 2]);
    assert_eq!(net("repeat 2 of unit { filters: 2 * i + 2 }\n repeat 1 of unit { filters: double }"), [4, 2, 8, 4, 16, 8]);
}

#[test]
fn set_gives_what_is_open_and_expectations_hold_at_the_defaults() {
    let text = "network base(filters, classes = 2) {\n input 3 x 8 x 8\n labels [\"a\", \"b\"]\n conv 1x1, filters\n avgpool global\n linear classes\n}\n\
                network net(classes = 2) = base(4, classes: classes) {\n expect layers: 2\n}\n";
    let at = |set: &[(&str, &str)]| {
        let (net, diags) = elaborate(text, set);
        assert!(diags.is_empty(), "{diags:?}");
        net.map(|n| (n.expects.len(), n.labels.len())).unwrap()
    };
    assert_eq!(at(&[]), (1, 2));
    assert_eq!(at(&[("classes", "2")]), (1, 2));
    assert_eq!(at(&[("classes", "1 + 2")]), (0, 0));
    assert_eq!(codes(text, &[("filters", "5")]), ["E0121"]);
    assert_eq!(codes(text, &[("clases", "5")]), ["E0120"]);
    assert_eq!(codes(text, &[("classes", "5) {} network x(")]), ["E0122"]);
    assert_eq!(codes(text, &[("classes", "")]), ["E0122"]);
}

#[test]
fn a_derived_network_has_its_bases_layers_and_its_own_input_and_policy() {
    let text =
        format!("{}network net = base {{\n input 1 x 16 x 16\n shortcut: none\n}}\n", residual("pad").replace("net {", "base {"));
    let net = good(&text);
    let input = net.graph.inputs()[0];
    assert_eq!(net.graph.node(input).op, Op::Input(Shape::fixed(&[1, 16, 16])));
    assert!(net.shortcuts.is_empty());
}

#[test]
fn every_node_knows_the_stage_that_used_its_block() {
    let net = good(&residual("projection"));
    let last = net.graph.ids().last().unwrap();
    let frame = net.graph.node(last).origin.frame.expect("in a block");
    let frame = net.graph.frame(frame);
    assert_eq!((frame.unit.as_str(), frame.instance), ("basic", Some((1, 2))));
    assert_eq!(frame.span, net.stages[0].span);
    assert_ne!(net.graph.node(last).origin.span.file, frame.span.file, "the line stands in the library");
}

#[test]
fn deep_recursion_ends_on_a_small_stack() {
    // each level nests conditions besides: the bound is on both together
    let deep =
        format!("block a {{\n{}a\n{}}}\nnetwork net {{\n input 3 x 8 x 8\n a\n}}\n", "if true {\n".repeat(50), "}\n".repeat(50));
    let run = move || codes(&deep, &[]);
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap(), ["E0113"]);
}

#[test]
fn many_errors_of_one_cause_are_said_once_and_many_causes_end_expansion() {
    let one = "block unit(i) {\n conv 1x1, filters: 3 / 0 * i\n}\nnetwork net {\n input 3 x 8 x 8\n repeat 100_000 of unit\n}\n";
    assert_eq!(codes(one, &[]), ["E0111"]);
    let mut many = String::from("network net {\n input 3 x 8 x 8\n");
    for i in 0..2000 {
        many += &format!(" branch b{i} {{\n conv 1x1, filters: {i} / 0\n }}\n");
    }
    let found = codes(&(many + "}\n"), &[]);
    assert!(found.len() < 1100 && found.last() == Some(&"E0112"), "{}", found.len());
}

/// The recipe of a network whose `train` block is given, with `--set`.
fn recipe(train: &str, set: &[(&str, &str)]) -> Result<crate::ir::Recipe, Vec<Diagnostic>> {
    let text = format!("resnet 1\nnetwork net {{\n input 4\n linear 2\n{train}\n}}\n");
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let file = SourceFile { name: "net.resnet".into(), path: None, text: text.as_str().into() };
    let program = Program::from_source(file, Arc::new(MemoryFiles::default()), &mut sources, &mut diags);
    let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let network = program.elaborate("net", &set, &mut sources, &mut diags);
    if diags.is_empty() { Ok(network.unwrap().recipe.unwrap()) } else { Err(diags) }
}

#[test]
fn the_command_line_changes_single_keys_of_the_recipe() {
    use crate::ir::{Augment, Count, Schedule};
    let train = "train { epochs 30, batch 64, optimizer sgd { lr: 0.5, weight_decay: 0 }, schedule steps { at: [15, 25] }
                  augment { pad: 2, crop: 28, flip: horizontal } }";
    let plain = recipe(train, &[]).unwrap();
    assert_eq!((plain.length, plain.batch, plain.optimizer.lr), (Count::Epochs(30), 64, 0.5));
    assert_eq!(plain.augment, [Augment::PadCrop { pad: 2, crop: [28; 2] }, Augment::Flip { probability: 0.5 }]);

    // the length changes; the moments still count epochs
    let changed = recipe(
        train,
        &[("train.steps", "20"), ("train.augment", "none"), ("train.optimizer.lr", "0.1"), ("train.shuffle", "false")],
    )
    .unwrap();
    assert_eq!((changed.length, changed.optimizer.lr, changed.optimizer.weight_decay), (Count::Steps(20), 0.1, 0.0));
    assert_eq!(changed.schedule, Schedule::Steps { at: vec![Count::Epochs(15), Count::Epochs(25)], gamma: 0.1 });
    assert!(changed.augment.is_empty() && !changed.shuffle && changed.batch == 64);

    let other =
        recipe(train, &[("train.schedule", "cosine"), ("train.augment.pad", "4"), ("train.validate", "steps(7)")]).unwrap();
    assert_eq!((other.schedule, other.validate), (Schedule::Cosine { eta_min: 0.0 }, Some(Count::Steps(7))));
    assert_eq!(other.augment[0], Augment::PadCrop { pad: 4, crop: [28; 2] });

    // a network without a recipe gets one
    let made = recipe("", &[("train.epochs", "2"), ("train.augment.flip", "horizontal")]).unwrap();
    assert_eq!((made.length, made.augment.len()), (Count::Epochs(2), 1));

    let code = |set: &[(&str, &str)]| recipe(train, set).unwrap_err()[0].code.0;
    assert_eq!(code(&[("train.batch", "0")]), "E0124");
    assert_eq!(code(&[("train.augment", "mirror")]), "E0124");
    assert_eq!(code(&[("train.augment.mirror", "1")]), "E0201");
    assert_eq!(code(&[("train.optimizer.rat", "1")]), "E0201");
    assert_eq!(code(&[("train.steps", "0")]), "E0124");
}
