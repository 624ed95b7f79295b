//! Run directories: longer runs, initial weights, the best validation, class names.

use serde_json::Value;

use crate::command::{Ran, resnetc};
use crate::tiny::{CLASSES, Place, picture, tensor};
use resnetc::internal::train::checkpoint;

fn run(args: &[String]) -> Ran {
    resnetc(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A recipe whose steps do not depend on the length of the run.
const SHORT: [&str; 6] = ["--set", "train.epochs=2", "--set", "train.schedule=constant", "--set", "train.validate=none"];

#[test]
fn a_finished_run_goes_on_as_if_it_had_been_longer_from_the_start() {
    let place = Place::new();
    let long: Vec<&str> = SHORT.iter().map(|&arg| if arg == "train.epochs=2" { "train.epochs=4" } else { arg }).collect();
    run(&place.train("whole", &long)).fine();
    run(&place.train("grown", &SHORT)).fine();
    let dir = place.arg("grown");
    resnetc(&["train", "--resume", &dir, "--set", "train.epochs=2"]).refused("has 12 steps already");
    resnetc(&["train", "--resume", &dir, "--set", "train.batch=8"]).refused("`batch` cannot change when a run goes on");
    let other = resnetc(&["train", "--resume", &dir, "--set", "classes=3"]);
    assert!(other.code == 2 && other.err.contains("`classes` cannot change"), "{}", other.err);
    resnetc(&["train", "--resume", &dir, "--set", "train.epochs=4"]).fine();
    assert!(place.read("whole/weights.safetensors") == place.read("grown/weights.safetensors"), "other weights");
    let log = String::from_utf8(place.read("grown/train.jsonl")).unwrap();
    assert!(log.lines().next().unwrap().contains("\"total_steps\":24"), "{log}");
    // from now on the run has this length, without being told again
    let again = resnetc(&["train", "--resume", &dir]).fine();
    assert!(again.err.contains("has ended after 24 steps"), "{}", again.err);
    assert_eq!(checkpoint::state(&place.path("grown/checkpoint.safetensors")).unwrap().step, 24);
    let about: Value = serde_json::from_slice(&place.read("grown/run.json")).unwrap();
    assert!(about["set"].to_string().contains("[\"train.epochs\",\"4\"]"), "{about}");
    assert_eq!(about["set"].as_array().unwrap().len(), 3, "{about}");
}

#[test]
fn a_network_of_other_classes_begins_with_the_weights_of_a_run() {
    let place = Place::new();
    run(&place.train("first", &SHORT)).fine();
    let weights = place.arg("first/weights.safetensors");
    // which `check` says without training
    let tiny = place.arg("tiny.resnet");
    let check = |more: &[&str]| resnetc(&[&["check", &tiny, "--weights", &weights], more].concat());
    check(&[]).fine();
    check(&["--set", "classes=5"]).refused("E0504");
    let from = |name: &str, more: &[&str]| {
        let given = ["--set", "classes=5", "--set", "train.epochs=1", "--set", "train.optimizer.lr=1e-30", "--from", &weights];
        run(&place.train(name, &[&given, more].concat()))
    };
    from("all", &[]).refused("--except fc");
    from("typing", &["--except", "fcc"]).refused("did you mean `fc`?");
    let ran = from("second", &["--except", "fc"]).fine();
    assert!(ran.err.contains("randomly initialized: fc.bias, fc.weight"), "{}", ran.err);
    let of = |name: &str, key: &str| tensor(&place.path(&format!("{name}/weights.safetensors")), key);
    assert_eq!(of("second", "conv1.weight"), of("first", "conv1.weight"));
    assert_eq!(of("second", "fc.weight").len() / of("first", "fc.weight").len(), 5 / CLASSES);
    assert_ne!(of("second", "fc.weight")[..8], of("first", "fc.weight")[..8]);
    // where no checkpoint is left, the run begins again from the same file
    std::fs::remove_file(place.path("second/checkpoint.safetensors")).unwrap();
    let before = place.read("second/weights.safetensors");
    resnetc(&["train", "--resume", &place.arg("second")]).fine();
    assert!(before == place.read("second/weights.safetensors"), "other weights");
    assert_eq!(resnetc(&["train", "x.resnet", "--data", "y", "--except", "fc"]).code, 2);
}

#[test]
fn tensors_are_renamed_where_weights_are_read() {
    let place = Place::new();
    run(&place.train("first", &SHORT)).fine();
    let (tiny, weights, other) =
        (place.arg("tiny.resnet"), place.arg("first/weights.safetensors"), place.arg("other.safetensors"));
    resnetc(&["convert", &weights, "-o", &other, "--rename", "layer1=4", "--rename", "fc=fc.1"]).fine();
    assert_eq!(
        tensor(&place.path("other.safetensors"), "fc.1.weight"),
        tensor(&place.path("first/weights.safetensors"), "fc.weight")
    );
    let check = |more: &[&str]| resnetc(&[&["check", &tiny, "--weights", &other], more].concat());
    let said = check(&[]).refused("E0508").err;
    assert!(said.contains("--rename 4=layer1") && said.contains("--rename fc.1=fc"), "{said}");
    let both = ["--rename", "4=layer1", "--rename", "fc.1=fc"];
    check(&both).fine();
    check(&["--rename", "5=layer1"]).refused("none is `5` or begins with `5.`");
    check(&["--rename", "4=layer2"]).refused("`layer2.0.bn1.bias` after `--rename`: `4.0.bn1.bias` and `layer2.0.bn1.bias`");
    assert_eq!(check(&["--rename", "4"]).code, 2);
    // a further network of an ensemble has its own names
    let further = format!("{tiny}={weights}");
    resnetc(&[&["eval", &tiny, "--data", &place.arg("data"), "--weights", &other, "--ensemble", &further][..], &both].concat())
        .fine();
    let random = resnetc(&["compile", &tiny, "--weights", "init", "-o", &place.arg("never.rnx"), "--rename", "a=b"]);
    assert!(random.code == 2 && random.err.contains("the weights are random"), "{}", random.err);
    // a run keeps them
    let given = ["--set", "train.epochs=1", "--set", "train.optimizer.lr=1e-30", "--from", &other];
    run(&place.train("refused", &given)).refused("rename them: --rename 4=layer1 --rename fc.1=fc");
    run(&place.train("second", &[&given[..], &both].concat())).fine();
    let of = |name: &str, key: &str| tensor(&place.path(&format!("{name}/weights.safetensors")), key);
    assert_eq!(of("second", "layer1.0.conv1.weight"), of("first", "layer1.0.conv1.weight"));
    std::fs::remove_file(place.path("second/checkpoint.safetensors")).unwrap();
    let before = place.read("second/weights.safetensors");
    resnetc(&["train", "--resume", &place.arg("second")]).fine();
    assert!(before == place.read("second/weights.safetensors"), "other weights");
    let again = resnetc(&["train", "--resume", &place.arg("second"), "--rename", "a=b"]);
    assert!(again.code == 2 && again.err.contains("is kept with a run"), "{}", again.err);
    // the optimizer's state follows its parameter
    let checkpoint = place.arg("first/checkpoint.safetensors");
    resnetc(&["convert", &checkpoint, "-o", &other, "--rename", "layer1=4"]).fine();
    check(&["--rename", "4=layer1"]).fine();
}

#[test]
fn the_best_validation_is_kept() {
    let place = Place::new();
    let ran = run(&place.train("run", &["--set", "train.epochs=12", "--set", "train.validate=1"])).fine();
    let log = String::from_utf8(place.read("run/train.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|line| line["event"] == "valid");
    let all: Vec<(f64, f64, u64)> = lines
        .map(|line| (line["error"].as_f64().unwrap(), line["loss"].as_f64().unwrap(), line["step"].as_u64().unwrap()))
        .collect();
    let best = all.iter().copied().reduce(|a, b| if (b.0, b.1) < (a.0, a.1) { b } else { a }).unwrap();
    let state = checkpoint::state(&place.path("run/checkpoint.safetensors")).unwrap();
    assert_eq!(state.best.map(|best| best.step), Some(best.2), "{all:?}");
    assert_eq!(ran.out.contains("best.safetensors"), best.2 != state.step, "{}", ran.out);
    let dir = place.arg("run");
    let eval = |weights: &[&str]| {
        let args = [&["eval", &dir, "--format", "json"], weights].concat();
        serde_json::from_str::<Value>(&resnetc(&args).fine().out).unwrap()
    };
    let error = |report: &Value| 1.0 - report["top1"].as_f64().or_else(|| report["total"]["top1"].as_f64()).unwrap() / 100.0;
    let of_best = eval(&["--weights", &place.arg("run/best.safetensors")]);
    assert!((error(&of_best) - best.0).abs() < 1e-6, "{of_best} is not {best:?}");
    // without weights, those at the end
    let last = eval(&[]);
    assert!((error(&last) - all.last().unwrap().0).abs() < 1e-6, "{last} is not {all:?}");
}

#[test]
fn a_run_is_a_network_with_the_names_of_its_classes() {
    let place = Place::new();
    for (class, name) in ["ape", "bee", "cow", "dog"].iter().enumerate() {
        let folder = place.path(&format!("photos/{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        for seed in 0..6 {
            let pixels = image::GrayImage::from_raw(8, 8, picture(class, seed)).unwrap();
            pixels.save(folder.join(format!("{seed}.png"))).unwrap();
        }
        std::fs::write(folder.join("notes.txt"), "").unwrap();
    }
    let data = place.arg("photos");
    let (net, dir) = (place.arg("tiny.resnet"), place.arg("run"));
    resnetc(&["train", &net, "--data", &data, "--valid", &data, "-o", &dir, "--threads", "2", "--set", "train.epochs=8"]).fine();
    let ran = resnetc(&["run", &dir, &place.arg("photos/cow"), "--top", "1"]).fine();
    assert!(ran.out.contains("%  ") && !ran.out.contains("class "), "{}", ran.out);
    assert!(["ape", "bee", "cow", "dog"].iter().any(|name| ran.out.contains(&format!("%  {name}"))), "{}", ran.out);
    assert!(ran.err.contains("skipped 1 file in the given folders"), "{}", ran.err);
    assert!(!ran.err.contains("no `labels`") && !ran.err.contains("no `preprocess`"), "{}", ran.err);
    let ran = resnetc(&["eval", &dir]).fine();
    assert!(ran.out.contains("cow"), "{}", ran.out);
    // wherever a network is read, with the names of the classes
    let (artifact, classes) = (place.arg("run.rnx"), ["ape", "bee", "cow", "dog"]);
    resnetc(&["compile", &dir, "-o", &artifact]).fine();
    let cow = place.arg("photos/cow/0.png");
    let of = |file: &str| resnetc(&["run", file, &cow, "--threads", "1"]).fine().out;
    assert_eq!(of(&artifact), of(&dir));
    let onnx = place.arg("run.onnx");
    resnetc(&["export", "onnx", &dir, "-o", &onnx]).fine();
    let text = String::from_utf8_lossy(&place.read("run.onnx")).into_owned();
    assert!(classes.iter().all(|name| text.contains(name)), "no names in the ONNX file");
    resnetc(&["export", "torch", &dir, "-o", &place.arg("run.py")]).fine();
    assert!(resnetc(&["summary", &dir]).fine().out.contains("layer2"));
    assert!(resnetc(&["check", &dir]).fine().out.contains("tiny"));
    resnetc(&["view", &dir, "-o", &place.arg("run.html")]).fine();
    resnetc(&["calibrate-bn", &dir, "--data", &data, "-o", &place.arg("calibrated.safetensors")]).fine();
    // other weights than the run's
    let given = resnetc(&["compile", &dir, "--weights", &place.arg("calibrated.safetensors"), "-o", &place.arg("other.rnx")]);
    given.fine();
    assert!(place.read("other.rnx") != place.read("run.rnx"));
    // weights for classes in another order say so, whether the run knows them from its data or from its source
    let source = std::fs::read_to_string(place.path("tiny.resnet")).unwrap();
    let labeled = |names: &str| {
        let path = place.path("labeled.resnet");
        std::fs::write(&path, source.replace("  stem {", &format!("  labels [{names}]\n  stem {{"))).unwrap();
        place.arg("labeled.resnet")
    };
    let eval = |file: &str, weights: &str| resnetc(&["eval", file, "--weights", weights, "--data", &data]).fine().err;
    for weights in [dir.clone(), place.arg("run/weights.safetensors")] {
        let other = eval(&labeled(r#""cow", "ape", "bee", "dog""#), &weights);
        assert!(other.contains("class 0 is `ape` there and `cow` here"), "{other}");
        let same = eval(&labeled(r#""ape", "bee", "cow", "dog""#), &weights);
        assert!(!same.contains("in another order"), "{same}");
    }
    let (own, net) = (place.arg("own"), labeled(r#""ape", "bee", "cow", "dog""#));
    resnetc(&["train", &net, "--data", &data, "-o", &own, "--threads", "2", "--set", "train.epochs=1"]).fine();
    let other = eval(&labeled(r#""dog", "bee", "cow", "ape""#), &own);
    assert!(other.contains("class 0 is `ape` there and `dog` here"), "{other}");
    // while a run is not finished, its checkpoint stands for it
    std::fs::remove_file(place.path("run/weights.safetensors")).unwrap();
    resnetc(&["eval", &dir]).fine();
    let other = resnetc(&["eval", &dir, "--network", "plain"]);
    assert!(other.code == 2 && other.err.contains("is a run of network `tiny`"), "{}", other.err);
    let other = resnetc(&["eval", &net]);
    assert!(other.code == 2 && other.err.contains("--data is required"), "{}", other.err);
    resnetc(&["eval", &data]).refused("is not a run directory");
}
