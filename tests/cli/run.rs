//! The commands that compute: run, eval, compile -o, verify, bench.

use std::path::Path;

use crate::command::{arg, resnetc};
use ndarray::ArrayD;
use resnetc::internal::driver::{self, Frontend};
use resnetc::internal::formats::npy;
use resnetc::internal::infer::BoundNetwork;
use resnetc::{Classifier, CompileOptions, ErrorKind, Image, Model, Prediction, Weights};
use serde_json::Value;

const FASHION: &str = "models/fashion.resnet";

/// The images that the repository carries, with their labels.
const PICTURES: &[(&str, &str)] = &[
    ("t-shirt-top", "T-shirt/top"),
    ("trouser", "Trouser"),
    ("pullover", "Pullover"),
    ("dress", "Dress"),
    ("coat", "Coat"),
    ("sandal", "Sandal"),
    ("shirt", "Shirt"),
    ("sneaker", "Sneaker"),
    ("bag", "Bag"),
    ("ankle-boot", "Ankle boot"),
];

#[test]
fn the_first_command_of_the_readme_classifies_a_picture() {
    let ran = resnetc(&["run", FASHION, "tests/data/ankle-boot.png"]).fine();
    assert_eq!(ran.out.lines().count(), 5);
    assert!(ran.out.lines().next().unwrap().ends_with("%  Ankle boot"), "{}", ran.out);
}

#[test]
fn every_picture_of_a_folder_is_a_line_of_json() {
    let ran = resnetc(&["run", FASHION, "tests/data", "--format", "json", "--top", "2"]).fine();
    let lines: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), PICTURES.len());
    for line in lines {
        let image = line["image"].as_str().unwrap();
        let (_, label) = PICTURES.iter().find(|(name, _)| image.ends_with(&format!("/{name}.png"))).unwrap();
        assert_eq!(line["top"][0]["label"], *label, "{image}");
        let first = line["top"][0]["probability"].as_f64().unwrap();
        assert!(first >= line["top"][1]["probability"].as_f64().unwrap() && first <= 1.0);
    }
}

#[test]
fn a_broken_picture_is_reported_and_the_others_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy("tests/data/bag.png", dir.path().join("b.png")).unwrap();
    std::fs::write(dir.path().join("a.jpg"), "this is no image").unwrap();
    let ran = resnetc(&["run", FASHION, arg(dir.path())]).refused("no JPEG, PNG, WebP");
    assert!(ran.out.contains("Bag"), "{}", ran.out);
    assert!(ran.err.contains("1 of 2 images were not read"), "{}", ran.err);
    // a kind of JPEG that brings a decoder down
    std::fs::copy("tests/fixtures/images/jpeg_two_components.jpg", dir.path().join("a.jpg")).unwrap();
    let ran = resnetc(&["run", FASHION, arg(dir.path())]).refused("a.jpg` cannot be decoded: it has 2 components");
    assert!(ran.out.contains("Bag") && ran.err.contains("1 of 2 images were not read"), "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

/// As `eval` does.
#[test]
fn mean_leaves_broken_images_out_or_ends_at_the_first() {
    let data = dataset(|file, _| PICTURES.iter().position(|(f, _)| *f == file).unwrap().to_string());
    let (dir, args) = (tempfile::tempdir().unwrap(), ["dataset-stats", "--data", arg(data.path()), "--gray", "-o"]);
    let (before, after) = (dir.path().join("before.npy"), dir.path().join("after.npy"));
    let whole = resnetc(&[&args[..], &[arg(&before)]].concat()).fine();
    std::fs::copy("tests/fixtures/images/jpeg_two_components.jpg", data.path().join("2/a.jpg")).unwrap();
    (0..11).for_each(|i| std::fs::write(data.path().join(format!("3/broken{i:02}.png")), "").unwrap());
    let ran = resnetc(&[&args[..], &[arg(&after)]].concat()).fine();
    assert_eq!(ran.out, whole.out);
    assert!(ran.err.contains("warning: `") && ran.err.contains("a.jpg` cannot be decoded"), "{}", ran.err);
    assert!(ran.err.contains("warning: and 2 more broken files"), "{}", ran.err);
    assert!(ran.err.contains("note: measured on 10 of 22 images, without 12 that cannot be read"), "{}", ran.err);
    assert_eq!(npy::read(&before).unwrap(), npy::read(&after).unwrap());
    resnetc(&[&args[..], &[arg(&after), "--on-error", "fatal"]].concat()).refused("cannot be decoded");
}

#[test]
fn an_artifact_answers_as_its_source_does() {
    let dir = tempfile::tempdir().unwrap();
    let rnx = dir.path().join("fashion.rnx");
    resnetc(&["compile", FASHION, "-o", arg(&rnx)]).fine();
    assert!(resnetc(&["verify", arg(&rnx)]).fine().out.contains("ok, network fashion"));
    let source = resnetc(&["run", FASHION, "tests/data/coat.png"]).fine();
    let artifact = resnetc(&["run", arg(&rnx), "tests/data/coat.png"]).fine();
    assert_eq!(source.out, artifact.out);
    assert_eq!(resnetc(&["run", arg(&rnx), "--weights", "init", "tests/data/coat.png"]).code, 2);
}

#[test]
fn an_artifact_holds_packed_weights_and_says_where_they_do_not_serve() {
    let dir = tempfile::tempdir().unwrap();
    let (with, without) = (dir.path().join("with.rnx"), dir.path().join("without.rnx"));
    let forced = |isa: &str, args: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_resnetc")).args(args).env("RESNETC_ISA", isa).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (said, _) = forced("portable", &["compile", FASHION, "-o", arg(&with)]);
    assert!(said.contains("packed for portable"), "{said}");
    let (said, _) = forced("portable", &["compile", FASHION, "--no-packed-weights", "-o", arg(&without)]);
    assert!(said.contains("weights") && !said.contains("packed"), "{said}");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&with) > size(&without) * 3 / 2);
    let (answer, notes) = forced("portable", &["run", arg(&with), "tests/data/coat.png"]);
    assert_eq!(notes, "");
    assert_eq!(forced("portable", &["run", arg(&without), "tests/data/coat.png"]), (answer.clone(), String::new()));
    // with the best kernels here
    let (other, notes) = forced("", &["run", arg(&with), "tests/data/coat.png"]);
    assert_eq!(other.lines().next(), answer.lines().next());
    let best = resnetc::internal::kernels::Isa::best();
    if best != resnetc::internal::kernels::Isa::Portable {
        assert!(notes.contains(&format!("are packed for portable, and will be packed again for {best}")), "{notes}");
    }
    assert_eq!(resnetc(&["compile", FASHION, "--no-packed-weights"]).code, 2);
}

#[test]
fn what_is_packed_anew_for_another_batch_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rnx = dir.path().join("net.rnx");
    let from = ["--network", "resnet20", "--weights", "init", "--threads", "2"];
    resnetc(&[&["compile", "models/cifar.resnet", "-o", arg(&rnx)][..], &from].concat()).fine();
    let bench = |batch: &str| resnetc(&["bench", arg(&rnx), "--threads", "2", "--runs", "1", "--batch", batch]).fine().err;
    assert_eq!(bench("1"), "");
    let portable = resnetc::internal::kernels::Isa::chosen() == Ok(resnetc::internal::kernels::Isa::Portable);
    assert_eq!(bench("8").contains("net.rnx` are for another batch size"), !portable);
}

/// A folder with a folder for each class, as `eval` wants it.
fn dataset(names: impl Fn(&str, &str) -> String) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, label) in PICTURES {
        let class = dir.path().join(names(file, label));
        std::fs::create_dir(&class).unwrap();
        std::fs::copy(format!("tests/data/{file}.png"), class.join("1.png")).unwrap();
    }
    dir
}

#[test]
fn eval_measures_over_class_folders() {
    // in sorted order: the digits are the classes
    let sorted = dataset(|file, _| PICTURES.iter().position(|(f, _)| *f == file).unwrap().to_string());
    let ran = resnetc(&["eval", FASHION, "--data", arg(sorted.path()), "--format", "json", "--batch", "3"]).fine();
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["images"], &json["skipped"]), (&10.into(), &0.into()));
    assert_eq!((json["top1"].as_f64(), json["top5"].as_f64()), (Some(100.0), Some(100.0)));
    assert!(json["loss"].as_f64().unwrap() < 1.0, "{json}");
    assert_eq!(json["confusion"].as_array().unwrap().len(), 10);

    // one image in the wrong folder, and one broken
    std::fs::copy("tests/data/bag.png", sorted.path().join("0/2.png")).unwrap();
    std::fs::write(sorted.path().join("0/3.png"), "").unwrap();
    let ran = resnetc(&["eval", FASHION, "--data", arg(sorted.path())]).fine();
    assert!(ran.out.contains("90.91 %") && ran.out.contains("(1 skipped)"), "{}", ran.out);
    assert!(ran.err.contains("3.png` is empty"), "{}", ran.err);
}

#[test]
fn eval_matches_folders_with_labels() {
    let labeled = dataset(|_, label| label.replace('/', "-"));
    // "T-shirt-top" cannot be the label "T-shirt/top": a folder's name has no slash
    resnetc(&["eval", FASHION, "--data", arg(labeled.path())]).refused("not one of the classes");
}

/// The same ten images as IDX files, in a tar archive, and normalized in a pair of arrays: the same answers.
#[test]
fn eval_reads_every_kind_of_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let png = |file: &str| Path::new("tests/data").join(format!("{file}.png"));
    let pictures: Vec<resnetc::internal::data::Pixels> = PICTURES
        .iter()
        .map(|(f, _)| resnetc::internal::data::load(&png(f)).unwrap().convert(resnetc::internal::ir::Channels::Gray))
        .collect();
    let bytes: Vec<u8> = pictures.iter().flat_map(|p| p.data.clone()).collect();
    let idx = |sizes: &[u32], data: &[u8]| {
        let sizes: Vec<u8> = sizes.iter().flat_map(|s| s.to_be_bytes()).collect();
        [&[0, 0, 8, (sizes.len() / 4) as u8], &sizes[..], data].concat()
    };
    std::fs::write(dir.path().join("t10k-images-idx3-ubyte"), idx(&[10, 28, 28], &bytes)).unwrap();
    let labels = |last: u8| idx(&[10], &[0, 1, 2, 3, 4, 5, 6, 7, 8, last]);
    std::fs::write(dir.path().join("t10k-labels-idx1-ubyte"), labels(9)).unwrap();

    let values = bytes.iter().map(|&b| (f32::from(b) / 255.0 - 0.286) / 0.353).collect();
    let samples = ArrayD::from_shape_vec(vec![10, 1, 28, 28], values).unwrap();
    let (x, y, tar) = (dir.path().join("x.npy"), dir.path().join("y.npy"), dir.path().join("pictures.tar"));
    npy::write(&x, &samples.view()).unwrap();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (10,), }";
    let array = [b"\x93NUMPY\x01\x00", &[header.len() as u8, 0][..], header.as_bytes(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]].concat();
    std::fs::write(&y, array).unwrap();
    let mut archive = tar::Builder::new(std::fs::File::create(&tar).unwrap());
    for (class, (file, _)) in PICTURES.iter().enumerate() {
        archive.append_path_with_name(png(file), format!("test/{class}/1.png")).unwrap();
    }
    archive.finish().unwrap();

    let eval = |data: &str| ["eval", FASHION, "--format", "json", "--data", data].map(str::to_owned);
    let run = |data: &str| resnetc(&eval(data).each_ref().map(String::as_str));
    let pair = format!("{},{}", arg(&x), arg(&y));
    let mut losses = Vec::new();
    for data in [arg(dir.path()), arg(&tar), &pair] {
        let json: Value = serde_json::from_str(&run(data).fine().out).unwrap();
        assert_eq!((&json["images"], &json["top1"]), (&10.into(), &100.0.into()), "{data}");
        losses.push(json["loss"].as_f64().unwrap());
    }
    assert!(losses.iter().all(|loss| (loss - losses[0]).abs() < 1e-6), "{losses:?}");

    std::fs::write(dir.path().join("t10k-labels-idx1-ubyte"), labels(10)).unwrap();
    run(arg(dir.path())).refused("sample 9 has label 10, but the network has 10 classes");
    std::fs::write(dir.path().join("t10k-images-idx3-ubyte"), idx(&[10, 28, 28], &bytes[..7000])).unwrap();
    std::fs::write(dir.path().join("t10k-labels-idx1-ubyte"), labels(9)).unwrap();
    run(arg(dir.path())).refused("is truncated: its header declares 10 x 28 x 28 = 7840 bytes, but there are only 7000");
    let wide = ArrayD::<f32>::zeros(vec![10, 1, 28, 30]);
    npy::write(&x, &wide.view()).unwrap();
    run(&pair).refused("has samples of 1 x 28 x 30, but the network reads 1 x 28 x 28");
}

/// `mean` measures what `preprocess` states, for each channel and for each pixel; an artifact holds the latter.
#[test]
fn a_mean_for_each_pixel_is_measured_and_used() {
    let data = dataset(|file, _| PICTURES.iter().position(|(f, _)| *f == file).unwrap().to_string());
    let dir = tempfile::tempdir().unwrap();
    let (mean, source, rnx) = (dir.path().join("mean.npy"), dir.path().join("net.resnet"), dir.path().join("net.rnx"));
    let text = |mean: &str| {
        let how = format!("preprocess {{ channels: gray, mean: {mean}, std: [0.5] }}");
        format!(
            "resnet 1\nnetwork net() {{\n  input 1 x 28 x 28\n  {how}\n  stem {{ conv 3x3, filters: 4\n  relu }}\n  head {{ avgpool global\n  linear 10 }}\n}}\n"
        )
    };
    std::fs::write(&source, text("\"mean.npy\"")).unwrap();
    let eval = |file: &Path, more: &[&str]| {
        resnetc(&[&["eval", arg(file), "--data", arg(data.path()), "--format", "json"], more].concat())
    };
    let loss = |file: &Path, more: &[&str]| {
        serde_json::from_str::<Value>(&eval(file, more).fine().out).unwrap()["loss"].as_f64().unwrap()
    };
    eval(&source, &["--weights", "init"]).refused("mean.npy");

    let ran = resnetc(&["dataset-stats", "--data", arg(data.path()), "--gray", "-o", arg(&mean)]).fine();
    assert!(ran.out.starts_with("preprocess { channels: gray, mean: [0."), "{}", ran.out);
    let array = npy::read(&mean).unwrap();
    assert_eq!(array.shape(), [1, 28, 28]);
    let whole = array.mean().unwrap();
    assert!(ran.out.contains(&format!("mean: [{whole:.4}]")), "{whole}: {}", ran.out);
    let with_picture = loss(&source, &["--weights", "init"]);
    resnetc(&["compile", arg(&source), "--weights", "init", "-o", arg(&rnx)]).fine();
    assert_eq!(loss(&rnx, &[]), with_picture);
    std::fs::write(&source, text(&format!("[{whole}]"))).unwrap();
    assert!((loss(&source, &["--weights", "init"]) - with_picture).abs() > 1e-4);

    std::fs::write(&source, text("\"mean.npy\"")).unwrap();
    let wrong = |array: ArrayD<f32>, why: &str| {
        npy::write(&mean, &array.view()).unwrap();
        resnetc(&["check", arg(&source)]).refused(why);
    };
    wrong(ArrayD::zeros(vec![28, 28]), "floating point of shape [1, 28, 28]");
    wrong(ArrayD::from_elem(vec![1, 28, 28], 80.0), "pixel values divided by 255");
    resnetc(&["dataset-stats", "--data", "/nowhere"]).refused("cannot read `/nowhere`");
}

#[test]
fn raw_tensors_agree_with_pytorch() {
    let dir = tempfile::tempdir().unwrap();
    let y = dir.path().join("y.npy");
    let source = dir.path().join("tiny.resnet");
    std::fs::write(
        &source,
        "resnet 1\nuse std.blocks: basic\nnetwork tiny {\n  input 3 x 16 x 16\n  conv 3x3, filters: 4\n  batchnorm\n  relu\n  \
         shortcut: pad(zeros: split)\n  stage layer1: 1 of basic { filters: 4 }\n  stage layer2: 1 of basic { filters: double, map: halve }\n  \
         stage layer3: 1 of basic { filters: double, map: halve }\n  avgpool global\n  linear 10 as linear\n}\n",
    )
    .unwrap();
    let expected = npy::read("tests/fixtures/tiny.y.npy".as_ref()).unwrap();
    let deviation = expected.std(0.0);
    for (weights, tolerance) in [
        ("tiny.safetensors", 1e-4),
        ("tiny.pth", 1e-4),
        ("tiny-module.pth", 1e-4),
        // what the weights lose in half precision
        ("tiny-f16.safetensors", 2e-2),
        ("tiny-bf16.safetensors", 1e-1),
    ] {
        let weights = format!("tests/fixtures/{weights}");
        resnetc(&["run", arg(&source), "--weights", &weights, "--input", "tests/fixtures/tiny.x.npy", "--output", arg(&y)])
            .fine();
        let got = npy::read(&y).unwrap();
        let worst = (&got - &expected).iter().fold(0.0f32, |m, d| m.max(d.abs()));
        assert!(worst <= tolerance * deviation, "{weights}: {worst} of a deviation of {deviation}");
    }
}

#[test]
fn outputs_are_written_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(
        path("two.resnet"),
        "resnet 1\nnetwork two {\n  input 3 x 16 x 16\n  conv 3x3, filters: 4 as c1\n  relu\n  avgpool global\n  linear 10\n  output map from c1\n}\n",
    )
    .unwrap();
    let (source, y, map, a_path) = (path("two.resnet"), path("y.npy"), format!("map={}", path("map.npy")), path("a=b.npy"));
    let start = ["run", &source, "--weights", "init", "--input", "tests/fixtures/tiny.x.npy"];
    resnetc(&[&start[..], &["--output", &y, "--output", &map, "--output", &a_path]].concat()).fine();
    let read = |name: &str| npy::read(path(name).as_ref()).unwrap();
    assert_eq!((read("y.npy").shape(), read("map.npy").shape()), (&[3, 10][..], &[3, 4, 16, 16][..]));
    assert_eq!(read("a=b.npy"), read("y.npy"));
    resnetc(&[&start[..], &["--output", "mop=y.npy"]].concat()).refused("no output `mop`: it has output, map");
}

#[test]
fn a_checkpoint_that_does_not_fit_is_told_in_a_few_lines() {
    let source = "models/cifar.resnet";
    let weights = "models/weights/fashion.safetensors";
    let ran = resnetc(&["compile", source, "--network", "resnet32", "--weights", weights, "-o", "/tmp/never.rnx"])
        .refused("do not fit");
    assert!(ran.err.contains("error[E05"), "{}", ran.err);
    assert!(ran.err.lines().count() < 60, "{}", ran.err);
    assert!(!Path::new("/tmp/never.rnx").exists());
    resnetc(&["run", source, "--network", "resnet20", "tests/data/bag.png"]).refused("has no weights");
}

/// The weights of a network written to a file, to be given to another.
fn weights_of(network: &str, file: &Path) {
    let mut front = Frontend::open("models/cifar.resnet".as_ref()).unwrap();
    if network.ends_with(".resnet") {
        front = Frontend::open(network.as_ref()).unwrap();
    }
    let name = if network.ends_with(".resnet") { None } else { Some(network.to_string()) };
    let weights = driver::Weights::Init(1);
    let model = front.model(&driver::CompileOptions { network: name, weights, ..Default::default() }).unwrap();
    resnetc::internal::formats::safetensors::write(file, model.params().iter()).unwrap();
}

#[test]
fn a_mismatch_is_told_by_its_structure() {
    let dir = tempfile::tempdir().unwrap();
    let head = "resnet 1\nuse std.blocks: basic, bottleneck\nnetwork net(classes = 10) {\n  input 3 x 16 x 16\n  conv 3x3, filters: 8\n  batchnorm\n";
    let tail = "\n  avgpool global\n  linear classes\n}\n";
    let base =
        "  shortcut: pad\n  stage layer1: 2 of basic { filters: 8 }\n  stage layer2: 2 of basic { filters: double, map: halve }";
    let net = dir.path().join("net.resnet");
    std::fs::write(&net, format!("{head}{base}{tail}").replace("basic, bottleneck", "basic")).unwrap();
    for (other, code, words) in [
        (base.replace("pad", "projection"), "E0501", "has projections, but the network has `shortcut: pad`"),
        (base.replace("layer2: 2", "layer2: 5"), "E0503", "5 blocks in `layer2`, but the network has 2"),
        (base.replace("basic", "bottleneck").replace("pad", "projection"), "E0502", "different blocks in `layer1`"),
        (base.replace("layer1", "blocks1").replace("layer2", "blocks2"), "E0508", "`blocks1` there is `layer1` here"),
    ] {
        let path = dir.path().join("other.resnet");
        let block = if other.contains("bottleneck") { "bottleneck" } else { "basic" };
        std::fs::write(&path, format!("{head}{other}{tail}").replace("basic, bottleneck", block)).unwrap();
        let weights = dir.path().join("other.safetensors");
        weights_of(arg(&path), &weights);
        let ran = resnetc(&["compile", arg(&net), "--weights", arg(&weights)]).refused(words);
        assert!(ran.err.contains(code), "{code}: {}", ran.err);
        assert!(ran.err.lines().count() <= 40, "{}", ran.err);
    }
    // the other way round, and another head
    let weights = dir.path().join("net.safetensors");
    weights_of(arg(&net), &weights);
    let projected = dir.path().join("projected.resnet");
    std::fs::write(
        &projected,
        format!("{head}{}{tail}", base.replace("pad", "projection")).replace("basic, bottleneck", "basic"),
    )
    .unwrap();
    resnetc(&["compile", arg(&projected), "--weights", arg(&weights)])
        .refused("has no projections, but the network has `shortcut: projection`");
    let ran = resnetc(&["compile", arg(&net), "--set", "classes=3", "--weights", arg(&weights)])
        .refused("the checkpoint has 10 classes, but the network has 3");
    assert_eq!(ran.err.matches("error[").count(), 1, "{}", ran.err);
    resnetc(&["compile", arg(&net), "--weights", "models/weights/fashion.safetensors"]).refused("E0");
}

#[test]
fn bench_ends_with_a_line_of_json() {
    let ran = resnetc(&["bench", FASHION, "--batch", "2", "--threads", "1", "--format", "json"]).fine();
    let json: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    for key in ["median_ms", "min_ms", "images_per_s", "deviation_ms"] {
        assert!(json[key].as_f64().is_some_and(|v| v >= 0.0), "{key}: {json}");
    }
    assert_eq!((&json["batch"], &json["threads"]), (&2.into(), &1.into()));
}

#[test]
fn signals_go_through_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let signal = ["models/signal.resnet", "--network", "signal18"];
    let with = |command: &[&str], more: &[&str]| resnetc(&[command, &signal, more].concat()).fine();
    with(&["bench"], &["--weights", "init", "--runs", "1", "--threads", "1", "--format", "json"]);
    with(&["profile"], &["--weights", "init", "--runs", "1", "--threads", "1", "--format", "json"]);
    with(&["summary"], &[]);
    with(&["view"], &["-o", arg(&at("signal.html"))]);
    assert!(with(&["compile"], &["--emit", "plan"]).out.contains("conv"));
    let (rnx, x, y) = (at("signal.rnx"), at("x.npy"), at("y.npy"));
    with(&["compile"], &["--weights", "init", "-o", arg(&rnx)]);
    let values = (0..2000).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    npy::write(&x, &ArrayD::from_shape_vec(vec![2, 1, 1000], values).unwrap().view()).unwrap();
    resnetc(&["run", arg(&rnx), "--input", arg(&x), "--output", arg(&y)]).fine();
    assert_eq!(npy::read(&y).unwrap().shape()[0], 2);
}

#[test]
fn random_weights_come_from_their_seed() {
    let run =
        |weights: &str| resnetc(&["run", FASHION, "--weights", weights, "tests/data/bag.png", "--format", "json"]).fine().out;
    assert_eq!(run("init:1"), run("init:1"));
    assert_ne!(run("init:1"), run("init:2"));
}

/// Of any input size, without labels, and with a softmax of its own.
const SOFTMAX: &str = "resnet 1
network soft {
  input 3 x H x W
  preprocess { resize: 24, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  conv 3x3, filters: 4
  relu
  avgpool global
  linear 10
  softmax
}
";

/// Classes, their names where the network has labels, and the bits of their probabilities, as `run` prints them for each image.
fn ran(file: &str, images: &[&str]) -> Vec<Vec<(usize, String, u32)>> {
    let answers = resnetc(&[&["run", file, "--format", "json", "--top", "4"], images].concat()).fine();
    let class = |class: &Value| {
        let index = usize::try_from(class["class"].as_u64().unwrap()).unwrap();
        let name = class["label"].as_str().map_or_else(|| index.to_string(), str::to_owned);
        (index, name, (class["probability"].as_f64().unwrap() as f32).to_bits())
    };
    let list = |line: &str| serde_json::from_str::<Value>(line).unwrap()["top"].as_array().unwrap().iter().map(class).collect();
    answers.out.lines().map(list).collect()
}

fn bits(predictions: Vec<Prediction>) -> Vec<(usize, String, u32)> {
    predictions.into_iter().map(|p| (p.index, p.class, p.probability.to_bits())).collect()
}

#[test]
fn a_classifier_answers_as_run_does_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (source, soft) = (dir.path().join("soft.resnet"), dir.path().join("soft.rnx"));
    std::fs::write(&source, SOFTMAX).unwrap();
    resnetc(&["compile", arg(&source), "--weights", "init:1", "-o", arg(&soft)]).fine();
    // of several sizes, gray and in color
    let paths = ["tests/data/coat.png", "tests/fixtures/preprocess/picture.png", "tests/data/bag.png"];
    for file in [FASHION, arg(&soft)] {
        let expected = ran(file, &paths);
        assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [4; 3], "{file}");
        let mut classifier = Classifier::load(file).unwrap();
        let images: Vec<Image> = paths.iter().map(|path| Image::open(path).unwrap()).collect();
        for (path, (image, expected)) in paths.iter().zip(images.iter().zip(&expected)) {
            assert_eq!(bits(classifier.classify(image, 4).unwrap()), *expected, "{file} {path}");
            assert_eq!(bits(classifier.classify_file(path, 4).unwrap()), *expected, "{file} {path}");
            let bytes = std::fs::read(path).unwrap();
            assert_eq!(Image::decode(&bytes).unwrap(), *image, "{path}");
        }
        let batch = classifier.classify_batch(&images, 4).unwrap();
        assert_eq!(batch.into_iter().map(bits).collect::<Vec<_>>(), expected, "{file}");
        assert!(classifier.classify_batch(&[], 4).unwrap().is_empty());
    }
    assert_eq!(ran(FASHION, &paths[..1])[0][0].1, "Coat");
    // a network's own softmax is not followed by another one
    let model = Model::load(&soft).unwrap();
    let checked = BoundNetwork::open(&soft).unwrap().checked;
    let pixels = resnetc::internal::data::load(paths[1].as_ref()).unwrap();
    let (preprocess, shape) = (checked.network.preprocess.as_ref().unwrap(), checked.shape(checked.graph().inputs()[0]));
    let (values, [channels, height, width]) = resnetc::internal::data::prepare(pixels, preprocess, shape).unwrap();
    let input = ArrayD::from_shape_vec(vec![1, channels, height, width], values).unwrap();
    let outputs = model.session().unwrap().run(&[("input", input.view())]).unwrap();
    let best = Classifier::new(model).unwrap().classify_file(paths[1], 10).unwrap();
    assert!(best.len() == 10 && best.iter().all(|p| p.probability.to_bits() == outputs.main()[[0, p.index]].to_bits()));
    // pixels, without a decoder
    let gray = resnetc::internal::data::load("tests/data/coat.png".as_ref()).unwrap();
    let image = Image::from_gray(gray.width, gray.height, gray.data).unwrap();
    assert_eq!(bits(Classifier::load(FASHION).unwrap().classify(&image, 4).unwrap()), ran(FASHION, &paths[..1])[0]);
}

#[test]
fn a_classifier_refuses_what_it_cannot_classify() {
    let dir = tempfile::tempdir().unwrap();
    let model = |text: &str| {
        let file = dir.path().join("net.resnet");
        std::fs::write(&file, text).unwrap();
        resnetc::compile(file, &CompileOptions::default().weights(Weights::Init(1))).unwrap()
    };
    let refused = |text: &str| Classifier::new(model(text)).err().unwrap().to_string();
    let plain = SOFTMAX.lines().filter(|line| !line.contains("preprocess")).collect::<Vec<_>>().join("\n");
    assert_eq!(refused(&plain), "network `soft` has no `preprocess`, which states how images become its input");
    let map = SOFTMAX.replace("  avgpool global\n  linear 10\n  softmax\n", "");
    assert_eq!(refused(&map), "network `soft` returns 4 x H x W, not a vector of scores");
    let vector = "resnet 1\nnetwork v {\n  input 8\n  linear 3\n}\n";
    assert_eq!(refused(vector), "the network reads 8, and an image is channels x height x width");
    let load = |path: &str| Classifier::load(path).err().unwrap().to_string();
    assert!(load("models/none.resnet").starts_with("cannot read models/none.resnet: "), "{}", load("models/none.resnet"));
    assert!(load("models/signal.resnet").contains("names no weights"), "{}", load("models/signal.resnet"));

    let mut classifier = Classifier::new(model(SOFTMAX)).unwrap();
    let unknown = classifier.classify_file("Cargo.toml", 1).unwrap_err().to_string();
    assert_eq!(unknown, "`Cargo.toml` is no JPEG, PNG, WebP, GIF, BMP or TIFF image");
    let long = Image::from_gray(100_000, 2, vec![0; 200_000]).unwrap();
    assert_eq!(classifier.classify(&long, 1).unwrap_err().kind(), ErrorKind::Input);
    let images = [Image::from_gray(3, 3, vec![0; 9]).unwrap(), long];
    assert_eq!(classifier.classify_batch(&images, 1).unwrap_err().kind(), ErrorKind::Input);
    // normalized values so large that the network overflows
    let huge = SOFTMAX.replace("std: [0.229, 0.224, 0.225]", "std: [1e-38, 1e-38, 1e-38]");
    let mut classifier = Classifier::new(model(&huge)).unwrap();
    let error = classifier.classify(&images[0], 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite, "{error}");
    assert!(error.to_string().starts_with("the network's scores are not finite: "), "{error}");
}
