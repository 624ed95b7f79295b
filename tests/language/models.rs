//! Every network of `models/`: its dump by snapshot, folded, and how long the longest takes to check.

use std::path::{Path, PathBuf};
use std::time::Instant;

use resnetc::internal::base::render;
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::dump::{DumpOptions, dump};
use resnetc::internal::ir::summary::{Totals, stages};

fn model(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file)
}

fn dumps(file: &str) {
    let mut front = Frontend::open(&model(file)).unwrap();
    let networks: Vec<_> = front.networks().into_iter().filter(|n| n.open.is_empty()).collect();
    assert!(!networks.is_empty(), "{file} holds no network without open parameters");
    for network in networks {
        let checked = front.check(&network.name, &[]);
        let said = render::terminal(&front.diagnostics, &front.sources, false);
        assert!(said.is_empty(), "{file}, {}:\n{said}", network.name);
        let name = format!("{}-{}", file.trim_end_matches(".resnet"), network.name);
        let text = dump(&checked.unwrap(), DumpOptions { fold: true });
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, text) });
    }
}

#[test]
fn antialias() {
    dumps("antialias.resnet");
}

#[test]
fn bit() {
    dumps("bit.resnet");
}

#[test]
fn cifar() {
    dumps("cifar.resnet");
}

#[test]
fn convnext() {
    dumps("convnext.resnet");
}

#[test]
fn crepe() {
    dumps("crepe.resnet");
}

#[test]
fn cspnet() {
    dumps("cspnet.resnet");
}

#[test]
fn darknet() {
    dumps("darknet.resnet");
}

#[test]
fn densenet() {
    dumps("densenet.resnet");
}

#[test]
fn dilated() {
    dumps("dilated.resnet");
}

#[test]
fn dla() {
    dumps("dla.resnet");
}

#[test]
fn ecanet() {
    dumps("ecanet.resnet");
}

#[test]
fn efficientnet() {
    dumps("efficientnet.resnet");
}

#[test]
fn efficientnetv2() {
    dumps("efficientnetv2.resnet");
}

#[test]
fn fashion() {
    dumps("fashion.resnet");
}

#[test]
fn fpn() {
    dumps("fpn.resnet");
}

#[test]
fn googlenet() {
    dumps("googlenet.resnet");
}

#[test]
fn groupnorm() {
    dumps("groupnorm.resnet");
}

#[test]
fn highway() {
    dumps("highway.resnet");
}

#[test]
fn hrnet() {
    dumps("hrnet.resnet");
}

#[test]
fn inception() {
    dumps("inception.resnet");
}

#[test]
fn mnasnet() {
    dumps("mnasnet.resnet");
}

#[test]
fn mobilenetv2() {
    dumps("mobilenetv2.resnet");
}

#[test]
fn mobilenetv3() {
    dumps("mobilenetv3.resnet");
}

#[test]
fn nfnet() {
    dumps("nfnet.resnet");
}

#[test]
fn plain() {
    dumps("plain.resnet");
}

#[test]
fn preact() {
    dumps("preact.resnet");
}

#[test]
fn regnet() {
    dumps("regnet.resnet");
}

#[test]
fn repvgg() {
    dumps("repvgg.resnet");
}

#[test]
fn res2net() {
    dumps("res2net.resnet");
}

#[test]
fn resnest() {
    dumps("resnest.resnet");
}

#[test]
fn resnet() {
    dumps("resnet.resnet");
}

#[test]
fn resnet_d() {
    dumps("resnet_d.resnet");
}

#[test]
fn resnext() {
    dumps("resnext.resnet");
}

#[test]
fn senet() {
    dumps("senet.resnet");
}

#[test]
fn shufflenet() {
    dumps("shufflenet.resnet");
}

#[test]
fn signal() {
    dumps("signal.resnet");
}

#[test]
fn sknet() {
    dumps("sknet.resnet");
}

#[test]
fn squeezenet() {
    dumps("squeezenet.resnet");
}

#[test]
fn unet() {
    dumps("unet.resnet");
}

#[test]
fn vgg() {
    dumps("vgg.resnet");
}

#[test]
fn wide() {
    dumps("wide.resnet");
}

/// No file of the folder is forgotten above.
#[test]
fn every_model_has_its_test() {
    let mut files: Vec<String> = std::fs::read_dir(model(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".resnet"))
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "antialias.resnet",
            "bit.resnet",
            "cifar.resnet",
            "convnext.resnet",
            "crepe.resnet",
            "cspnet.resnet",
            "darknet.resnet",
            "densenet.resnet",
            "dilated.resnet",
            "dla.resnet",
            "ecanet.resnet",
            "efficientnet.resnet",
            "efficientnetv2.resnet",
            "fashion.resnet",
            "fpn.resnet",
            "googlenet.resnet",
            "groupnorm.resnet",
            "highway.resnet",
            "hrnet.resnet",
            "inception.resnet",
            "mnasnet.resnet",
            "mobilenetv2.resnet",
            "mobilenetv3.resnet",
            "nfnet.resnet",
            "plain.resnet",
            "preact.resnet",
            "regnet.resnet",
            "repvgg.resnet",
            "res2net.resnet",
            "resnest.resnet",
            "resnet.resnet",
            "resnet_d.resnet",
            "resnext.resnet",
            "senet.resnet",
            "shufflenet.resnet",
            "signal.resnet",
            "sknet.resnet",
            "squeezenet.resnet",
            "unet.resnet",
            "vgg.resnet",
            "wide.resnet",
        ]
    );
}

/// Folding leaves out repetition alone: unfolded, each node has a line.
#[test]
fn unfolded_dumps_have_a_line_a_node() {
    let mut front = Frontend::open(&model("resnet.resnet")).unwrap();
    let checked = front.check("resnet50", &[]).unwrap();
    let text = dump(&checked, DumpOptions { fold: false });
    let nodes = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("  block ")).count();
    assert_eq!(nodes, checked.graph().len());
}

/// Table 1 of the paper, from the file.
#[test]
fn the_stages_add_up_to_the_network() {
    let mut front = Frontend::open(&model("resnet.resnet")).unwrap();
    let checked = front.check("resnet50", &[]).unwrap();
    let rows = stages(&checked);
    let text: Vec<String> =
        rows.iter().map(|row| format!("{}: {} x {}, {}", row.name, row.blocks, row.unit, row.output)).collect();
    assert_eq!(
        text,
        [
            ": 0 x , 64 x 56 x 56",
            "layer1: 3 x bottleneck, 256 x 56 x 56",
            "layer2: 4 x bottleneck, 512 x 28 x 28",
            "layer3: 6 x bottleneck, 1024 x 14 x 14",
            "layer4: 3 x bottleneck, 2048 x 7 x 7",
            ": 0 x , 1000",
        ]
    );
    let totals = Totals::of(&checked);
    assert_eq!(rows.iter().map(|row| row.params).sum::<u64>(), totals.params);
    assert_eq!(rows.iter().map(|row| row.macs).sum::<Option<u64>>(), totals.macs);
}

/// A thousand layers are checked at once: nothing on the way is quadratic. In release the whole takes some 20 ms; the bound
/// here leaves room for a debug build on a busy machine, and none for work that grows with the square (28 000 nodes).
#[test]
fn a_thousand_layers_are_checked_at_once() {
    let start = Instant::now();
    let mut front = Frontend::open(&model("cifar.resnet")).unwrap();
    let checked = front.check("resnet1202", &[]).unwrap();
    let took = start.elapsed();
    assert_eq!(Totals::of(&checked).layers, 1202);
    assert!(took.as_millis() < 2000, "{took:?}");
}

/// The table of docs/models.md has each network's parameters and multiply-adds as the compiler counts them.
#[test]
fn the_documented_counts_are_the_compilers() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md")).unwrap();
    let mut rows = 0;
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (network, file) = (cells[1].trim_matches('`'), cells[2].split(['[', ']']).nth(1).unwrap());
        let checked = Frontend::open(&model(file)).unwrap().check(network, &[]).unwrap();
        let totals = Totals::of(&checked);
        let number = |cell: &str| cell.replace(' ', "").parse::<u64>().unwrap();
        assert_eq!((number(cells[4]), Some(number(cells[5]))), (totals.params, totals.macs), "{network}");
        rows += 1;
    }
    assert!(rows > 20, "{rows} rows");
}

/// The graph as Graphviz reads it, of two blocks with side paths.
#[test]
fn dot_draws_blocks_as_clusters() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/ok/two-paths.resnet");
    let checked = Frontend::open(&path).unwrap().check("net", &[]).unwrap();
    let text = resnetc::internal::ir::dot::dot(&checked);
    let count = |what: &str| text.matches(what).count();
    assert_eq!((count("{"), count("subgraph")), (count("}"), 2));
    assert_eq!(count("[label = "), checked.graph().len());
    let edges: usize = checked.graph().ids().map(|id| checked.graph().operands(id).len()).sum();
    assert_eq!(count(" -> "), edges);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("two-paths-dot", text) });
    let text = dump(&checked, DumpOptions { fold: true });
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("two-paths", text) });
}
