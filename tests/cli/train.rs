//! The commands train, compare, calibrate-bn and bench --train: what a run leaves, and what is refused before the first step.

use std::collections::BTreeMap;
use std::path::Path;

use crate::command::{Ran, arg, resnetc};
use crate::tiny::{Place, idx, tensor, tensors, write_npy};
use ndarray::{ArrayD, Axis};
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::{npy, safetensors};
use resnetc::internal::runtime::{ParamStore, interp};
use resnetc::internal::train::log::{self, Line};

const CIFAR: [&str; 5] = ["train", "models/cifar.resnet", "--network", "resnet20", "--data"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    CIFAR.iter().copied().chain(["nowhere"]).chain(more.iter().copied()).collect()
}

#[test]
fn a_recipe_that_cannot_run_is_refused() {
    for (set, words) in [
        ("train.batch=0", "`batch` takes a whole number from 1"),
        ("train.steps=0", "`steps` takes a whole number of at least 1"),
        ("train.augment=mirror", "`augment` takes one of `none`"),
        ("train.augment.mirror=1", "`augment` has no `mirror`"),
        ("train.schedule=cosin", "did you mean `cosine`?"),
        ("train.optimizer.lrr=1", "did you mean `lr`?"),
        ("train.freeze=[layer9]", "no layer or stage `layer9`"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        resnetc(&with(&["--set", set, "-o", arg(&run)])).refused(words);
        assert!(!run.exists(), "{set}");
    }
    // the network itself is as it was
    resnetc(&["check", "models/cifar.resnet", "--network", "resnet20", "--set", "train.steps=20"]).fine();
}

#[test]
fn what_is_missing_is_said() {
    resnetc(&["train", "models/vgg.resnet", "--network", "vgg16", "--data", "nowhere"]).refused("--set train.epochs=10");
    resnetc(&with(&[])).refused("nowhere");
    // data is looked for before weights are read, since that may take long
    resnetc(&with(&["--weights", "nowhere.safetensors"])).refused("cannot read `nowhere`");
    let place = Place::new();
    run(&place.train("run", &["--weights", "nowhere.safetensors"])).refused("nowhere.safetensors");
    let dir = tempfile::tempdir().unwrap();
    resnetc(&["train", "--resume", arg(dir.path())]).refused("is not a run directory");
    assert_eq!(resnetc(&["train"]).code, 2);
    assert_eq!(resnetc(&["train", "--resume", "x", "--network", "y"]).code, 2);
}

#[test]
fn runs_are_compared_from_their_logs() {
    let dir = tempfile::tempdir().unwrap();
    let (page, mut runs) = (dir.path().join("out.html"), Vec::new());
    for (name, error) in [("plain <56>", 0.3), ("resnet56", 0.1)] {
        let run = dir.path().join(name);
        std::fs::create_dir(&run).unwrap();
        let step = |i: usize| {
            format!(
                "{{\"event\":\"step\",\"step\":{i},\"epoch\":1,\"loss\":1.0,\"error\":{error},\"rate\":0.1,\"images_per_s\":9.5}}\n"
            )
        };
        let valid = format!("{{\"event\":\"valid\",\"step\":2000,\"epoch\":1,\"loss\":1.0,\"error\":{error}}}\n");
        let log: String = (1..=2000).map(step).chain([valid]).collect();
        std::fs::write(run.join("train.jsonl"), log).unwrap();
        runs.push(run);
    }
    let ran = resnetc(&["compare", arg(&runs[0]), arg(&runs[1]), "-o", arg(&page)]).fine();
    assert!(ran.out.contains("resnet56: 2000 iterations") && ran.out.contains("validation error 10.00 %"), "{}", ran.out);
    let html = std::fs::read_to_string(&page).unwrap();
    // error, loss, learning rate and throughput; of what is smoothed, the values too
    assert!(html.contains("plain &lt;56&gt;") && html.matches("<svg").count() == 4, "{html}");
    assert_eq!(html.matches("<polyline").count(), 2 * (3 + 3 + 1 + 2), "{html}");
    assert!(!html.contains("http"), "nothing is fetched");
    // the drawing alone, from a log that was kept under another name
    let (kept, drawing) = (dir.path().join("plain56.jsonl"), dir.path().join("out.svg"));
    std::fs::copy(runs[0].join("train.jsonl"), &kept).unwrap();
    resnetc(&["compare", arg(&kept), arg(&runs[1]), "-o", arg(&drawing)]).fine();
    let svg = std::fs::read_to_string(&drawing).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n") && svg.matches("<polyline").count() == 2 * 3, "{svg}");
    assert!(svg.contains("plain56: 2000 iterations") && svg.contains("resnet56: 2000 iterations"), "{svg}");
    // a page that cannot be written, a log that is none
    resnetc(&["compare", arg(&runs[0]), "-o", arg(&dir.path().join("no/where.html"))]).refused("cannot write `");
    std::fs::write(runs[0].join("train.jsonl"), "one\ntwo\n").unwrap();
    resnetc(&["compare", arg(&runs[0]), "-o", arg(&page)]).refused("line 1 is not a log line");
}

/// The names that torchvision gives a network's parameters and running statistics.
const NAMES: [&str; 32] = [
    "bn1.bias",
    "bn1.running_mean",
    "bn1.running_var",
    "bn1.weight",
    "conv1.weight",
    "fc.bias",
    "fc.weight",
    "layer1.0.bn1.bias",
    "layer1.0.bn1.running_mean",
    "layer1.0.bn1.running_var",
    "layer1.0.bn1.weight",
    "layer1.0.bn2.bias",
    "layer1.0.bn2.running_mean",
    "layer1.0.bn2.running_var",
    "layer1.0.bn2.weight",
    "layer1.0.conv1.weight",
    "layer1.0.conv2.weight",
    "layer2.0.bn1.bias",
    "layer2.0.bn1.running_mean",
    "layer2.0.bn1.running_var",
    "layer2.0.bn1.weight",
    "layer2.0.bn2.bias",
    "layer2.0.bn2.running_mean",
    "layer2.0.bn2.running_var",
    "layer2.0.bn2.weight",
    "layer2.0.conv1.weight",
    "layer2.0.conv2.weight",
    "layer2.0.downsample.0.weight",
    "layer2.0.downsample.1.bias",
    "layer2.0.downsample.1.running_mean",
    "layer2.0.downsample.1.running_var",
    "layer2.0.downsample.1.weight",
];

fn run(args: &[String]) -> Ran {
    resnetc(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_run_leaves_what_it_should_and_learns() {
    let place = Place::new();
    let ran = run(&place.train("run", &[])).fine();
    let words = ["96 training samples, 32 validation samples in ", "t10k-images-idx3-ubyte; batch 16, lr 0.05"];
    assert!(words.iter().all(|words| ran.err.contains(words)), "{}", ran.err);
    let names: Vec<String> = tensors(&place.path("run/weights.safetensors")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, NAMES);
    let lines = log::read(&place.path("run/train.jsonl")).unwrap();
    let steps: Vec<(u64, f64)> = lines
        .iter()
        .filter_map(|line| if let Line::Step { step, loss, .. } = line { Some((*step, *loss)) } else { None })
        .collect();
    assert!(steps.iter().map(|s| s.0).eq(1..=120));
    let mean = |part: &[(u64, f64)]| part.iter().map(|s| s.1).sum::<f64>() / part.len() as f64;
    assert!(mean(&steps[100..]) < 0.3 * mean(&steps[..6]), "{} to {}", mean(&steps[..6]), mean(&steps[100..]));
    let errors =
        lines.iter().filter_map(|l| if let Line::Valid { epoch, error, .. } = l { Some((*epoch, *error)) } else { None });
    let errors: Vec<(u64, f64)> = errors.collect();
    assert!(errors.iter().map(|e| e.0).eq([5, 10, 15, 20]) && errors[3].1 < 0.1, "{errors:?}");
    assert!(matches!(&lines[0], Line::Start { samples: 96, valid_samples: 32, epoch_steps: 6, total_steps: 120, .. }));
    assert_eq!(lines.iter().filter(|l| matches!(l, Line::Epoch { .. })).count(), 20);
    assert_eq!(place.read("run/tiny.resnet"), place.read("tiny.resnet"));
    let about: serde_json::Value = serde_json::from_slice(&place.read("run/run.json")).unwrap();
    assert_eq!((about["network"].as_str(), about["threads"].as_u64()), (Some("tiny"), Some(2)));
    let html = String::from_utf8(place.read("run/report.html")).unwrap();
    assert!(html.contains("<polyline") && !html.contains("http"));
    // the weights are those that were measured
    let (file, weights, test) = (place.arg("tiny.resnet"), place.arg("run/weights.safetensors"), place.arg("data"));
    let ran = resnetc(&["eval", &file, "--weights", &weights, "--data", &test, "--format", "json"]).fine();
    let eval: serde_json::Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    let top1 = eval["top1"].as_f64().unwrap();
    assert!((top1 / 100.0 - (1.0 - errors[3].1)).abs() < 1e-3 || (top1 - (1.0 - errors[3].1)).abs() < 1e-3, "{eval} {errors:?}");
    // other sources of randomness than the seed there are none
    run(&place.train("again", &[])).fine();
    assert!(place.read("run/weights.safetensors") == place.read("again/weights.safetensors"));
    run(&place.train("other", &["--set", "train.seed=4"])).fine();
    assert!(place.read("run/weights.safetensors") != place.read("other/weights.safetensors"));
}

/// As `place.train`, for the network without norms and arrays of samples.
fn plain(place: &Place, data: &str, name: &str, more: &[&str]) -> Vec<String> {
    let mut args = place.train(name, more);
    args[1] = place.arg("plain.resnet");
    data.clone_into(&mut args[3]);
    args
}

#[test]
fn accumulated_batches_are_one() {
    let place = Place::new();
    let data = write_npy(place.dir.path(), 40);
    // the last step of an epoch has 8 samples, of which one batch of 8 is made
    for (name, more) in [("one", ["train.batch=16", "train.accumulate=1"]), ("two", ["train.batch=8", "train.accumulate=2"])] {
        run(&plain(&place, &data, name, &["--set", more[0], "--set", more[1]])).fine();
    }
    let files = ["one", "two"].map(|name| tensors(&place.path(name).join("weights.safetensors")));
    let begin = tensors(&place.path("one/checkpoint.safetensors"));
    assert!(begin.len() > files[0].len());
    for ((name, one), (_, two)) in files[0].iter().zip(&files[1]) {
        for (a, b) in one.to_f32().iter().zip(two.to_f32().iter()) {
            assert!((a - b).abs() < 2e-6 * a.abs().max(0.1), "{name}: {a} {b}");
        }
    }
}

#[test]
fn frozen_layers_stay_and_files_begin_in_part() {
    let place = Place::new();
    run(&place.train("first", &["--set", "train.epochs=2"])).fine();
    let first = place.path("first/weights.safetensors");
    // a head of 3 classes on the layers that were trained
    std::fs::write(
        place.path("tuned.resnet"),
        crate::tiny::TINY.replace(
            "    seed 3",
            &format!("    seed 3\n    from: \"{}\" except [fc]\n    freeze: [stem, layer1]", first.display()),
        ),
    )
    .unwrap();
    let mut args = place.train("tuned", &["--set", "classes=5", "--set", "train.epochs=2"]);
    args[1] = place.arg("tuned.resnet");
    let ran = run(&args).fine();
    assert!(ran.err.contains("30 tensors from") && ran.err.contains("randomly initialized: fc.bias, fc.weight"), "{}", ran.err);
    assert!(ran.err.contains("not used: fc.bias, fc.weight"), "{}", ran.err);
    let tuned = place.path("tuned/weights.safetensors");
    for name in NAMES {
        // norms follow each batch, trained or not
        let frozen = !name.contains("running") && ["conv1.", "bn1.", "layer1."].iter().any(|f| name.starts_with(f));
        assert_eq!(tensor(&first, name) == tensor(&tuned, name), frozen, "{name}");
    }
    assert_eq!(tensor(&tuned, "fc.bias").len(), 5);
    // which keep their statistics if the recipe says so
    let source = std::fs::read_to_string(place.path("tuned.resnet")).unwrap();
    std::fs::write(place.path("kept.resnet"), source.replace("[stem, layer1]", "[stem, layer1] { running_stats: true }"))
        .unwrap();
    let mut kept = args.clone();
    (kept[1], kept[5]) = (place.arg("kept.resnet"), place.arg("kept"));
    run(&kept).fine();
    for name in NAMES {
        let frozen = ["conv1.", "bn1.", "layer1."].iter().any(|f| name.starts_with(f));
        let same = tensor(&first, name) == tensor(&place.path("kept/weights.safetensors"), name);
        assert_eq!(same, frozen, "{name}");
    }
    // a wrapper's prefix is dropped, and an optimizer's tensors are not weights, as with --weights
    let wrapped = place.path("wrapped.safetensors");
    let list: Vec<_> = tensors(&first).into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor)).collect();
    safetensors::write(&wrapped, list.iter().map(|(name, tensor)| (name.as_str(), tensor))).unwrap();
    let text = std::fs::read_to_string(place.path("tuned.resnet")).unwrap();
    let checkpoint = place.path("first/checkpoint.safetensors");
    for (name, begin) in [("wrapped", &wrapped), ("checkpoint", &checkpoint)] {
        std::fs::write(place.path("tuned.resnet"), text.replace(arg(&first), arg(begin))).unwrap();
        args[5] = place.arg(name);
        let ran = run(&args).fine();
        assert!(ran.err.contains("30 tensors from") && ran.err.contains("not used: fc.bias, fc.weight\n"), "{}", ran.err);
        assert!(place.read("tuned/weights.safetensors") == place.read(&format!("{name}/weights.safetensors")));
    }
    std::fs::write(place.path("tuned.resnet"), &text).unwrap();
    // without `except` the head does not fit, and nothing is begun
    let text = std::fs::read_to_string(place.path("tuned.resnet")).unwrap().replace(" except [fc]", "");
    std::fs::write(place.path("tuned.resnet"), text).unwrap();
    args[5] = place.arg("none");
    run(&args).refused("has `fc.bias` with shape [4], but the network needs [5]");
    assert!(!place.path("none").exists());
}

/// What is wrong with data is said before the first step, in one line, and no run is begun.
fn refuses(place: &Place, args: &[String], words: &str) {
    let ran = run(args).refused(words);
    assert_eq!(ran.err.lines().filter(|l| l.starts_with("error")).count(), 1, "{}", ran.err);
    assert!(!place.path("run").exists(), "{words}");
}

#[test]
fn bad_arrays_are_refused() {
    let place = Place::new();
    let good = write_npy(place.dir.path(), 12);
    let (x, y) = good.split_once(',').unwrap();
    let labels = |name: &str, values: &[u8]| {
        let path = place.path(name);
        std::fs::write(&path, crate::tiny::npy("|u1", &format!("({},)", values.len()), values)).unwrap();
        format!("{x},{}", path.display())
    };
    let refuses = |data: &str, words: &str| refuses(&place, &plain(&place, data, "run", &[]), words);
    refuses(&labels("out", &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 4, 0]), "sample 10 has label 4, but the network has 4 classes");
    refuses(&labels("few", &[0; 11]), "has 12 samples, but");
    let signed: Vec<u8> = [0i64, 1, -1].iter().cycle().take(12).flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(place.path("signed"), crate::tiny::npy("<i8", "(12,)", &signed)).unwrap();
    refuses(&format!("{x},{}", place.arg("signed")), "label -1");
    std::fs::write(place.path("wide"), crate::tiny::npy("<f4", "(12, 1, 8, 9)", &[0; 12 * 72 * 4])).unwrap();
    refuses(&format!("{},{y}", place.arg("wide")), "1 x 8 x 9, but the network reads 1 x 8 x 8");
    std::fs::write(place.path("cut"), &std::fs::read(x).unwrap()[..2000]).unwrap();
    refuses(&format!("{},{y}", place.arg("cut")), "cut");
    refuses(&format!("{x},nowhere.npy"), "nowhere.npy");
    refuses("nowhere", "nowhere");
    // a validation set that is wrong is known before the first step too
    let valid = labels("out", &[9; 12]);
    let args = plain(&place, &good, "run", &["--valid", &valid]);
    run(&args).refused("label 9");
    assert!(!place.path("run").exists());
}

#[test]
fn bad_files_and_folders_are_refused() {
    let place = Place::new();
    let refuses = |words: &str| refuses(&place, &place.train("run", &[]), words);
    let (pictures, labels) = (place.path("data/train-images-idx3-ubyte"), place.path("data/train-labels-idx1-ubyte"));
    let (good, good_labels) = (std::fs::read(&pictures).unwrap(), std::fs::read(&labels).unwrap());
    std::fs::write(&pictures, &good[..5000]).unwrap();
    refuses("is truncated: its header declares 96 x 8 x 8 = 6144 bytes, but there are only 4984");
    std::fs::write(&pictures, idx(&[96, 8, 9], &[0; 96 * 72])).unwrap();
    refuses("8 x 9");
    std::fs::write(&pictures, &good).unwrap();
    std::fs::write(&labels, idx(&[95], &[1; 95])).unwrap();
    refuses("has 96 samples, but");
    std::fs::write(&labels, idx(&[96], &[7; 96])).unwrap();
    refuses("sample 0 has label 7, but the network has 4 classes");
    std::fs::write(&labels, &good_labels).unwrap();
    let test = place.path("data/t10k-labels-idx1-ubyte");
    std::fs::write(&test, idx(&[32], &[7; 32])).unwrap();
    refuses("t10k-labels-idx1-ubyte");
    std::fs::remove_dir_all(place.path("data")).unwrap();
    // folders of images
    let save = |class: &str, name: &str, width: u32| {
        std::fs::create_dir_all(place.path("data").join(class)).unwrap();
        let image = image::GrayImage::from_fn(width, 8, |x, y| image::Luma([(x * 20 + y) as u8]));
        image.save(place.path("data").join(class).join(name)).unwrap();
    };
    std::fs::create_dir(place.path("data")).unwrap();
    refuses("");
    for class in ["a", "b", "c", "d"] {
        save(class, "1.png", 8);
        save(class, "2.png", 8);
    }
    std::fs::create_dir(place.path("data/e")).unwrap();
    refuses("contains no images");
    save("e", "1.png", 8);
    refuses("has 5 class folders, but the network has 4 classes");
    std::fs::remove_dir_all(place.path("data/e")).unwrap();
    save("b", "3.png", 9);
    refuses("3.png` is 8 x 9 pixels, but the network reads");
    std::fs::remove_file(place.path("data/b/3.png")).unwrap();
    // and with that it runs
    run(&place.train("run", &["--set", "train.epochs=1"])).fine();
}

#[test]
fn a_loss_that_is_not_finite_names_the_step_and_the_node() {
    let place = Place::new();
    let ran =
        run(&place.train("run", &["--set", "train.optimizer.lr=1e30"])).refused("is the first layer whose output is not finite");
    assert!(ran.err.contains("the loss of step ") && ran.err.contains("--set train.optimizer.lr=1"), "{}", ran.err);
    // the first is named, and the rate that is offered is a tenth
    assert!(ran.err.contains("lr=1e29"), "{}", ran.err);
    let node = ran.err.split(": `").nth(1).unwrap().split('`').next().unwrap();
    assert!(node.starts_with("conv1") || node.starts_with("bn1"), "{node}");
    assert!(!place.path("run/weights.safetensors").exists());
}

#[test]
fn calibration_gives_the_true_averages() {
    let place = Place::new();
    let data = write_npy(place.dir.path(), 48);
    run(&place.train("run", &["--set", "train.epochs=3"])).fine();
    let weights = place.path("run/weights.safetensors");
    let (file, out) = (place.arg("tiny.resnet"), place.path("calibrated.safetensors"));
    let set = ["--set", "train.shuffle=false", "--batch", "20", "--threads", "2"];
    let mut args = vec!["calibrate-bn", &file, "--weights", arg(&weights), "--data", &data, "-o", arg(&out)];
    args.extend(set);
    let ran = resnetc(&args).fine();
    assert!(ran.out.contains("3 batches of 20"), "{}", ran.out);
    // by the definition
    let mut front = Frontend::open(&place.path("tiny.resnet")).unwrap();
    let checked = front.check("tiny", &[]).unwrap();
    let params: ParamStore = tensors(&weights).into_iter().collect();
    let samples = npy::read_tensor(Path::new(data.split_once(',').unwrap().0)).unwrap();
    let samples = ArrayD::from_shape_vec(vec![48, 1, 8, 8], samples.to_f32().into_owned()).unwrap();
    let mut sums: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
    // of the 48 the last batch has 8
    for batch in samples.axis_chunks_iter(Axis(0), 20) {
        let weight = batch.len_of(Axis(0)) as f64 / 48.0;
        interp::run_with_batch_stats(&checked.canonical(), &params, &[("input", batch.into_dyn())], &mut |norm, stats| {
            let unbiased = stats.count as f64 / (stats.count - 1) as f64;
            let sum = sums.entry(norm.to_owned()).or_insert_with(|| [(); 3].map(|()| vec![0.0; stats.mean.len()]));
            for (c, (&mean, &var)) in stats.mean.iter().zip(&stats.var).enumerate() {
                sum[0][c] += weight * mean;
                sum[1][c] += weight * mean * mean;
                sum[2][c] += weight * var * unbiased;
            }
        })
        .unwrap();
    }
    assert_eq!(sums.len(), 6);
    let mut moved = 0.0f64;
    for (norm, [mean, square, var]) in &sums {
        let (means, vars) = (tensor(&out, &format!("{norm}.running_mean")), tensor(&out, &format!("{norm}.running_var")));
        let before = tensor(&weights, &format!("{norm}.running_var"));
        for c in 0..mean.len() {
            let expected = [mean[c], var[c] + (square[c] - mean[c] * mean[c])];
            for (found, expected) in [means[c], vars[c]].into_iter().zip(expected) {
                assert!((f64::from(found) - expected).abs() < 1e-4 * (0.1 + expected.abs()), "{norm}: {found} {expected}");
            }
            moved = moved.max((f64::from(before[c]) / expected[1] - 1.0).abs());
        }
    }
    assert!(moved > 0.2, "{moved}");
    // all else is as it was
    for name in NAMES.iter().filter(|n| !n.contains("running")) {
        assert_eq!(tensor(&out, name), tensor(&weights, name), "{name}");
    }
}

#[test]
fn steps_are_measured() {
    let place = Place::new();
    let file = place.arg("tiny.resnet");
    let ran = resnetc(&["bench", &file, "--train", "--batch", "16", "--runs", "3", "--threads", "2", "--format", "json"]).fine();
    let line: serde_json::Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    assert_eq!((line["mode"].as_str(), line["batch"].as_u64(), line["runs"].as_u64()), (Some("training"), Some(16), Some(3)));
    let [rate, median] = ["images_per_s", "median_ms"].map(|key| line[key].as_f64().unwrap());
    assert!((rate * median / 16e3 - 1.0).abs() < 1e-6, "{line}");
    if cfg!(target_os = "linux") {
        assert!(line["peak_rss_mb"].as_f64().unwrap() > 1.0, "{line}");
    }
}

#[test]
fn a_run_has_a_folder_of_its_own_and_may_be_quiet() {
    let place = Place::new();
    let train = |more: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_resnetc"))
            .args(["train", "tiny.resnet", "--data", "data", "--set", "train.epochs=1"])
            .args(more)
            .current_dir(place.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let [out, err] = train(&["--seed", "4"]);
    assert!(err.contains("writing to runs/tiny\n") && err.contains("epoch 1/1"), "{err}");
    assert!(out.contains("runs/tiny/weights.safetensors"), "{out}");
    let [out, err] = train(&["--set", "train.seed=4", "--quiet"]);
    assert!(err.is_empty() && out.contains("runs/tiny-2/weights.safetensors"), "{out}{err}");
    let weights = |name: &str| place.read(&format!("runs/{name}/weights.safetensors"));
    assert!(weights("tiny") == weights("tiny-2"));
    train(&["--seed", "5", "-q"]);
    assert!(weights("tiny") != weights("tiny-3"));
}

#[test]
fn calibration_drops_no_blocks() {
    let place = Place::new();
    let data = write_npy(place.dir.path(), 48);
    run(&place.train("run", &["--set", "train.epochs=1"])).fine();
    let (file, weights) = (place.arg("tiny.resnet"), place.arg("run/weights.safetensors"));
    let calibrated = |name: &str, depth: &str| {
        let (out, set) = (place.path(name), format!("train.stochastic_depth={depth}"));
        resnetc(&[
            "calibrate-bn",
            &file,
            "--weights",
            &weights,
            "--data",
            &data,
            "-o",
            arg(&out),
            "--batch",
            "16",
            "--threads",
            "2",
            "--set",
            &set,
        ])
        .fine();
        std::fs::read(out).unwrap()
    };
    assert!(calibrated("all.safetensors", "0") == calibrated("some.safetensors", "0.9"));
}

/// A file of weights with one value of a tensor changed.
fn changed(place: &Place, from: &Path, name: &str, value: f32) -> String {
    let list: Vec<(String, resnetc::internal::base::tensor::Tensor)> = tensors(from)
        .into_iter()
        .map(|(known, t)| {
            let mut values = t.to_f32().into_owned();
            if known == name {
                values[0] = value;
            }
            (known, resnetc::internal::base::tensor::Tensor::from_f32(t.shape().to_vec(), values).unwrap())
        })
        .collect();
    assert!(list.iter().any(|(known, _)| known == name), "{name}");
    let to = place.path("changed.safetensors");
    safetensors::write(&to, list.iter().map(|(name, t)| (name.as_str(), t))).unwrap();
    arg(&to).to_owned()
}

fn ran(args: &[String]) -> Ran {
    resnetc(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn what_is_not_finite_is_blamed_on_what_it_is() {
    let place = Place::new();
    // data
    let pair = write_npy(place.dir.path(), 16);
    let x = place.path("x.npy");
    let mut bytes = std::fs::read(&x).unwrap();
    let at = bytes.len() - 4 * (64 * 11 + 3);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&x, &bytes).unwrap();
    let run = place.arg("data-run");
    let said = resnetc(&["train", &place.arg("plain.resnet"), "--data", &pair, "-o", &run, "--threads", "1"])
        .refused("x.npy[4]` contains NaN");
    assert!(!said.err.contains("smaller rate"), "{}", said.err);
    // weights that the run begins with
    ran(&place.train("good", &["--set", "train.steps=2", "--quiet"])).fine();
    let good = place.path("good").join("weights.safetensors");
    let bad = changed(&place, &good, "layer1.0.conv1.weight", f32::INFINITY);
    let said = ran(&place.train("weights-run", &["--weights", &bad, "--quiet"]))
        .refused("the weights are not finite: `layer1.0.conv1.weight` holds NaN or infinity in 1 of");
    assert!(said.err.contains("before the first step") && !said.err.contains("rate"), "{}", said.err);
    // running statistics: training does not read them, and validation does
    let bad = changed(&place, &good, "layer1.0.bn1.running_var", -1000.0);
    let said = ran(&place.train("variance-run", &["--weights", &bad, "--quiet"])).refused("holds a negative variance (-1000)");
    assert!(said.err.contains("before the first step") && !said.err.contains("rate"), "{}", said.err);
    let bad = changed(&place, &good, "layer1.0.bn1.running_mean", f32::NAN);
    ran(&place.train("state-run", &["--weights", &bad, "--quiet", "--set", "train.steps=2"]))
        .refused("`layer1.0.bn1.running_mean` holds NaN");
    assert!(!place.path("state-run").join("weights.safetensors").exists());
    // a rate that is too large, found after the last step at the latest; the last checkpoint stays whole
    let said = ran(&place.train("rate-run", &["--quiet", "--set", "train.optimizer.lr=1e30"]))
        .refused("a smaller learning rate may help");
    assert!(said.err.contains("lr=1e29"), "{}", said.err);
    for (name, tensor) in tensors(&place.path("rate-run").join("checkpoint.safetensors")) {
        assert!(!tensor.dtype().is_float() || tensor.to_f32().iter().all(|v| v.is_finite()), "{name}");
    }
    // statistics that are measured
    for name in ["conv1.weight", "layer2.0.bn1.weight"] {
        let bad = changed(&place, &good, name, f32::NAN);
        let out = place.arg("calibrated.safetensors");
        resnetc(&["calibrate-bn", &place.arg("tiny.resnet"), "--weights", &bad, "--data", &place.arg("data"), "-o", &out])
            .refused(&format!("`{name}`"));
        assert!(!Path::new(&out).exists());
    }
}

/// A validation whose loss is not finite ends the run with an error, in the end at the latest, and it can be looked at.
#[test]
fn a_validation_loss_that_is_not_finite_is_no_success() {
    let place = Place::new();
    ran(&place.train("good", &["--set", "train.steps=2", "--quiet"])).fine();
    // with running means far off the scores overflow in evaluation; training does not read them
    let good = place.path("good").join("weights.safetensors");
    let list: Vec<(String, resnetc::internal::base::tensor::Tensor)> = tensors(&good)
        .into_iter()
        .map(|(name, t)| {
            let is_norm = name.contains("bn") || name.contains("downsample.1");
            let values = match () {
                () if is_norm && name.ends_with("running_mean") => vec![-3e38; t.to_f32().len()],
                () => t.to_f32().into_owned(),
            };
            (name, resnetc::internal::base::tensor::Tensor::from_f32(t.shape().to_vec(), values).unwrap())
        })
        .collect();
    let bad = place.path("bad.safetensors");
    safetensors::write(&bad, list.iter().map(|(name, t)| (name.as_str(), t))).unwrap();
    let said = ran(&place.train("run", &["--weights", arg(&bad), "--set", "train.steps=2", "--set", "train.optimizer.lr=1e-9"]));
    let lines = log::read(&place.path("run").join("train.jsonl")).unwrap();
    assert!(lines.iter().any(|line| matches!(line, Line::Valid { loss, .. } if !loss.is_finite())), "{lines:?}");
    said.refused("the validation loss after step 2 is");
    // the run directory is whole, and resuming it says so again
    resnetc(&["train", "--resume", &place.arg("run")]).refused("the validation loss after step 2 is");
    let page = place.arg("page.html");
    let ran = resnetc(&["compare", &place.arg("run"), "-o", &page]).fine();
    assert!(ran.out.contains("(loss not finite)"), "{}", ran.out);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("(loss not finite)") && !html.contains("NaN"), "{html}");
}

/// `2>&1 | head`: whoever stops reading ends no training.
#[test]
fn a_closed_pipe_ends_no_training() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    for (name, out, err) in [("err", false, true), ("out", true, false), ("both", true, true)] {
        let args = place.train(name, &["--set", "train.steps=8", "--set", "train.validate=steps(1)"]);
        let piped = |closed: bool| if closed { Stdio::piped() } else { Stdio::null() };
        let mut child =
            Command::new(env!("CARGO_BIN_EXE_resnetc")).args(&args).stdout(piped(out)).stderr(piped(err)).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
        assert!(place.path(name).join("weights.safetensors").exists(), "{name}");
    }
}
