//! PyTorch source: what is written is looked at (snapshots), and Python reads it. `tests/reference/torch_out.py` runs it in PyTorch
//! against `resnetc run`, for every network of `models/`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{arg, resnetc};
use insta::assert_snapshot;
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::Checked;
use resnetc::internal::torch::{Script, TorchError, script, write};

fn check(file: &Path, network: &str, set: &[(&str, &str)]) -> Checked {
    let set: Vec<(String, String)> = set.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Frontend::open(file).unwrap().check(network, &set).unwrap()
}

fn model(file: &str, network: &str) -> Checked {
    check(&Path::new("models").join(file), network, &[])
}

fn text(source: &str) -> Checked {
    let mut front = Frontend::text("net.resnet", source);
    let name = front.networks()[0].name.clone();
    let checked = front.check(&name, &[]);
    assert!(front.diagnostics.is_empty(), "{:?}", front.diagnostics);
    checked.unwrap()
}

/// Python reads a text as source. `None`: there is no Python here.
fn compiles(source: &str) -> Option<bool> {
    let mut python = Command::new("python3")
        .args(["-c", "import ast, sys; ast.parse(sys.stdin.read())"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    python.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    Some(python.wait().unwrap().success())
}

fn is_python(source: &str) {
    match compiles(source) {
        Some(fine) => assert!(fine, "{source}"),
        None => std::io::stderr().write_all(b"whether Python reads the source: skipped, there is no python3\n").unwrap(),
    }
}

/// Blocks with a shortcut that is sometimes a module, dense blocks, pyramids, paths side by side, gates, sequences, signals.
#[test]
fn sources_read_as_a_person_writes_them() {
    for (file, network) in [
        ("resnet.resnet", "resnet50"),
        ("cifar.resnet", "resnet20"),
        ("preact.resnet", "preact164"),
        ("densenet.resnet", "densenet121"),
        ("fpn.resnet", "resnet50_fpn"),
        ("googlenet.resnet", "googlenet"),
        ("senet.resnet", "seresnet50"),
        ("vgg.resnet", "vgg16"),
        ("signal.resnet", "signal18"),
        ("antialias.resnet", "resnetblur50"),
    ] {
        let source = write(&model(file, network), None).unwrap().text;
        is_python(&source);
        assert_snapshot!(network, source);
    }
}

/// Functions that PyTorch has are called by name; a file's own become Python functions, and modules if they have parameters.
#[test]
fn functions_are_called_or_defined() {
    for network in ["library", "own"] {
        let source = write(&check(Path::new("tests/reference/functions.resnet"), network, &[]), None).unwrap().text;
        is_python(&source);
        assert_snapshot!(format!("functions_{network}"), source);
    }
}

#[test]
fn every_network_of_models_has_a_source() {
    let mut files: Vec<PathBuf> = std::fs::read_dir("models").unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "resnet"));
    let mut all = String::new();
    for file in files {
        for network in Frontend::open(&file).unwrap().networks().into_iter().filter(|n| n.open.is_empty()) {
            all.push_str(&write(&check(&file, &network.name, &[]), None).unwrap().text);
        }
    }
    assert!(all.matches("import torch.nn.functional as F").count() > 50);
    is_python(&all);
}

/// Whatever a label may be: Python's words, a module's own attributes, numbers that are no sequence.
#[test]
fn names_that_python_has_are_kept() {
    let source = write(
        &text(
            r#"resnet 1
network net {
  input 3 x 8 x 8
  scope class {
    conv 3x3, filters: 4 as train
    relu
    conv 3x3, filters: 4 as "7"
  }
  branch items {
    conv 1x1, filters: 4 as pop
  }
  add items
  conv 1x1, filters: 2 as forward
}
"#,
        ),
        None,
    )
    .unwrap()
    .text;
    is_python(&source);
    assert_snapshot!("names", source);
}

#[test]
fn what_modules_cannot_be_is_refused() {
    let both =
        text("resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  conv 1x1, filters: 3 as a\n  conv 1x1, filters: 3 as a.b\n}\n");
    let error = write(&both, None).unwrap_err();
    assert!(matches!(&error, TorchError::Unsupported { node, .. } if node == "a"), "{error}");
    // what `model.eval()` and the like set on every module, in whatever way the layer would be written
    for name in ["training", "\"a.training\"", "\"training.a\"", "_modules", "_compiled_call_impl"] {
        let net = text(&format!("resnet 1\nnetwork net {{\n  input 3 x 8 x 8\n  conv 1x1, filters: 3 as {name}\n}}\n"));
        let error = write(&net, None).unwrap_err().to_string();
        assert!(error.contains("sets its own attribute"), "{name}: {error}");
    }
}

/// Layers of a sequence have numbers for names, which no parameter of a class can begin with.
#[test]
fn parameters_of_numbered_layers_have_names() {
    let source = write(
        &text(
            "resnet 1
block cn(kernel, filters, stride = 1, groups = 1) {
  conv kernel, filters, stride, groups as conv
}
block unit(filters, stride = 1, groups = 1, first = 3) {
  cn kernel: first, filters, stride, groups as \"1\"
  relu
  cn kernel: 1x1, filters: 8 as \"2\"
}
network net {
  input 3 x 17 x 16
  conv 3x3, filters: 4
  scope \"0\" {
    unit filters: 4, stride: 2, groups: 4, first: 1 as body
    relu
  }
  scope \"1\" {
    unit filters: 16 as body
  }
}
",
        ),
        None,
    )
    .unwrap()
    .text;
    assert!(source.contains("stride"), "{source}");
    is_python(&source);
}

#[test]
fn recipes_are_scripts() {
    let script_of = |checked: &Checked| {
        let text = script(checked, &Script { file: "train.py", module: "net", class: "Net" }).unwrap();
        is_python(&text);
        text
    };
    // all that a recipe may hold, in two scripts; the second one reads arrays alone
    let all = check(
        Path::new("models/resnet_d.resnet"),
        "resnet50d",
        &[
            ("train.clip_grad_norm", "1.0"),
            ("train.on_error", "skip"),
            ("train.stochastic_depth", "0.2"),
            ("train.accumulate", "2"),
        ],
    );
    assert_snapshot!("script_of_pictures", script_of(&all));
    let signal = check(
        Path::new("models/signal.resnet"),
        "signal18",
        &[
            ("train.steps", "500"),
            ("train.schedule", "plateau"),
            ("train.freeze", "[layer1]"),
            ("train.shuffle", "false"),
            ("train.validate", "steps(50)"),
        ],
    );
    assert_snapshot!("script_of_arrays", script_of(&signal));
    // the auxiliary classifiers' losses, and a schedule of steps
    let text = script_of(&model("googlenet.resnet", "googlenet"));
    assert!(text.contains("for name in [\"aux1\", \"aux2\"]:") && text.contains("times = [\n"), "{text}");
    let text = script_of(&model("fashion.resnet", "fashion"));
    assert!(text.contains("v2.Grayscale()") && text.contains("math.cos(math.pi * step / total)"), "{text}");
    // stochastic depth stands in the network itself
    let deep = write(&all, None).unwrap().text;
    assert!(deep.contains("drop_path(x, self.drop_path, self.training)"), "{deep}");
}

#[test]
fn scripts_need_a_recipe_and_a_classifier() {
    let refused = |checked: &Checked, words: &str| {
        let error = script(checked, &Script { file: "train.py", module: "net", class: "Net" }).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&model("vgg.resnet", "vgg16"), "no `train");
    let free = check(Path::new("models/fpn.resnet"), "resnet50_fpn", &[("train.epochs", "1")]);
    refused(&free, "size is free");
    let map = check(Path::new("models/fpn.resnet"), "resnet50_fpn_224", &[("train.epochs", "1")]);
    refused(&map, "is a feature map");
}

#[test]
fn the_command_writes_both_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (net, train) = (dir.path().join("resnet20.py"), dir.path().join("train.py"));
    let ran = resnetc(&["export", "torch", "models/cifar.resnet", "--network", "resnet20", "-o", arg(&net)]).fine();
    assert!(ran.out.ends_with("network resnet20 as class Resnet20\n"), "{}", ran.out);
    std::fs::remove_file(&net).unwrap();
    let both = |net: &Path, train: &Path| {
        let network = ["--network", "resnet20", "-o", arg(net), "--train-script", arg(train)];
        resnetc(&[&["export", "torch", "models/cifar.resnet"][..], &network].concat())
    };
    both(&net, &train).fine();
    let text = std::fs::read_to_string(&train).unwrap();
    assert!(text.contains("from resnet20 import Resnet20"), "{text}");
    // what Python could not import
    assert_eq!(both(&dir.path().join("resnet-20.py"), &train).code, 2);
    assert_eq!(both(&net, &dir.path().join("no/train.py")).code, 2);
    assert_eq!(both(&net, &net).code, 2);
    std::fs::remove_file(&net).unwrap();
    let vgg = ["export", "torch", "models/vgg.resnet", "--network", "vgg16", "-o", arg(&net), "--train-script", arg(&train)];
    resnetc(&vgg).refused("no `train");
    assert!(!net.exists());
    // an artifact has a network, but neither its blocks' names nor a recipe
    let rnx = dir.path().join("fashion.rnx");
    resnetc(&["compile", "models/fashion.resnet", "-o", arg(&rnx)]).fine();
    resnetc(&["export", "torch", arg(&rnx), "-o", arg(&net)]).fine();
    assert!(std::fs::read_to_string(&net).unwrap().contains("class Fashion(nn.Module)"));
}
