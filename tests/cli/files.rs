//! What commands write: never what they read, refused before any work; and which of a file's networks is meant.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Ran, arg, resnetc};
use resnetc::internal::formats::npy;

const TWO: &str = "resnet 1

network small {
  input 1 x 28 x 28
  preprocess { resize: 28, crop: 28, channels: gray, mean: [0.5], std: [0.5] }
  conv 3x3, filters: 4
  batchnorm
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
        &["profile", &network, "--runs", "1", "--html", arg(&file)],
        &["export", "torch", &network, "-o", arg(&file)],
    ] {
        misused(&resnetc(args), "is also an input");
    }
    // what the source names and uses
    let at = |name: &str| dir.path().join(name);
    let text = "resnet 1\nuse \"part.resnet\": part\nnetwork net {\n  input 1 x 28 x 28\n  part\n  avgpool global\n  linear 3\n  \
                labels \"names.txt\"\n  weights \"w.safetensors\"\n}\n";
    let (net, x, y) = (at("whole.resnet"), at("x.npy"), at("y.npy"));
    for (name, text) in
        [("whole.resnet", text), ("part.resnet", "resnet 1\nblock part() {\n  relu\n}\n"), ("names.txt", "a\nb\nc\n")]
    {
        fs::write(at(name), text).unwrap();
    }
    npy::write(&x, &ndarray::ArrayD::<f32>::zeros(vec![2, 1, 28, 28]).view()).unwrap();
    fs::write(&y, crate::tiny::npy("|u1", "(2,)", &[0, 1])).unwrap();
    let data = format!("{},{}", arg(&x), arg(&y));
    for name in ["w.safetensors", "part.resnet", "names.txt"] {
        let to = at(name);
        let to = arg(&to);
        misused(&resnetc(&["compile", arg(&net), "-o", to]), "is also an input");
        misused(&resnetc(&["export", "onnx", arg(&net), "-o", to]), "is also an input");
        misused(&resnetc(&["view", arg(&net), "-o", to]), "is also an input");
    }
    let init = ["--weights", "init"];
    let with_init = |args: &[&str]| resnetc(&[args, &init].concat());
    misused(&with_init(&["run", arg(&net), "--input", arg(&x), "--output", arg(&net)]), "is also an input");
    misused(&with_init(&["eval", arg(&net), "--data", &data, "--scores", arg(&x)]), "is also an input");
    misused(&with_init(&["eval", &format!("{}:net", arg(&net)), "--data", &data, "--scores", arg(&net)]), "is also an input");
    misused(&with_init(&["calibrate-bn", &network, "--data", &data, "-o", arg(&y)]), "is also an input");
    let again = dir.path().join(".").join("twice.npy");
    let twice = ["--output", arg(&again), "--output", &format!("output={}", arg(&at("twice.npy")))];
    misused(&with_init(&[&["run", arg(&net), "--input", arg(&x)][..], &twice].concat()), "would be written twice");
    // the values of an ONNX file that lie beside it
    let large = at("large.onnx");
    resnetc(&["export", "onnx", "models/fashion.resnet", "--external-data", "-o", arg(&large)]).fine();
    let values = at("large.onnx.data");
    misused(&resnetc(&["import", arg(&large), "--weights-out", arg(&values)]), "is also an input");
    let made = dir.path().join("made.resnet");
    let same = dir.path().join(".").join("made.resnet");
    misused(&resnetc(&["import", arg(&onnx), "-o", arg(&made), "--weights-out", arg(&same)]), "would be written twice");
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
    misused(
        &resnetc(&["compile", &network, "--network", "large", "--weights", "init", "-o", arg(&rnx)]),
        "two networks are given",
    );
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
    let scores = |ran: &Ran| -> Vec<(u64, f64)> {
        let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let top = answer["top"].as_array().unwrap().clone();
        top.iter().map(|one| (one["class"].as_u64().unwrap(), one["probability"].as_f64().unwrap())).collect()
    };
    let (one, other) = (scores(&ran), scores(&again));
    assert!(one.len() == 5 && one.iter().zip(&other).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6), "{one:?} {other:?}");
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
    assert!(format!("{}{}", ran.out, ran.err).contains("4 validation samples"), "{}{}", ran.out, ran.err);
    // the parts' classes are those of the training part
    pictures(&data.join("val"), &["c"]);
    let ran = train(&dir.path().join("again")).refused("`c` is not one of the classes: a, b");
    assert!(!dir.path().join("again").exists(), "{}", ran.err);
    // a run that goes on has its folder for itself
    let lock = fs::File::open(run.join(".lock")).unwrap();
    lock.lock().unwrap();
    resnetc(&["train", "--resume", arg(&run)]).refused("is in use by another resnetc process");
    drop(lock);
    // one that made steps is not begun again, and a folder that is no run is left alone
    train(&run).refused("already contains a run");
    fs::remove_file(run.join("checkpoint.safetensors")).unwrap();
    train(&run).refused("already contains a run");
    train(dir.path()).refused("contains other files");
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
    assert!(ran.err.contains("note: no class of the data (a, b) is a label of the network"), "{}", ran.err);
}

#[test]
fn pictures_have_no_output_file() {
    let (dir, _) = source();
    let out = dir.path().join("y.npy");
    misused(&resnetc(&["run", "models/fashion.resnet", "tests/data/ankle-boot.png", "--output", arg(&out)]), "--output");
}
