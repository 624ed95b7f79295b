//! Graphs back to source: every network of `models/` comes back with its layers' names, and with the stages of its file; random
//! graphs compute the same from the source that was recovered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use resnetc::internal::base::render;
use resnetc::internal::base::source::{SourceMap, Span};
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::check;
use resnetc::internal::decompile::{DecompileError, Decompiled, Options, decompile};
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::onnx::{ExportOptions, Source, open, write};
use resnetc::internal::ir::{
    Checked, Conv, Elementwise, Epilogue, Graph, Node, Op, Origin, Pad, PadMode, Pool, PoolKind, Precision, Shape, Train, Value,
    summary,
};
use resnetc::internal::runtime::{ParamStore, init, interp};

use crate::common::{Build, Rng, distance, noise};

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "resnet"));
    files.sort();
    files
}

fn model(file: &str, network: &str) -> Checked {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file);
    Frontend::open(&path).unwrap().check(network, &[]).unwrap()
}

fn options(network: &str) -> Options {
    Options {
        network: network.to_string(),
        doc: Some(format!("Imported from {network}.onnx.")),
        classes: true,
        keep_names: false,
    }
}

/// What the recovered source compiles to.
fn compiled(found: &Decompiled) -> Checked {
    let mut front = Frontend::text("recovered.resnet", &found.source);
    let checked = front.check(&found.network, &[]);
    let said = render::terminal(&front.diagnostics, &front.sources, false);
    assert!(front.diagnostics.is_empty(), "{said}\n{}", found.source);
    checked.unwrap()
}

fn origin() -> Origin {
    Origin { span: Span::new(SourceMap::default().add_text("none", ""), 0..0), frame: None }
}

/// The graph as an importer has it: without frames; folded, without norms and with names that mean nothing.
fn bare(graph: &Graph, folded: bool) -> Graph {
    let mut out = Graph::default();
    let mut to: HashMap<_, Value> = HashMap::new();
    for (number, id) in graph.order().into_iter().enumerate() {
        let node = graph.node(id);
        let operands: Vec<Value> = graph.operands(id).iter().map(|value| to[&value.node]).collect();
        let (mut op, mut name) = (node.op.clone(), node.name.clone());
        if folded {
            if !matches!(op, Op::Input(_)) {
                name = format!("onnx::{}_{number}", op.word());
            }
            let before = graph.operands(id).first().map(|value| value.node);
            let is_folded = |id| matches!(graph.node(id).op, Op::Conv(_)) && graph.users(id).len() == 1;
            if let (Op::BatchNorm(_), Some(conv)) = (&op, before.filter(|&conv| is_folded(conv))) {
                to.insert(id, to[&conv]);
                continue;
            }
            if let Op::Conv(conv) = &mut op
                && let [(user, _)] = graph.users(id)[..]
            {
                conv.bias |= matches!(graph.node(user).op, Op::BatchNorm(_));
            }
        }
        to.insert(
            id,
            out.add(Node { op, name, params: Vec::new(), precision: Precision::F32, origin: origin() }, &operands).into(),
        );
    }
    for (name, value) in graph.outputs() {
        out.add_output(name.clone(), to[&value.node]);
    }
    out
}

/// What each layer is, by its name.
fn layers(checked: &Checked) -> Vec<(String, String, String)> {
    let rows = summary::rows(checked).into_iter().filter(|row| row.params > 0);
    let mut list: Vec<_> = rows.map(|row| (row.name, row.operator, row.output)).collect();
    list.sort();
    list
}

/// Functions of the library are words; a file's own are declared again, with the kinds of their operands. The two calls of `gated` with
/// different numbers become two functions.
#[test]
fn functions_are_called_or_declared() {
    for network in ["library", "own"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/functions.resnet");
        let checked = Frontend::open(&path).unwrap().check(network, &[]).unwrap();
        let found = decompile(&bare(checked.graph(), false), &options(network)).unwrap();
        assert_eq!(found.renamed().next(), None, "{}", found.source);
        assert_eq!(layers(&compiled(&found)).len(), layers(&checked).len(), "{}", found.source);
        insta::assert_snapshot!(format!("functions_{network}"), found.source);
    }
}

#[test]
fn every_network_comes_back_with_its_names() {
    let mut count = 0;
    let (mut others, mut missing) = (Vec::new(), Vec::new());
    for path in models() {
        let mut front = Frontend::open(&path).unwrap();
        for info in front.networks().into_iter().filter(|n| n.open.is_empty()) {
            let checked = front.check(&info.name, &[]).unwrap();
            let found = decompile(&bare(checked.graph(), false), &options(&info.name)).unwrap();
            if found.renamed().next().is_some() || !found.notes.is_empty() && !info.name.starts_with("highway") {
                // what it says of them is true, and the layers are the same
                assert_eq!(layers(&compiled(&found)).len(), layers(&checked).len(), "{}:\n{}", info.name, found.source);
                others.push(info.name);
                continue;
            }
            // a highway layer's gate is read on both of its paths
            assert_eq!(found.notes.is_empty(), !info.name.starts_with("highway"), "{}: {:?}", info.name, found.notes);
            assert_eq!(layers(&compiled(&found)), layers(&checked), "{}:\n{}", info.name, found.source);
            // its stages are found again, each of as many blocks
            let stages = |c: &Checked| -> Vec<(String, usize)> {
                c.network.stages.iter().map(|s| (s.name.clone(), s.instances.len())).collect()
            };
            let again = stages(&compiled(&found));
            for stage in stages(&checked) {
                // where the first block does more than the others, or less, a stage of one kind is not seen
                let differs = match info.name.as_str() {
                    "preact110" => stage.0 == "layer1",
                    "resnetaa50" | "resnetblur50" => stage.0 != "layer1",
                    "shufflenet_v2_x0_5" | "shufflenet_v2_x1_0" => true,
                    _ => false,
                };
                if !differs && !again.contains(&stage) {
                    missing.push((info.name.clone(), stage));
                }
            }
            count += 1;
        }
    }
    assert_eq!(missing, [], "stages that do not come back");
    assert_eq!(others, RENAMED, "networks whose names do not all come back");
    assert!(count > 40, "{count} networks");
}

/// Mobile networks and those that are trained with more paths: at most this many lines, with and without names and norms.
const LINES: [(&str, &str, [usize; 2]); 6] = [
    ("mobilenetv2.resnet", "mobilenet_v2", [56, 52]),
    ("mobilenetv3.resnet", "mobilenet_v3_small", [90, 85]),
    ("mnasnet.resnet", "mnasnet1_0", [90, 85]),
    ("efficientnet.resnet", "efficientnet_b0", [80, 70]),
    ("efficientnet.resnet", "efficientnet_b2", [85, 75]),
    ("repvgg.resnet", "repvgg_a0", [75, 75]),
];

#[test]
fn networks_come_back_as_short_as_they_are_written() {
    for (file, network, lines) in LINES {
        for (folded, most) in [false, true].into_iter().zip(lines) {
            let found = decompile(&bare(model(file, network).graph(), folded), &options(network)).unwrap();
            let count = found.source.lines().count();
            assert!(count <= most, "{network}: {count} lines\n{}", found.source);
            let conditional = found.source.contains("if stride == 1 and in_channels == filters {");
            assert!(conditional || network == "repvgg_a0", "{network}:\n{}", found.source);
        }
    }
}

/// Networks of which some layers come back under other names, or with a note: blocks that are repeated unevenly, values that several
/// statements read.
const RENAMED: [&str; 6] = ["dla34", "hrnet_w18_small", "nf_resnet50", "res2net50_26w_4s", "unet", "unet_256"];

#[test]
fn without_norms_and_names_the_structure_is_still_found() {
    let mut long = Vec::new();
    for path in models() {
        let mut front = Frontend::open(&path).unwrap();
        for info in front.networks().into_iter().filter(|n| n.open.is_empty()) {
            let checked = front.check(&info.name, &[]).unwrap();
            let found = decompile(&bare(checked.graph(), true), &options(&info.name)).unwrap();
            if found.source.lines().count() > 100 || found.notes.len() != 1 {
                long.push(info.name);
                continue;
            }
            if info.name.starts_with("highway") {
                // without names, what is irregular stands as often as it is there
                assert!(found.notes[0].starts_with("irregular between"), "{:?}", found.notes);
                continue;
            }
            let lines = found.source.lines().count();
            assert!(lines <= 100, "{}: {lines} lines\n{}", info.name, found.source);
            // all that is said is that names are others
            assert_eq!(found.notes.len(), 1, "{}: {:?}", info.name, found.notes);
        }
    }
}

#[test]
fn resnet50_is_short_and_has_four_stages() {
    for folded in [false, true] {
        let found = decompile(&bare(model("resnet.resnet", "resnet50").graph(), folded), &options("resnet50")).unwrap();
        assert!(found.source.lines().count() < 60, "{}", found.source);
        assert_eq!(compiled(&found).network.stages.len(), 4);
    }
}

#[test]
fn recovered_sources() {
    let cases = [
        ("resnet.resnet", "resnet50", false),
        ("resnet.resnet", "resnet50", true),
        ("resnet.resnet", "resnet18", false),
        ("resnet.resnet", "resnet34_c", false),
        ("cifar.resnet", "resnet20", false),
        ("plain.resnet", "plain34", false),
        ("plain.resnet", "plain34", true),
        ("vgg.resnet", "vgg16", false),
        ("vgg.resnet", "vgg16", true),
        ("densenet.resnet", "densenet121", false),
        ("googlenet.resnet", "googlenet", false),
        ("googlenet.resnet", "googlenet", true),
        ("senet.resnet", "seresnet50", false),
        ("preact.resnet", "resnetv2_50", false),
        ("resnet_d.resnet", "resnet50d", false),
        ("dilated.resnet", "resnet50_os8", false),
        ("highway.resnet", "highway10", false),
    ];
    for (file, network, folded) in cases {
        let found = decompile(&bare(model(file, network).graph(), folded), &options(network)).unwrap();
        let name = format!("{network}{}", if folded { "_folded" } else { "" });
        insta::assert_snapshot!(name, found.source);
    }
}

/// A source compiled, forgotten, and recovered.
fn through(text: &str) -> Decompiled {
    let mut front = Frontend::text("net.resnet", text);
    let checked = front.check("net", &[]);
    let checked = checked.unwrap_or_else(|| panic!("{}", render::terminal(&front.diagnostics, &front.sources, false)));
    decompile(&bare(checked.graph(), false), &options("net")).unwrap()
}

#[test]
fn what_is_irregular_is_said_plainly() {
    // `b` reads both `a` and what `a` made of it, and the sum reads all three
    let found = through(
        "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  conv 3x3, filters: 8 as stem\n  relu\n  branch a {\n    conv 1x1, filters: 8\n  }\n  \
         branch b from a {\n    relu\n    conv 3x3, filters: 8\n  }\n  conv 3x3, filters: 8 as c\n  add b\n  add a\n  relu\n  \
         avgpool global\n  linear 5\n}\n",
    );
    assert!(found.notes.iter().any(|note| note.starts_with("irregular between")), "{:?}", found.notes);
    insta::assert_snapshot!("irregular", format!("{}\n{}", found.source, found.notes.join("\n")));
}

#[test]
fn like_scopes_of_unlike_children_come_back_as_calls() {
    // MobileNetV2's form: the first child of each scope has a stride, the second has none
    let found = through(
        "resnet 1\nblock a(filters, stride) {\n  conv 3x3, filters, stride\n  batchnorm\n  relu\n  conv 1x1, filters\n}\nblock b(filters) {\n  conv 1x1, filters\n  \
         batchnorm\n  sigmoid\n  conv 1x1, filters: 4\n}\nnetwork net {\n  input 3 x 16 x 16\n  scope one {\n    a filters: 8, stride: 1 as \"0\"\n    b filters: 8 as \"1\"\n  }\n  \
         scope two {\n    a filters: 12, stride: 2 as \"0\"\n    b filters: 6 as \"1\"\n  }\n  avgpool global\n  linear 5\n}\n",
    );
    assert!(found.notes.is_empty() && found.renamed().next().is_none(), "{:?}\n{}", found.notes, found.source);
    assert!(found.source.contains("unit filters: 12, stride: 2, hidden: 6 as two"), "{}", found.source);
}

#[test]
fn each_block_follows_the_shortcut_that_it_had() {
    // a block within another, projected where the outer one is padded; and two of a kind under unlike policies
    let found = through(
        "resnet 1\nblock inner(filters) {\n  conv 3x3, filters\n  batchnorm\n  add shortcut\n  relu\n}\nblock outer(filters) {\n  \
         conv 3x3, filters: 4 as reduce\n  shortcut: projection\n  inner filters: 6 as unit\n  conv 3x3, filters as expand\n  \
         shortcut: pad\n  add shortcut\n  sigmoid\n}\nnetwork net {\n  input 3 x 8 x 8\n  conv 3x3, filters: 8\n  \
         outer filters: 12 as a\n  outer filters: 16 as b\n  shortcut: projection\n  inner filters: 8 as c\n  avgpool global\n  linear 5\n}\n",
    );
    assert!(found.notes.is_empty() && found.renamed().next().is_none(), "{:?}\n{}", found.notes, found.source);
    assert!(found.source.contains("shortcut: pad") && found.source.contains("shortcut: projection"), "{}", found.source);
}

#[test]
fn paths_with_dots_in_their_names_are_joined() {
    let found = through(
        "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  conv 3x3, filters: 4\n  branch a.x {\n    conv 3x3, filters: 4\n  }\n  branch b.y {\n    \
         conv 3x3, filters: 4\n  }\n  conv 1x1, filters: 4\n  add a.x, b.y\n  avgpool global\n  linear 5\n}\n",
    );
    assert_eq!(found.renamed().next(), None, "{}", found.source);
}

#[test]
fn names_that_are_taken_or_mean_something_else_are_changed() {
    let mut b = Build::new(1);
    let x = b.input("stage", Shape::fixed(&[3, 8, 8]));
    let x = b.add("add", Op::Conv(conv(4, 3, 1)), &[x]);
    let x = b.add("x/y.0", Op::Conv(conv(4, 3, 1)), &[x]);
    let x = b.add("x/y.0", Op::Conv(conv(4, 3, 1)), &[x]);
    let (checked, _) = b.finish(&[("1 2", x)]);
    let found = decompile(
        checked.graph(),
        &Options { network: "batchnorm".into(), doc: Some("a\nb".into()), classes: true, keep_names: false },
    )
    .unwrap();
    assert_eq!(found.network, "net");
    assert_eq!(found.layers.len(), 3);
    assert!(found.source.contains("/// a b\n"), "{}", found.source);
    assert_eq!(compiled(&found).graph().outputs()[0].0, "output");
}

#[test]
fn what_no_statement_says_is_an_error() {
    assert!(matches!(decompile(&Graph::default(), &options("net")), Err(DecompileError::Empty)));
    let mut graph = Graph::default();
    let node =
        |op: Op, name: &str| Node { op, name: name.into(), params: Vec::new(), precision: Precision::F32, origin: origin() };
    let x = graph.add(node(Op::Input(Shape::fixed(&[3, 8, 8])), "input"), &[]);
    let act = graph.add(node(Op::Train(Train::NormStats), "stats"), &[x.into()]);
    graph.add_output("output", act.into());
    assert!(matches!(decompile(&graph, &options("net")), Err(DecompileError::Unsupported { .. })));
    let mut graph = Graph::default();
    let x = graph.add(node(Op::Input(Shape::fixed(&[3, 8, 8])), "input"), &[]);
    let wide = graph.add(node(Op::Conv(Conv { groups: 2, ..conv(4, 3, 1) }), "wide"), &[x.into()]);
    graph.add_output("output", wide.into());
    let error = decompile(&graph, &options("net")).unwrap_err();
    assert!(error.to_string().contains("`wide` does not fit"), "{error}");
}

fn conv(filters: usize, kernel: usize, stride: usize) -> Conv {
    let pad = [[kernel / 2; 2]; 2];
    let epilogue = Epilogue::default();
    Conv {
        filters,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad,
        dilation: [1; 2],
        groups: 1,
        bias: false,
        standardize: None,
        epilogue,
    }
}

/// A small graph: each step reads one or more of the last values, so that paths part, cross and meet anywhere.
fn random(seed: u64) -> (Checked, ParamStore) {
    let mut b = Build::new(seed);
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9) + 1);
    let x = b.input("input", Shape::fixed(&[3, 6, 6]));
    let mut values = vec![b.conv(x, 4, 3, 1, 1)];
    for _ in 0..rng.range(3, 16) {
        let near = values.len().saturating_sub(4);
        let x = values[rng.range(near, values.len() - 1)];
        let y = values[rng.range(near, values.len() - 1)];
        let alike = b.sizes(x) == b.sizes(y);
        let spread = b.sizes(x)[1..] == b.sizes(y)[1..];
        let value = match rng.range(0, 13) {
            0..=2 => b.conv(x, 4, rng.one_of(&[1, 3]), 1, 1),
            3 => b.norm(x),
            4 => b.relu(x),
            5 => b.push(Op::from(Elementwise::clamp(-0.5, 6.0)), &[x]),
            6 | 7 if alike => b.plus(x, y),
            8 if alike => b.times(x, y),
            9 if spread => b.push(Op::Concat, &[x, y]),
            10 => b.push(Op::Pad(Pad::channels([1, 0])), &[x]),
            11 => {
                let kind = PoolKind::Max { dilation: [2, 1] };
                b.push(Op::Pool(Pool { kind, kernel: [3; 2], stride: [1; 2], pad: [[2, 2], [1, 1]], ceil: false }), &[x])
            }
            12 => {
                let mode = rng.one_of(&[PadMode::Reflect, PadMode::Replicate]);
                let x = b.push(Op::Pad(Pad { mode, ..Pad::zeros([[1, 1], [2, 0]]) }), &[x]);
                let kind = PoolKind::Avg { count_pad: true };
                b.push(Op::Pool(Pool { kind, kernel: [3; 2], stride: [1; 2], pad: [[0; 2]; 2], ceil: false }), &[x])
            }
            _ => {
                let kind = PoolKind::Avg { count_pad: true };
                b.push(Op::Pool(Pool { kind, kernel: [3; 2], stride: [1; 2], pad: [[1; 2]; 2], ceil: false }), &[x])
            }
        };
        values.push(value);
    }
    // what nothing reads yet meets at the end
    let graph = &b.graph;
    let loose: Vec<Value> = values.iter().copied().filter(|&v| graph.users(v).is_empty()).collect();
    let side = if rng.flip() { Some(values[rng.range(0, values.len() - 1)]) } else { None };
    let end = if loose.len() > 1 { b.push(Op::Concat, &loose) } else { loose[0] };
    let end = b.sigmoid(end);
    match side {
        Some(side) => b.finish(&[("output", end), ("side", side)]),
        None => b.finish(&[("output", end)]),
    }
}

#[test]
fn random_graphs_compute_the_same_from_their_source() {
    let image = noise(5, &[1, 3, 6, 6]);
    for seed in 0..150 {
        let (checked, store) = random(seed);
        let found = decompile(checked.graph(), &options("net")).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let again = compiled(&found);
        let names: HashMap<&str, &str> = found.layers.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        let renamed: ParamStore = store
            .iter()
            .filter_map(|(name, tensor)| {
                let (layer, role) = name.rsplit_once('.')?;
                // a layer that no output needs is not in the source
                Some((format!("{}.{role}", names.get(layer)?), tensor.clone()))
            })
            .collect();
        let run =
            |checked: &Checked, store: &ParamStore| interp::run(&checked.canonical(), store, &[("input", image.view())]).unwrap();
        let (ours, theirs) = (run(&checked, &store), run(&again, &renamed));
        for (name, value) in ours.iter() {
            let off = distance(theirs.get(name).unwrap(), value);
            assert!(off < 1e-6, "seed {seed}: `{name}` is off by {off}\n{}", found.source);
        }
    }
}

/// How structured networks came back.
#[derive(Default)]
struct Tally {
    networks: usize,
    /// As blocks: some of those bodies that repeat stand as a block.
    blocks: usize,
    /// Without a part that has no form but statements.
    regular: usize,
    /// Whose names mean something, and those of them that keep all.
    meant: usize,
    named: usize,
    /// The layers of repeated bodies, and those of them that are a block's.
    repeated: usize,
    within: usize,
}

/// Parameters of which no two are alike.
fn uneven(params: &ParamStore) -> ParamStore {
    let mut rng = Rng(17);
    let mut one = |(name, tensor): (&str, &Tensor)| {
        let plus = if tensor.shape().len() > 1 || name.ends_with(".running_var") { 0.0 } else { 0.1 };
        let values: Vec<f32> = tensor.to_f32().iter().map(|v| v * (1.0 + 0.3 * rng.unit()) + plus * rng.unit()).collect();
        (name.to_string(), Tensor::from_f32(tensor.shape().to_vec(), values).unwrap())
    };
    params.iter().map(&mut one).collect()
}

/// Out as ONNX, in again, and compared.
fn there_and_back(case: &crate::structured::Case, fold: bool, nameless: bool, tally: &mut Tally) {
    let mut front = Frontend::text("net.resnet", &case.text);
    let checked = front.check("net", &[]);
    let checked = checked.unwrap_or_else(|| panic!("{}", render::terminal(&front.diagnostics, &front.sources, false)));
    let params = uneven(&init::init(&checked, 3).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    write(&path, &checked, &params, &Source::default(), &ExportOptions { fold, ..ExportOptions::default() }).unwrap();
    let mut imported = open(&path).unwrap();
    let image = noise(5, &[1, 3, 8, 8]);
    let came_in = check::check(imported.network("net"), &mut Vec::new()).unwrap();
    let expected = interp::run(&came_in.canonical(), &imported.params(), &[("input", image.view())]).unwrap();
    if nameless {
        for (number, id) in imported.graph.order().into_iter().enumerate() {
            let node = imported.graph.node_mut(id);
            if !matches!(node.op, Op::Input(_)) {
                let name = format!("onnx::{}_{number}", node.op.word());
                for tensor in imported.tensors.keys().cloned().collect::<Vec<_>>() {
                    if let Some(role) =
                        tensor.strip_prefix(&node.name).filter(|role| role.starts_with('.') && !role[1..].contains('.'))
                    {
                        let value = imported.tensors.remove(&tensor).unwrap();
                        imported.tensors.insert(format!("{name}{role}"), value);
                    }
                }
                node.name = name;
            }
        }
    }
    let found = decompile(&imported.graph, &options("net")).unwrap();
    let again = compiled(&found);
    // the layers are the same; under their names, if these mean something
    let ours = layers(&checked);
    let theirs = layers(&again);
    tally.networks += 1;
    let renamed = found.renamed().next().is_some();
    tally.meant += usize::from(!nameless);
    tally.named += usize::from(!nameless && !renamed);
    if !renamed && !fold {
        assert_eq!(theirs, ours, "{}", found.source);
    }
    // and compute the same
    let names: HashMap<&str, &str> = found.layers.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
    let renamed: ParamStore = imported
        .params()
        .iter()
        .map(|(name, tensor)| {
            let (layer, role) = name.rsplit_once('.').unwrap();
            (format!("{}.{role}", names[layer]), tensor.clone())
        })
        .collect();
    let first = interp::run(&checked.canonical(), &params, &[("input", image.view())]).unwrap();
    let results = interp::run(&again.canonical(), &renamed, &[("input", image.view())]).unwrap();
    assert_eq!(first.iter().count(), results.iter().count());
    for (name, value) in first.iter() {
        // operators and their order are the file's; folded norms round otherwise than those of the source
        for (from, most) in [(expected.get(name).unwrap(), 1e-5), (value, if fold { 1e-2 } else { 1e-5 })] {
            let off = distance(results.get(name).unwrap(), from);
            assert!(off < most, "`{name}` is off by {off}\n{}", found.source);
        }
    }
    // how much of what repeats is a block's
    let graph = again.graph();
    let in_block: HashMap<&str, bool> =
        graph.order().into_iter().map(|id| (&graph.node(id).name[..], graph.node(id).origin.frame.is_some())).collect();
    let inside = |name: &str, scope: &str| name.strip_prefix(scope).is_some_and(|rest| rest.starts_with('.'));
    let of_repeated = found.layers.iter().filter(|(old, _)| case.repeated.iter().any(|scope| inside(old, scope)));
    of_repeated.for_each(|(_, new)| {
        tally.repeated += 1;
        tally.within += usize::from(in_block[&new[..]]);
    });
    tally.blocks +=
        usize::from(found.source.lines().any(|line| line.starts_with("block ") || line.starts_with("use std.blocks")));
    tally.regular += usize::from(!found.notes.iter().any(|note| note.contains("irregular") || note.contains("plain statements")));
}

#[test]
fn structured_networks_come_back() {
    // PROPTEST_CASES=2000 cargo test --test formats structured -- --nocapture
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let config = Config { cases, failure_persistence: None, max_global_rejects: 100_000, ..Config::default() };
    let tally = RefCell::new(Tally::default());
    let strategy = (crate::structured::case(), proptest::bool::weighted(0.25), proptest::bool::weighted(0.2));
    let done = TestRunner::new(config).run(&strategy, |(case, fold, nameless)| {
        there_and_back(&case, fold, nameless, &mut tally.borrow_mut());
        Ok::<(), TestCaseError>(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    let it = tally.into_inner();
    // some are too irregular; far fewer than these, and it is no more what it was
    if it.networks >= 100 {
        assert!(10 * it.blocks >= 8 * it.networks && 10 * it.within >= 8 * it.repeated, "{} of {}", it.blocks, it.networks);
    }
    let share = |n: usize, of: usize| format!("{n} ({:.1} %)", 100.0 * n as f64 / of as f64);
    println!(
        "{} networks: {} with blocks, {} regular, of {} with names {} keep all; of {} layers in bodies that repeat, {} in blocks",
        it.networks,
        share(it.blocks, it.networks),
        share(it.regular, it.networks),
        it.meant,
        share(it.named, it.meant),
        it.repeated,
        share(it.within, it.repeated)
    );
}

/// A convolution of single channels is written `depthwise`, in a block too; other groups stay.
#[test]
fn depthwise_convolutions_come_back_as_such() {
    let text = "resnet 1\nblock unit(kernel, stride = 1) {\n  depthwise kernel, stride\n  batchnorm\n  conv 1x1, filters: 8\n}\n\
                network net {\n  input 4 x 16 x 16\n  unit 3x3 as a\n  unit 5x5, stride: 2 as b\n  depthwise 3x3, multiplier: 2 as c\n  \
                conv 3x3, filters: 8, groups: 4 as d\n}\n";
    let mut front = Frontend::text("net.resnet", text);
    let checked = front.check("net", &[]).unwrap();
    let found = decompile(&bare(checked.graph(), false), &options("net")).unwrap();
    assert_eq!(layers(&compiled(&found)), layers(&checked), "{}", found.source);
    assert_eq!(found.source.matches("depthwise kernel").count(), 1, "{}", found.source);
    assert!(found.source.contains("depthwise 3x3, multiplier: 2 as c\n"), "{}", found.source);
    assert!(
        found.source.contains("conv 3x3, 8, groups: 4 as d\n") || found.source.contains("filters: 8, groups: 4 as d\n"),
        "{}",
        found.source
    );
}

/// The network of a source, from its graph alone: every layer keeps its name.
fn comes_back_with_its_names(text: &str) -> Decompiled {
    let mut front = Frontend::text("net.resnet", text);
    let checked = front.check("net", &[]);
    let checked = checked.unwrap_or_else(|| panic!("{}", render::terminal(&front.diagnostics, &front.sources, false)));
    let kept = Options { keep_names: true, ..options("net") };
    let found = decompile(&bare(checked.graph(), false), &kept).unwrap();
    assert_eq!(found.renamed().count(), 0, "{}", found.source);
    assert_eq!(layers(&compiled(&found)), layers(&checked), "{}", found.source);
    found
}

/// Paths that fork and read each other without a structure, as in Res2Net: their layers keep their names, and blocks are found.
#[test]
fn names_are_kept_where_paths_read_each_other() {
    let text = "resnet 1\n\nblock unit(filters) {\n  conv 1x1, filters: 3 * filters as conv1\n  branch whole { }\n  \
                slice start: 0, count: filters\n  conv 3x3, filters as convs.0\n  batchnorm as bns.0\n  relu as first\n  \
                branch from whole {\n    slice start: filters, count: filters\n    add first\n    conv 3x3, filters as convs.1\n    \
                batchnorm as bns.1\n    relu as second\n  }\n  branch from whole {\n    slice start: 2 * filters, count: filters\n    \
                add second\n    conv 3x3, filters as convs.2\n    batchnorm as bns.2\n  }\n  concat second, bns.2\n  \
                conv 1x1, filters as conv3\n}\n\nnetwork net {\n  input 4 x 8 x 8\n  repeat layer1: 3 of unit { filters: 4 }\n}\n";
    let found = comes_back_with_its_names(text);
    assert!(found.source.contains("repeat layer1: 3 of") || found.source.contains("stage layer1: 3 of"), "{}", found.source);
}

/// Numbered scopes with a layer and a stage each: every stage is one, under its full name. Their shortcuts are of two kinds.
#[test]
fn stages_in_numbered_scopes_and_projections_of_two_kernels_come_back() {
    let text = "resnet 1\n\nblock wide(filters, stride) {\n  sequential downsample {\n    conv 3x3, filters, stride\n    batchnorm\n  }\n}\n\n\
                block unit(filters, stride = 1) {\n  branch whole { }\n  slice start: 0, count: 4\n  conv 3x3, filters, stride as conv1\n  \
                batchnorm as bn1\n  branch half from whole {\n    slice start: 4, count: 4\n    conv 3x3, filters, stride as conv\n  }\n  \
                branch both {\n    add half\n    relu\n  }\n  concat both\n  conv 1x1, filters as conv2\n  add shortcut\n}\n\n\
                network net {\n  input 3 x 32 x 32\n  conv 3x3, filters: 8 as stem\n  shortcut: projection\n  \
                stage stages.0.blocks: 2 of unit { filters: 12 }\n  conv 1x1, filters: 16 as stages.1.down\n  \
                shortcut: projection(unit: wide)\n  stage stages.1.blocks: 3 of unit { filters: 24, map: halve }\n}\n";
    let found = comes_back_with_its_names(text);
    for stage in ["stage stages.0.blocks: 2 of", "stage stages.1.blocks: 3 of"] {
        assert!(found.source.contains(stage), "{}", found.source);
    }
}
