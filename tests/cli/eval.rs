//! `resnetc eval` as the paper judges: crops, scales, ensembles, ImageNet's folders, runs that are interrupted.

use std::path::Path;

use crate::command::{Ran, arg, resnetc, test_data};
use ndarray::{ArrayD, Axis};
use serde_json::Value;

const FASHION: &str = "models/fashion.resnet";
const LABELS: [&str; 10] =
    ["t-shirt-top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"];

/// The network of `tests/fixtures/tiny.safetensors`, with ImageNet's normalization.
const TINY: &str = "resnet 1
use std.blocks: basic
network tiny {
  input 3 x 16 x 16
  preprocess { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  conv 3x3, filters: 4
  batchnorm
  relu
  shortcut: pad(zeros: split)
  stage layer1: 1 of basic { filters: 4 }
  stage layer2: 1 of basic { filters: double, map: halve }
  stage layer3: 1 of basic { filters: double, map: halve }
  avgpool global
  linear 10 as linear
}
";

/// A folder with `data/CLASS/1.png` for each of the ten images that the repository carries.
fn ten_pictures() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (class, name) in LABELS.iter().enumerate() {
        let folder = dir.path().join(format!("data/{class}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(format!("tests/data/{name}.png"), folder.join("1.png")).unwrap();
    }
    dir
}

fn eval(file: &str, data: &Path, more: &[&str]) -> Ran {
    resnetc(&[&["eval", file, "--data", arg(data), "--threads", "2"], more].concat())
}

/// The answer as JSON, without the time that it took.
fn json(ran: Ran) -> Value {
    let mut answer: Value = serde_json::from_str(&ran.fine().out).unwrap();
    answer.as_object_mut().unwrap().remove("images_per_s");
    answer
}

/// The probabilities that a command gave, as `--scores` writes them.
fn scores(file: &str, dir: &Path, more: &[&str]) -> ArrayD<f32> {
    let out = dir.join("scores.npy");
    eval(file, &dir.join("data"), &[&["--scores", arg(&out)], more].concat()).fine();
    resnetc::internal::formats::npy::read(&out).unwrap()
}

fn worst(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    (a - b).iter().fold(0.0, |worst, d| worst.max(d.abs()))
}

/// Rows of `tests/fixtures/views.npy`, which PyTorch computed: `tests/reference/crops.py fixtures`.
#[test]
fn crops_and_scales_give_what_pytorch_gives() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("tiny.resnet");
    std::fs::write(&net, TINY).unwrap();
    std::fs::create_dir_all(dir.path().join("data/0")).unwrap();
    std::fs::copy("tests/fixtures/preprocess/picture.png", dir.path().join("data/0/1.png")).unwrap();
    let expected = resnetc::internal::formats::npy::read("tests/fixtures/views.npy".as_ref()).unwrap();
    let cases: [&[&str]; 5] = [
        &["--scales", "20", "--crops", "10"],
        &["--scales", "20", "--crops", "10", "--average", "logits"],
        &["--scales", "16,24,40"],
        &["--scales", "16,24,40", "--flip"],
        &["--scales", "20,24", "--crops", "1", "--flip"],
    ];
    assert_eq!(expected.shape(), [cases.len(), 10]);
    for (case, row) in cases.iter().zip(expected.axis_iter(Axis(0))) {
        for batch in ["1", "3", "16"] {
            let more = [*case, &["--weights", "tests/fixtures/tiny.safetensors", "--batch", batch][..]].concat();
            let got = scores(arg(&net), dir.path(), &more);
            let worst = worst(&got, &row.to_owned().insert_axis(Axis(0)));
            assert!(worst <= 1e-5, "{case:?}, batch {batch}: {worst}");
        }
    }
}

#[test]
fn the_answer_tells_of_views_and_errors() {
    let dir = ten_pictures();
    let data = dir.path().join("data");
    let plain = json(eval(FASHION, &data, &["--format", "json"]));
    assert_eq!((&plain["top1"], &plain["top1_error"], &plain["top5_error"]), (&100.0.into(), &0.0.into(), &0.0.into()));
    assert_eq!((&plain["views"]["count"], &plain["network"]), (&1.into(), &"fashion".into()));
    assert!(plain["networks"].is_null() && plain["worst"].is_null());

    let ran = eval(FASHION, &data, &["--scales", "28,32", "--crops", "10"]).fine();
    let views = "views    20: the corners and the center at 28 and 32 pixels, and flipped horizontally; probabilities averaged";
    assert!(ran.out.contains(views), "{}", ran.out);
    let header = ran.out.lines().find(|line| line.starts_with("network")).unwrap();
    assert_eq!(header.split_whitespace().collect::<Vec<_>>(), ["network", "top-1", "error", "top-5", "error", "loss"]);
}

/// What is averaged is probabilities: those that each network gives alone.
#[test]
fn an_ensemble_averages_probabilities() {
    let dir = ten_pictures();
    let data = dir.path().join("data");
    let other = format!("{FASHION}=init:3");
    let one = scores(FASHION, dir.path(), &[]);
    let two = scores(FASHION, dir.path(), &["--weights", "init:3"]);
    let both = scores(FASHION, dir.path(), &["--ensemble", &other]);
    assert!(worst(&both, &((&one + &two) / 2.0)) <= 1e-6);
    assert!(worst(&one, &two) > 0.1);

    let answer = json(eval(FASHION, &data, &["--ensemble", &other, "--format", "json"]));
    let networks = answer["networks"].as_array().unwrap();
    assert_eq!((networks.len(), &networks[0]["top1"]), (2, &100.0.into()));
    assert_ne!(networks[0]["loss"], networks[1]["loss"]);
    assert_eq!(networks[0]["network"], "fashion (models/fashion.resnet, 1)");
    let text = eval(FASHION, &data, &["--ensemble", &other, &format!("{FASHION}:fashion")]).fine().out;
    assert!(text.lines().any(|line| line.starts_with("ensemble")), "{text}");

    // networks of other classes cannot be averaged, by number or by name
    eval(FASHION, &data, &["--ensemble", "models/resnet.resnet:resnet18=init"]).refused("they cannot be averaged");
    eval(FASHION, &data, &["--ensemble", "models/cifar.resnet:resnet20=init"])
        .refused("class 0 is `T-shirt/top` of `fashion` and `airplane` of `resnet20`");
    eval(FASHION, &data, &["--ensemble", "models/cifar.resnet:resnet21=init"]).refused("did you mean");
    assert_eq!(eval(FASHION, &data, &["--ensemble", "=x"]).code, 2);
}

/// In portions, as often as it may be interrupted: the same bits.
#[test]
fn a_run_goes_on_where_it_ended() {
    let dir = ten_pictures();
    let data = dir.path().join("data");
    std::fs::write(data.join("3/broken.png"), "no image").unwrap();
    let state = dir.path().join("state.json");
    let more = ["--batch", "4", "--worst", "3", "--flip", "--weights", "init:7", "--format", "json"];
    let whole = json(eval(FASHION, &data, &more));
    assert_eq!((&whole["images"], &whole["skipped"], &whole["of"]), (&10.into(), &1.into(), &11.into()));
    let resume = [&more[..], &["--resume", arg(&state)]].concat();
    let portion = [&resume[..], &["--limit", "3"]].concat();
    let mut seen = Vec::new();
    let last = loop {
        let answer = json(eval(FASHION, &data, &portion));
        // a state file of before describes the views in former words
        let former = std::fs::read_to_string(&state).unwrap().replace(", and flipped horizontally", ", and mirrored");
        assert!(former.contains("mirrored"));
        std::fs::write(&state, former).unwrap();
        seen.push(answer["images"].as_u64().unwrap() + answer["skipped"].as_u64().unwrap());
        if answer["images"] == 10 {
            break answer;
        }
    };
    // two images of two views fill a run of four: three are rounded up to four
    assert_eq!(seen, [4, 8, 11]);
    assert_eq!(last, whole);
    let again = eval(FASHION, &data, &resume).fine();
    assert!(again.err.contains("holds a finished run"), "{}", again.err);
    assert_eq!(json(again), whole);

    // another question
    let other = |args: &[&str], why: &str| drop(eval(FASHION, &data, &[args, &["--resume", arg(&state)]].concat()).refused(why));
    other(&[], "batch: 4 there, and 16 here");
    other(&["--batch", "4", "--worst", "3", "--weights", "init:7"], "views: 2: the center, and flipped horizontally");
    other(&["--batch", "4", "--worst", "3", "--flip", "--weights", "init:8"], "network 1: fashion with checksum");
    std::fs::remove_file(data.join("3/broken.png")).unwrap();
    other(&more, "data: 11 images");
    for (text, why) in [("{", "is no state of `resnetc eval`"), ("{}", "missing field")] {
        std::fs::write(&state, text).unwrap();
        other(&more, why);
    }
    assert_eq!(eval(FASHION, &data, &["--resume", arg(&state), "--scores", "x.npy"]).code, 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_state_that_goes_on() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    // some seconds of work
    let pictures = ArrayD::from_shape_fn(vec![10_000, 1, 28, 28], |i| ((i[0] * 31 + i[2] * 7 + i[3]) % 17) as f32 / 17.0);
    resnetc::internal::formats::npy::write(&dir.path().join("x.npy"), &pictures.view()).unwrap();
    let mut labels = b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (10000,), }".to_vec();
    labels.resize(127, b' ');
    labels.push(b'\n');
    labels.extend((0..10_000).map(|i| (i % 10) as u8));
    std::fs::write(dir.path().join("y.npy"), labels).unwrap();
    let data = format!("{},{}", arg(&dir.path().join("x.npy")), arg(&dir.path().join("y.npy")));
    let state = dir.path().join("state.json");
    let args = ["eval", FASHION, "--data", &data, "--threads", "1", "--resume", arg(&state), "--format", "json"];
    let child = Command::new(env!("CARGO_BIN_EXE_resnetc"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let images = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap()["images"].as_u64().unwrap();
    let first = images(&output.stdout);
    assert!(first < 10_000 && state.exists(), "{first}");
    let ran = resnetc(&[&args[..], &["--limit", "16"]].concat()).fine();
    assert_eq!(images(ran.out.as_bytes()), first + 16);
}

#[test]
fn broken_files_are_counted_or_end_the_run() {
    let dir = ten_pictures();
    let data = dir.path().join("data");
    for i in 0..12 {
        std::fs::write(data.join(format!("2/broken{i}.png")), "").unwrap();
    }
    let ran = eval(FASHION, &data, &[]).fine();
    assert!(ran.out.contains("images   10 (12 skipped)"), "{}", ran.out);
    assert!(ran.err.contains("broken0.png` is empty") && ran.err.contains("and 2 more broken files"), "{}", ran.err);
    eval(FASHION, &data, &["--on-error", "fatal"]).refused("broken0.png` is empty");
    let rows = scores(FASHION, dir.path(), &[]);
    assert_eq!(rows.shape(), [22, 10]);
    assert_eq!(rows.iter().filter(|p| p.is_nan()).count(), 120);
    let few = scores(FASHION, dir.path(), &["--limit", "2"]);
    assert_eq!((few.shape(), few.iter().any(|p| p.is_nan())), (&[2, 10][..], false));
}

#[test]
fn the_worst_pictures_are_listed() {
    let dir = ten_pictures();
    let data = dir.path().join("data");
    // a bag among the sandals
    std::fs::copy("tests/data/bag.png", data.join("5/2.png")).unwrap();
    let answer = json(eval(FASHION, &data, &["--worst", "2", "--format", "json"]));
    let list = answer["worst"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert!(list[0]["image"].as_str().unwrap().ends_with("data/5/2.png"));
    assert_eq!((&list[0]["label"], &list[0]["answer_label"]), (&"Sandal".into(), &"Bag".into()));
    assert!(list[0]["probability"].as_f64() < list[1]["probability"].as_f64());
    let text = eval(FASHION, &data, &["--worst", "1"]).fine().out;
    let last = text.lines().last().unwrap();
    assert!(last.contains("data/5/2.png  Sandal  ") && last.contains("Bag  ") && last.ends_with(" %"), "{text}");
    // as small as it is
    assert!(last.contains("e-"), "{text}");
}

/// ImageNet's folders are called by synsets; some of the thousand will do, in folders or in an archive.
#[test]
fn folders_called_as_synsets_are_imagenets_classes() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net.resnet");
    let source = |labels: &str, classes: usize| {
        format!(
            "resnet 1\nnetwork net(classes = {classes}) {{\n  input 1 x 28 x 28\n  preprocess {{ channels: gray }}\n{labels}  conv 3x3, filters: 2\n  avgpool global\n  linear classes\n}}\n"
        )
    };
    for (synset, name) in [("n01443537", "bag"), ("n02099601", "coat"), ("n15075141", "dress")] {
        let folder = dir.path().join("data/val").join(synset);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(format!("tests/data/{name}.png"), folder.join("ILSVRC2012_val_00000001.JPEG")).unwrap();
    }
    let data = dir.path().join("data");
    let ask = |labels: &str, classes: usize| {
        std::fs::write(&net, source(labels, classes)).unwrap();
        let answer = json(eval(arg(&net), &data, &["--weights", "init", "--worst", "3", "--format", "json"]));
        let mut found: Vec<(u64, String)> = answer["worst"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["class"].as_u64().unwrap(), one["label"].as_str().unwrap().to_owned()))
            .collect();
        found.sort();
        found
    };
    let expected = [(1, "goldfish"), (207, "golden retriever"), (999, "toilet tissue")].map(|(i, name)| (i, name.to_owned()));
    assert_eq!(ask("", 1000), expected);
    assert_eq!(ask("  labels imagenet\n", 1000), expected);
    // a network of three classes of its own
    let own = [(0, "n01443537"), (1, "n02099601"), (2, "n15075141")].map(|(i, name)| (i, name.to_owned()));
    assert_eq!(ask("", 3), own);
    // a folder that is no class of ImageNet
    std::fs::rename(data.join("val/n15075141"), data.join("val/n15075142")).unwrap();
    std::fs::write(&net, source("", 1000)).unwrap();
    eval(arg(&net), &data, &["--weights", "init"]).refused("`n15075142` is not one of ImageNet's 1 000 classes");
    // labels of another number than the outputs
    std::fs::write(&net, source("  labels imagenet\n", 10)).unwrap();
    resnetc(&["check", arg(&net)]).refused("1000");
    std::fs::write(&net, source("  labels imagenot\n", 1000)).unwrap();
    resnetc(&["check", arg(&net)]).refused("a list of texts, a file's path, or `imagenet`");
}

#[test]
fn what_cannot_be_shown_is_told() {
    let dir = ten_pictures();
    let data = dir.path().join("data");
    let net = dir.path().join("net.resnet");
    let source = |end: &str| {
        format!(
            "resnet 1\nnetwork net {{\n  input 1 x 28 x 28\n  preprocess {{ channels: gray }}\n  conv 3x3, filters: 2\n{end}}}\n"
        )
    };
    let init = ["--weights", "init"];
    // a network whose linear layer counts the pixels
    std::fs::write(&net, source("  flatten\n  linear 10\n")).unwrap();
    eval(arg(&net), &data, &[&init[..], &["--scales", "28"]].concat())
        .refused("`net` cannot read whole images: the network runs only at its declared input size");
    eval(arg(&net), &data, &[&init[..], &["--scales", "30", "--crops", "10"]].concat()).fine();
    // ten times the same crop
    let ran = eval(arg(&net), &data, &[&init[..], &["--crops", "10"]].concat());
    assert!(ran.code == 2 && ran.err.contains("where ten crops are the same"), "{}", ran.err);
    assert_eq!(eval(FASHION, &data, &["--crops", "10", "--flip", "--scales", "32"]).code, 2);
    assert_eq!(eval(FASHION, &data, &["--crops", "5"]).code, 2);
    assert_eq!(eval(FASHION, &data, &["--scales", "0"]).code, 2);
    // images smaller than their crops
    eval(FASHION, &data, &["--scales", "20", "--crops", "10"]).refused("smaller than the crops of 28 x 28");
    // a network that ends in a softmax has no logits
    std::fs::write(&net, source("  avgpool global\n  linear 10\n  softmax\n")).unwrap();
    eval(arg(&net), &data, &[&init[..], &["--average", "logits"]].concat()).refused("ends in a softmax");
    // normalized values
    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    resnetc::internal::formats::npy::write(&x, &ArrayD::<f32>::zeros(vec![1, 1, 28, 28]).view()).unwrap();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }";
    std::fs::write(&y, [b"\x93NUMPY\x01\x00", &[header.len() as u8, 0][..], header.as_bytes(), &[0]].concat()).unwrap();
    let pair = format!("{},{}", arg(&x), arg(&y));
    resnetc(&["eval", FASHION, "--data", &pair]).fine();
    assert_eq!(resnetc(&["eval", FASHION, "--data", &pair, "--flip"]).code, 2);
}

/// A network stands behind its file, for every command that runs one.
#[test]
fn a_network_may_be_named_behind_its_file() {
    let named = |args: &[&str]| resnetc(&[args, &["tests/data/bag.png", "--weights", "init:1"]].concat()).fine().out;
    let behind = named(&["run", "models/cifar.resnet:resnet20"]);
    assert_eq!(behind, named(&["run", "models/cifar.resnet", "--network", "resnet20"]));
    assert_eq!(resnetc(&["run", "models/cifar.resnet:resnet20", "--network", "resnet32", "tests/data/bag.png"]).code, 2);
    resnetc(&["run", "models/cifar.resnet:nothing", "tests/data/bag.png"]).refused("no network `nothing`");
}

/// What the network reads can be had, and given back.
#[test]
fn pictures_are_prepared_to_an_array() {
    let dir = tempfile::tempdir().unwrap();
    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    resnetc(&["run", FASHION, "tests/data/bag.png", "tests/data/coat.png", "--prepared", arg(&x)]).fine();
    let array = resnetc::internal::formats::npy::read(&x).unwrap();
    assert_eq!(array.shape(), [2, 1, 28, 28]);
    let bag = resnetc::internal::data::load("tests/data/bag.png".as_ref()).unwrap();
    let expected: Vec<f32> = bag.data.iter().map(|&v| (f32::from(v) / 255.0 - 0.286) / 0.353).collect();
    assert!(array.iter().zip(expected).all(|(a, b)| *a == b));
    resnetc(&["run", FASHION, "--input", arg(&x), "--output", arg(&y)]).fine();
    assert_eq!(resnetc(&["run", FASHION, "tests/data/bag.png", "--prepared", arg(&x), "--output", arg(&y)]).code, 2);
}

/// He et al. 2016 set their ensemble beside its members (Table 5): here CIFAR's test images as JPEG. PyTorch gets 81.03 % and 82.56 %
/// of each alone.
#[test]
#[cfg_attr(debug_assertions, ignore = "20 000 pictures: cargo test --release -- --ignored")]
fn two_networks_together_beat_each_alone() {
    let Some(data) = test_data("two_networks_together_beat_each_alone") else { return };
    let weights = |name: &str| data.join(format!("cifar-resnet/{name}.safetensors"));
    let other = format!("models/cifar.resnet:resnet32={}", weights("resnet32").display());
    let more =
        ["--weights", arg(&weights("resnet20")), "--ensemble", &other, "--format", "json", "--batch", "64"].map(str::to_owned);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let answer = json(eval("models/cifar.resnet:resnet20", &data.join("cifar10-jpeg/test.tar"), &more));
    let alone: Vec<f64> = answer["networks"].as_array().unwrap().iter().map(|n| n["top1"].as_f64().unwrap()).collect();
    assert!((alone[0] - 81.03).abs() <= 0.3 && (alone[1] - 82.56).abs() <= 0.3, "{alone:?}");
    let together = answer["top1"].as_f64().unwrap();
    assert!(alone.iter().all(|alone| together > alone + 0.5), "{together} of {alone:?}");
}

/// TINY's weights, with one value of a tensor changed.
fn weights_with(dir: &Path, net: &Path, tensor: &str, value: f32) -> std::path::PathBuf {
    let (init, file) = (dir.join("init.safetensors"), dir.join("w.safetensors"));
    let seed =
        resnetc::internal::driver::CompileOptions { weights: resnetc::internal::driver::Weights::Init(3), ..Default::default() };
    let model = resnetc::internal::driver::Frontend::open(net).unwrap().model(&seed).unwrap();
    resnetc::internal::formats::safetensors::write(&init, model.params().iter()).unwrap();
    let found = resnetc::internal::formats::weights::open(&init).unwrap();
    let changed: Vec<(String, resnetc::internal::base::tensor::Tensor)> = found
        .iter()
        .map(|(name, t)| {
            let mut values = t.to_f32().into_owned();
            if name == tensor {
                values[0] = value;
            }
            (name.to_owned(), resnetc::internal::base::tensor::Tensor::from_f32(t.shape().to_vec(), values).unwrap())
        })
        .collect();
    assert!(changed.iter().any(|(name, _)| name == tensor), "{tensor}");
    resnetc::internal::formats::safetensors::write(&file, changed.iter().map(|(name, t)| (name.as_str(), t))).unwrap();
    file
}

/// A network whose scores are no numbers has no accuracy: whichever way it is asked, it says so, and where they stop being finite.
#[test]
fn scores_that_are_not_finite_are_never_measured_as_if_they_were() {
    let dir = ten_pictures();
    let net = dir.path().join("net.resnet");
    let source = TINY.replace("linear 10 as linear", "linear 10 as fc");
    std::fs::write(&net, &source).unwrap();
    let softmax = dir.path().join("softmax.resnet");
    std::fs::write(&softmax, source.replace("as fc\n", "as fc\n  softmax\n")).unwrap();
    let data = dir.path().join("data");
    let causes = [
        ("fc.bias", f32::NAN, "`fc.bias` holds NaN or infinity in 1 of 10 values"),
        ("bn1.bias", f32::INFINITY, "`bn1.bias` holds NaN or infinity in 1 of 4 values"),
        ("layer2.0.bn1.running_var", -2.0, "`layer2.0.bn1.running_var` holds a negative variance (-2)"),
        ("layer1.0.conv2.weight", 3e38, "`layer1.0.conv2"),
    ];
    for (tensor, value, words) in causes {
        let weights = weights_with(dir.path(), &net, tensor, value);
        let with = ["--weights", arg(&weights)];
        let ran = eval(arg(&net), &data, &[&with[..], &["--format", "json"]].concat());
        let answer: Value = serde_json::from_str(&ran.out).unwrap();
        let bad = answer["not_finite"].as_u64().unwrap();
        assert!(bad > 0 && answer["loss"].is_null(), "{tensor}: {answer}");
        let counted: u64 = answer["confusion"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .filter_map(Value::as_u64)
            .sum();
        assert_eq!(counted, 10 - bad, "{tensor}");
        ran.refused(words);
        let ran = resnetc(&["run", arg(&net), with[0], with[1], "tests/data/bag.png", "--format", "json"]);
        if ran.code == 1 {
            assert!(ran.out.contains("not finite") && !ran.out.contains("probability"), "{}", ran.out);
        }
    }
    // every value of the last layer: every way to ask
    let weights = weights_with(dir.path(), &net, "bn1.weight", f32::NAN);
    let with = ["--weights", arg(&weights)];
    let state = dir.path().join("state.json");
    let ways: [&[&str]; 7] = [
        &[],
        &["--scales", "20", "--crops", "10"],
        &["--scales", "20,24"],
        &["--average", "logits", "--scales", "20", "--flip"],
        &["--worst", "3"],
        &["--resume", arg(&state)],
        &["--resume", arg(&state)],
    ];
    for file in [&net, &softmax] {
        for way in ways {
            let ends = file == &softmax;
            if ends && (way.contains(&"logits") || way.contains(&"--resume")) {
                continue;
            }
            let ran = eval(arg(file), &data, &[&with[..], way].concat());
            assert!(ran.out.contains("0.00 %  100.00 %  0.00 %  100.00 %   NaN"), "{way:?}: {}", ran.out);
            ran.refused("the scores of 10 of 10 images are not finite, first those of `");
        }
        for format in ["text", "json"] {
            let ran = resnetc(&["run", arg(file), with[0], with[1], "tests/data/bag.png", "--format", format]);
            assert!(!ran.out.contains(" %") && !ran.out.contains("probability"), "{}", ran.out);
            ran.refused("bag.png`: the network's scores are not finite: the weights are not finite: `bn1.weight`");
        }
    }
    // one network of an ensemble
    let good = weights_with(dir.path(), &net, "fc.bias", 0.0);
    let kept = dir.path().join("good.safetensors");
    std::fs::rename(good, &kept).unwrap();
    let weights = weights_with(dir.path(), &net, "bn1.weight", f32::NAN);
    let second = format!("{}={}", arg(&net), arg(&weights));
    let ran = eval(arg(&net), &data, &["--weights", arg(&kept), "--ensemble", &second, "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(answer["networks"][0]["loss"].is_f64() && answer["networks"][0]["not_finite"] == 0, "{answer}");
    assert!(answer["loss"].is_null() && answer["networks"][1]["not_finite"] == 10 && answer["top1"] == 0.0, "{answer}");
    ran.refused("`bn1.weight`");
}

/// PyTorch's `cross_entropy` of scores that lie far apart is finite; a clamped probability would give 87.3.
#[test]
fn losses_are_those_of_the_scores() {
    let dir = ten_pictures();
    let net = dir.path().join("net.resnet");
    let source = TINY.replace("linear 10 as linear", "linear 10 as fc");
    std::fs::write(&net, &source).unwrap();
    let weights = weights_with(dir.path(), &net, "fc.bias", 5000.0);
    let data = dir.path().join("data");
    for end in ["", "  softmax\n"] {
        std::fs::write(&net, source.replace("as fc\n", &format!("as fc\n{end}"))).unwrap();
        for way in [&[][..], &["--scales", "20", "--crops", "10"]] {
            let answer = json(eval(arg(&net), &data, &[&["--weights", arg(&weights), "--format", "json"], way].concat()));
            // nine of ten classes lie some 5000 below the first
            let loss = answer["loss"].as_f64().unwrap();
            assert!((loss - 4500.0).abs() < 20.0, "{end:?}: {loss}");
        }
    }
}

/// A sample that holds no number is one that cannot be read: it is named, and left out or fatal.
#[test]
fn samples_that_are_not_finite_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    let mut values = ArrayD::<f32>::zeros(vec![3, 1, 28, 28]);
    values[[1, 0, 5, 5]] = f32::NAN;
    resnetc::internal::formats::npy::write(&x, &values.view()).unwrap();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }";
    std::fs::write(&y, [b"\x93NUMPY\x01\x00", &[header.len() as u8, 0][..], header.as_bytes(), &[0, 1, 2]].concat()).unwrap();
    let pair = format!("{},{}", arg(&x), arg(&y));
    let ran = resnetc(&["eval", FASHION, "--data", &pair]).fine();
    assert!(ran.err.contains("x.npy[1]` contains NaN") && ran.out.contains("images   2 (1 skipped)"), "{}{}", ran.out, ran.err);
    resnetc(&["eval", FASHION, "--data", &pair, "--on-error", "fatal"]).refused("x.npy[1]` contains NaN");
    // raw tensors come out as they are, with a word
    let out = dir.path().join("out.npy");
    let ran = resnetc(&["run", FASHION, "--input", arg(&x), "--output", arg(&out)]).fine();
    assert!(ran.err.contains("warning: `") && ran.err.contains("holds NaN (sample 1 of the batch"), "{}", ran.err);
    let got = resnetc::internal::formats::npy::read(&out).unwrap();
    let rows: Vec<bool> = got.axis_iter(Axis(0)).map(|row| row.iter().all(|v| v.is_finite())).collect();
    assert_eq!(rows, [true, false, true]);
    // finite values that a layer's sums are too large for
    resnetc::internal::formats::npy::write(&x, &ArrayD::<f32>::from_elem(vec![1, 1, 28, 28], 3e38).view()).unwrap();
    let ran = resnetc(&["run", FASHION, "--input", arg(&x), "--output", arg(&out)]).fine();
    assert!(ran.err.contains(" is the first layer whose output is not finite"), "{}", ran.err);
}
