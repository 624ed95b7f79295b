//! What commands write: never what they read, refused before any work; and which of a file's networks is meant.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::path::{Path, PathBuf};

use command::{Ran, arg, resnetc};

const TWO: &str = "resnet 1

network small {
  input 1 x 28 x 28
  preprocess { resize: 28, crop: 28, channels: gray, mean: [0.5], std: [0.5] }
  conv 3x3, filters: 4
  norm
  avgpool global
  linear 10
}

network large = small() {
  train { batch: 4, steps: 1, augment { pad: 2, crop: 28 } }
}

network larger = large() {
  train { augment { flip: horizontal } }
}
";

fn source() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("net.resnet");
    fs::write(&file, TWO).unwrap();
    (dir, file)
}

/// It was refused as arguments that do not go together, with these words.
fn misused(ran: &Ran, words: &str) {
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains(words), "`{words}` is not in: {}", ran.err);
}

/// A folder of pictures: a folder for each class.
fn pictures(folder: &Path, classes: &[&str]) {
    for class in classes {
        fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..4 {
            fs::copy("tests/data/ankle-boot.png", folder.join(class).join(format!("{i}.png"))).unwrap();
        }
    }
}

#[test]
fn nothing_replaces_what_is_read() {
    let (dir, file) = source();
    let network = format!("{}:small", arg(&file));
    let out = dir.path().join("w.safetensors");
    fs::copy("tests/fixtures/tiny.safetensors", &out).unwrap();
    let onnx = dir.path().join("net.onnx");
    resnetc(&["export", "onnx", &network, "--weights", "init", "-o", arg(&onnx)]).fine();
    for args in [
        &["compile", &network, "--weights", "init", "-o", arg(&file)][..],
        &["export", "onnx", &network, "--weights", "init", "-o", arg(&file)],
        &["view", &network, "-o", arg(&file)],
        &["convert", arg(&out), "-o", arg(&out)],
        &["import", arg(&onnx), "-o", arg(&onnx), "--weights-out", arg(&out)],
    ] {
        misused(&resnetc(args), "is what is read");
    }
    let made = dir.path().join("made.resnet");
    assert_eq!(resnetc(&["import", arg(&onnx), "-o", arg(&made), "--weights-out", arg(&made)]).code, 2);
    assert!(!made.exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), TWO);
    assert_eq!(fs::read(&out).unwrap(), fs::read("tests/fixtures/tiny.safetensors").unwrap());
}

#[test]
fn a_network_stands_behind_the_files_name_everywhere() {
    let (dir, file) = source();
    let at = |name: &str| dir.path().join(name);
    let network = format!("{}:small", arg(&file));
    let (rnx, onnx, html) = (at("net.rnx"), at("net.onnx"), at("net.html"));
    resnetc(&["compile", &network, "--weights", "init", "-o", arg(&rnx)]).fine();
    resnetc(&["export", "onnx", &network, "--weights", "init", "-o", arg(&onnx)]).fine();
    resnetc(&["view", &network, "-o", arg(&html)]).fine();
    for path in [&rnx, &onnx, &html] {
        assert!(path.exists());
    }
    misused(&resnetc(&["compile", &network, "--network", "large", "--weights", "init", "-o", arg(&rnx)]), "name the network");
    // the source says where its weights lie, so that it runs as it is
    let (back, weights) = (at("back.resnet"), at("back.safetensors"));
    resnetc(&["import", arg(&onnx), "-o", arg(&back), "--weights-out", arg(&weights)]).fine();
    assert!(
        fs::read_to_string(&back).unwrap().contains("weights \"back.safetensors\""),
        "{}",
        fs::read_to_string(&back).unwrap()
    );
    let ran = resnetc(&["run", arg(&rnx), "tests/data/ankle-boot.png", "--format", "json"]).fine();
    let again = resnetc(&["run", arg(&back), "tests/data/ankle-boot.png", "--format", "json"]).fine();
    assert_eq!(ran.out.matches("ankle-boot").count(), again.out.matches("ankle-boot").count());
}

#[test]
fn a_derived_augment_replaces_that_of_its_base() {
    let (_dir, file) = source();
    let script = |network: &str, more: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let (net, train) = (dir.path().join("net.py"), dir.path().join("train.py"));
        let file = format!("{}:{network}", arg(&file));
        let args = ["export", "torch", &file, "-o", arg(&net), "--train-script", arg(&train)];
        resnetc(&[&args, more].concat()).fine();
        fs::read_to_string(train).unwrap()
    };
    let steps = |text: &str| ["v2.RandomCrop", "v2.RandomHorizontalFlip"].map(|step| text.contains(step));
    assert_eq!(steps(&script("large", &[])), [true, false]);
    assert_eq!(steps(&script("larger", &[])), [false, true]);
    // the command line changes single keys
    assert_eq!(steps(&script("large", &["--set", "train.augment.flip=horizontal"])), [true, true]);
}

#[test]
fn training_validates_apart_from_the_test_part() {
    let (dir, file) = source();
    let data = dir.path().join("data");
    pictures(&data.join("train"), &["a", "b"]);
    pictures(&data.join("val"), &["a"]);
    pictures(&data.join("test"), &["a", "b"]);
    let run = dir.path().join("run");
    let network = format!("{}:large", arg(&file));
    let train = |run: &Path| resnetc(&["train", &network, "--data", arg(&data), "-o", arg(run), "--threads", "1"]);
    let ran = train(&run).fine();
    assert!(format!("{}{}", ran.out, ran.err).contains("4 to validate on"), "{}{}", ran.out, ran.err);
    // the parts' classes are those of the training part
    pictures(&data.join("val"), &["c"]);
    let ran = train(&dir.path().join("again")).refused("`c` is none of the labels: a, b");
    assert!(!dir.path().join("again").exists(), "{}", ran.err);
    // a folder that is no run is left alone
    train(dir.path()).refused("is a folder with files of its own");
    assert!(file.exists());
}

#[test]
fn classes_that_fit_no_label_are_noted() {
    let (dir, file) = source();
    let data = dir.path().join("data");
    pictures(&data, &["a", "b"]);
    let network = format!("{}:small", arg(&file));
    let ran = resnetc(&["eval", &network, "--weights", "init", "--data", arg(&data)]).fine();
    assert!(ran.err.contains("note: the data have 2 classes (a, b) and the network 10 outputs"), "{}", ran.err);
    let ran = resnetc(&["eval", "models/fashion.resnet", "--data", arg(&data)]).fine();
    assert!(ran.err.contains("note: no class of the data (a, b) is called as one of the network's labels"), "{}", ran.err);
}

#[test]
fn pictures_have_no_output_file() {
    let (dir, _) = source();
    let out = dir.path().join("y.npy");
    misused(&resnetc(&["run", "models/fashion.resnet", "tests/data/ankle-boot.png", "--output", arg(&out)]), "--output");
}
