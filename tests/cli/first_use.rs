//! What a new user meets: arguments that are nearly right, results without further options, and what is checked first.

use std::fs;
use std::path::Path;

use crate::command::{Ran, resnetc};
use crate::tiny::{CLASSES, Place};
use ndarray::ArrayD;
use resnetc::internal::formats::npy;
use serde_json::Value;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs arguments that are texts of any kind.
fn ran(args: &[String]) -> Ran {
    resnetc(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_network_that_is_right_is_a_line_of_json() {
    let place = Place::new();
    let tiny = place.arg("tiny.resnet");
    let checked = resnetc(&["check", &tiny, "--format", "json"]).fine();
    let said = lines(&checked.out);
    assert_eq!((said.len(), checked.err.as_str()), (1, ""), "{}", checked.out);
    let summary = lines(&resnetc(&["summary", &tiny, "--format", "json"]).fine().out);
    for field in ["file", "network", "layers", "params", "macs"] {
        assert_eq!(said[0][field], summary[0][field], "{field}");
    }
    assert_eq!((&said[0]["$message_type"], &said[0]["sizes"]), (&"network".into(), &Value::Null));
    let free = resnetc(&["check", "tests/cases/ok/free-size.resnet", "--format", "json"]).fine();
    assert!(lines(&free.out)[0]["sizes"].as_str().unwrap().contains("any H, W >= "), "{}", free.out);
    // one of a file with errors is not
    let wrong = place.arg("wrong.resnet");
    fs::write(place.path("wrong.resnet"), "resnet 1\nnetwork a {\n  input 3 x 8 x 8\n  rellu\n}\n").unwrap();
    let both = resnetc(&["check", &wrong, &tiny, "--format", "json"]);
    let kinds: Vec<_> = lines(&both.out).iter().map(|line| line["$message_type"].clone()).collect();
    assert_eq!((both.code, kinds), (1, vec!["diagnostic".into(), "network".into()]));
    // a file without networks says so, in JSON too
    fs::write(place.path("wrong.resnet"), "resnet 1\n").unwrap();
    let none = lines(&resnetc(&["check", &wrong, "--format", "json"]).fine().out);
    assert!(none[0]["message"].as_str().unwrap().contains("no network was checked"), "{none:?}");
}

#[test]
fn weights_are_checked_with_the_notes_of_a_run() {
    let place = Place::new();
    ran(&place.train("first", &["--set", "train.steps=1"])).fine();
    let (tiny, folder) = (place.arg("tiny.resnet"), place.arg("first"));
    let of_run = resnetc(&["run", &tiny, "--weights", &folder, "tests/data/bag.png"]).fine().err;
    let note = of_run.lines().find(|line| line.contains("the weights are those in")).unwrap().to_owned();
    let checked = resnetc(&["check", &tiny, "--weights", &folder]).fine();
    assert!(checked.err.lines().any(|line| line == note), "{}", checked.err);
    let said = lines(&resnetc(&["check", &tiny, "--weights", &folder, "--format", "json"]).fine().out);
    assert_eq!((said[0]["level"].as_str(), said[1]["weights"].as_str()), (Some("note"), Some(folder.as_str())), "{said:?}");
    // weights that do not fit leave no line for the network
    let said = lines(&resnetc(&["check", &tiny, "--weights", "tests/fixtures/tiny.safetensors", "--format", "json"]).out);
    assert!(!said.is_empty() && said.iter().all(|line| line["$message_type"] == "diagnostic"), "{said:?}");
}

#[test]
fn layers_of_a_recipe_are_suggested_and_listed() {
    let place = Place::new();
    ran(&place.train("first", &["--set", "train.steps=1"])).fine();
    let weights = place.arg("first/weights.safetensors");
    for (except, near) in [("fcc", "`fc`"), ("layer1.0.conv3", "`layer1.0.conv1`"), ("fc.weight", "`fc`"), ("classifier", "`fc`")]
    {
        let args = place.train("second", &["--from", &weights, "--except", except]);
        let refused = ran(&args).refused(&format!("no layer or stage `{except}`; did you mean {near}?"));
        assert!(refused.err.contains("\nnote: the network has conv1, bn1, layer1, layer2, fc"), "{}", refused.err);
        let frozen = ran(&place.train("second", &["--set", &format!("train.freeze=[\"{except}\"]")]));
        assert!(frozen.code == 1 && !place.path("second").exists(), "{}", frozen.err);
    }
    let refused = ran(&place.train("second", &["--set", "train.freeze=[layer7]"])).refused("E0108");
    assert!(
        refused.err.contains("did you mean `layer1`?") && refused.err.contains("the network has conv1, bn1"),
        "{}",
        refused.err
    );
}

#[test]
fn words_of_the_language_are_explained() {
    let except = resnetc(&["explain", "except"]).fine().out;
    assert!(except.starts_with("from: \"net.safetensors\" except [fc]\n    Initializes from"), "{except}");
    for word in ["freeze", "stage", "repeat", "train", "schedule", "labels", "use"] {
        assert!(resnetc(&["explain", word]).fine().out.lines().count() > 1, "{word}");
    }
    resnetc(&["explain", "frezze"]).refused("did you mean `freeze`?");
    // the page of the code names them
    let page = resnetc(&["explain", "E0108"]).fine().out;
    assert!(page.contains("`freeze`") && page.contains("`from … except`"), "{page}");
    assert!(resnetc(&["explain"]).fine().out.lines().any(|line| line.starts_with("freeze ")));
}

#[test]
fn what_costs_nothing_is_checked_before_weights_are_read() {
    let place = Place::new();
    let (tiny, broken) = (place.arg("tiny.resnet"), place.arg("broken.pth"));
    fs::write(place.path("broken.pth"), "these are no weights").unwrap();
    let [nowhere, out] = ["nowhere", "out.safetensors"].map(|name| place.arg(name));
    for args in [
        &["train", &tiny, "--data", &nowhere, "--weights", &broken][..],
        &["train", &tiny, "--data", &nowhere, "--from", &broken],
        &["eval", &tiny, "--data", &nowhere, "--weights", &broken],
        &["calibrate-bn", &tiny, "--data", &nowhere, "--weights", &broken, "-o", &out],
        &["run", &tiny, &nowhere, "--weights", &broken],
    ] {
        let refused = resnetc(args).refused("nowhere");
        assert!(!refused.err.contains("broken.pth"), "{args:?}: {}", refused.err);
    }
    let data = place.arg("data");
    // the validation data, both arrays, and a missing file of weights before large data
    let mut args = place.train("run", &["--valid", &nowhere, "--weights", &broken]);
    assert!(!ran(&args).refused("nowhere").err.contains("broken.pth"));
    args = place.train("run", &["--weights", &broken]);
    args[3] = format!("{data}/train-images-idx3-ubyte,{nowhere}");
    assert!(!ran(&args).refused("nowhere").err.contains("broken.pth"));
    ran(&place.train("run", &["--weights", &nowhere])).refused("nowhere");
    assert!(!place.path("run").exists());
    // one image of several may be missing
    let both =
        resnetc(&["run", &tiny, "--weights", "init", &nowhere, "tests/data/bag.png"]).refused("1 of 2 images were not read");
    assert!(both.out.contains('%'), "{}", both.out);
    let missing = resnetc(&["run", &tiny, "--weights", &broken, &nowhere, "--format", "json"]);
    assert_eq!((missing.code, lines(&missing.out)[0]["image"].as_str()), (1, Some(nowhere.as_str())));
    // an output that the network does not have, and one that cannot be written
    npy::write(&place.path("x.npy"), &ArrayD::<f32>::zeros(vec![2, 1, 8, 8]).view()).unwrap();
    let x = place.arg("x.npy");
    for output in ["nope=y.npy", "/nowhere/y.npy"] {
        let refused = resnetc(&["run", &tiny, "--weights", &broken, "--input", &x, "--output", output]);
        assert!(refused.code == 1 && !refused.err.contains("broken.pth"), "{}", refused.err);
    }
    // `import` reads nothing if its output cannot be written
    let refused = resnetc(&["import", &broken, "-o", "/nowhere/net.resnet"]).refused("cannot write");
    assert!(!refused.err.contains("ONNX"), "{}", refused.err);
}

#[test]
fn raw_inputs_have_names_and_outputs_a_summary() {
    let place = Place::new();
    let (tiny, x, y) = (place.arg("tiny.resnet"), place.arg("x.npy"), place.arg("y.npy"));
    let zeros = ArrayD::<f32>::zeros(vec![10, 1, 8, 8]);
    npy::write(&place.path("x.npy"), &zeros.view()).unwrap();
    let start = ["run", &tiny, "--weights", "init:1"];
    let run = |more: &[&str]| resnetc(&[&start[..], more].concat());
    let named = format!("input={x}");
    for input in [&x, &named] {
        let shown = run(&["--input", input, "--top", "2"]).fine();
        let first: Vec<&str> = shown.out.lines().collect();
        assert!(first[0].starts_with("output  10 x 4  f32: min "), "{}", shown.out);
        assert!(first[1].starts_with("  sample 0: class ") && first[1].matches("class").count() == 2, "{}", shown.out);
        assert!(first.len() == 10 && first[9] == "  and 2 more samples", "{}", shown.out);
        assert!(shown.err.contains("--output Y.npy"), "{}", shown.err);
    }
    let json = lines(&run(&["--input", &x, "--format", "json"]).fine().out);
    assert_eq!((&json[0]["output"], &json[0]["shape"]), (&"output".into(), &serde_json::json!([10, 4])));
    assert_eq!(json[0]["top"][0].as_array().unwrap().len(), CLASSES);
    // the same values as in the file
    assert!(run(&["--input", &named, "--output", &y]).fine().out.is_empty());
    let written: ArrayD<f32> = npy::read(Path::new(&y)).unwrap();
    assert_eq!(json[0]["max"].as_f64().unwrap() as f32, written.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    run(&["--input", &format!("image={x}")]).refused("the network has no input `image`: it has input");
    for wrong in [&["--input", &x, "--input", &named][..], &["--output", &y], &[]] {
        assert_eq!(run(wrong).code, 2, "{wrong:?}");
    }
    // two inputs
    let two = place.arg("two.resnet");
    fs::write(
        place.path("two.resnet"),
        "resnet 1\nnetwork two {\n  input 1 x 8 x 8\n  input mask: 1 x 8 x 8\n  mul mask\n  conv 3x3, filters: 2\n}\n",
    )
    .unwrap();
    let start = ["run", &two, "--weights", "init:1"];
    let run = |more: &[&str]| resnetc(&[&start[..], more].concat());
    let mask = format!("mask={x}");
    assert!(run(&["--input", &mask, "--input", &named]).fine().out.starts_with("output  10 x 2 x 8 x 8  f32"));
    for (wrong, words) in [(&[&x][..], "name the one of"), (&[&named], "the input `mask` is not given: add --input mask=X.npy")] {
        let args: Vec<&str> = wrong.iter().flat_map(|input| ["--input", input.as_str()]).collect();
        let refused = run(&args);
        assert!(refused.code == 2 && refused.err.contains(words), "{}", refused.err);
    }
}

#[test]
fn few_classes_have_no_top_five_and_no_names_of_imagenet() {
    let place = Place::new();
    let (tiny, data) = (place.arg("tiny.resnet"), place.arg("data"));
    let text = resnetc(&["eval", &tiny, "--weights", "init:1", "--data", &data]).fine().out;
    assert!(!text.contains("top-5") && text.contains("top-1"), "{text}");
    // the part of the data that was evaluated
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("data     ") && first.ends_with("data/t10k-images-idx3-ubyte"), "{text}");
    let json = lines(&resnetc(&["eval", &tiny, "--weights", "init:1", "--data", &data, "--format", "json"]).fine().out);
    assert!(json[0]["data"].as_str().unwrap().ends_with("data/t10k-images-idx3-ubyte") && json[0]["top5"] == 100.0);
    let run = |net: &str| resnetc(&["run", net, "--weights", "init:1", "tests/data/bag.png"]).fine();
    let few = run(&tiny);
    assert!(few.err.contains("has no `labels`") && !few.err.contains("labels imagenet"), "{}", few.err);
    assert_eq!(few.out.lines().count(), CLASSES);
    fs::write(
        place.path("many.resnet"),
        "resnet 1\nnetwork many {\n  input 1 x 8 x 8\n  preprocess { channels: gray }\n  linear 1000\n}\n",
    )
    .unwrap();
    assert!(run(&place.arg("many.resnet")).err.contains("or `labels imagenet`"));
}

#[test]
fn classes_that_differ_in_case_are_noted() {
    let place = Place::new();
    let net = place.arg("net.resnet");
    let source = |labels: &str| {
        format!("resnet 1\nnetwork net {{\n  input 1 x 28 x 28\n  preprocess {{ channels: gray }}\n{labels}  linear 2\n}}\n")
    };
    let folders = |name: &str, classes: [&str; 2]| {
        for class in classes {
            fs::create_dir_all(place.path(name).join(class)).unwrap();
            fs::copy("tests/data/bag.png", place.path(name).join(class).join("1.png")).unwrap();
        }
        place.arg(name)
    };
    let eval = |data: &str| resnetc(&["eval", &net, "--weights", "init:1", "--data", data]).fine();
    fs::write(place.path("net.resnet"), source("")).unwrap();
    let said = eval(&folders("two", ["Cat", "cat"])).err;
    assert!(said.contains("`Cat` and `cat` are two classes of the data, although they differ only in case"), "{said}");
    // the labels say that there are two
    fs::write(place.path("net.resnet"), source("  labels [\"Cat\", \"cat\"]\n")).unwrap();
    assert!(!eval(&place.arg("two")).err.contains("differ only in case"));
    // folders in another case than the labels are not matched by their order
    fs::write(place.path("net.resnet"), source("  labels [\"dog\", \"cat\"]\n")).unwrap();
    let matched = eval(&folders("capital", ["Cat", "Dog"]));
    assert!(matched.err.is_empty(), "{}", matched.err);
    let exact = eval(&folders("small", ["cat", "dog"]));
    let table = |ran: &Ran| ran.out.lines().skip(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(table(&matched), table(&exact));
}

#[test]
fn training_answers_in_json() {
    let place = Place::new();
    let trained = ran(&place.train("run", &["--set", "train.epochs=2", "--format", "json"])).fine();
    let said = lines(&trained.out);
    let log = lines(&String::from_utf8(place.read("run/train.jsonl")).unwrap());
    let (end, events) = said.split_last().unwrap();
    assert_eq!(events, log);
    assert_eq!((&end["event"], &end["step"]), (&"end".into(), &12.into()), "{end}");
    assert!(Path::new(end["weights"].as_str().unwrap()).exists() && end["best"]["error"].as_f64().is_some(), "{end}");
    // messages are lines of JSON
    assert!(lines(&trained.err).iter().all(|line| line["$message_type"] == "diagnostic"), "{}", trained.err);
    // only the result
    let quiet = ran(&place.train("quiet", &["--set", "train.epochs=1", "--format", "json", "--quiet"])).fine();
    assert_eq!((lines(&quiet.out).len(), quiet.err.as_str()), (1, ""));
    // a run that goes on begins with its start, too
    let more = resnetc(&["train", "--resume", &place.arg("run"), "--set", "train.epochs=3", "--format", "json"]).fine();
    assert_eq!(lines(&more.out)[0]["event"], "start");
}

#[test]
fn imports_say_what_is_missing_and_renamed() {
    let place = Place::new();
    let [onnx, keep, hyphen] = ["net.onnx", "keep.resnet", "my-net.resnet"].map(|name| place.arg(name));
    resnetc(&["export", "onnx", &place.arg("tiny.resnet"), "--weights", "init", "--external-data", "-o", &onnx]).fine();
    let imported = resnetc(&["import", &onnx, "-o", &keep]).fine();
    assert!(
        imported.err.contains("the network is called `net`, since `keep` has another meaning in a source"),
        "{}",
        imported.err
    );
    let imported = resnetc(&["import", &onnx, "-o", &hyphen]).fine();
    assert!(imported.out.contains("network my_net") && !imported.err.contains("is called"), "{}", imported.err);
    fs::rename(place.path("net.onnx.data"), place.path("elsewhere")).unwrap();
    resnetc(&["import", &onnx, "-o", &keep]).refused("must lie in the same folder");
    for missing in ["nowhere.onnx", "nowhere.prototxt", "nowhere.cfg"] {
        let refused = resnetc(&["import", missing]).refused("cannot read `nowhere");
        assert_eq!(refused.err.matches("nowhere").count(), 1, "{}", refused.err);
    }
    npy::write(&place.path("x.npy"), &ArrayD::<f32>::zeros(vec![1]).view()).unwrap();
    let refused = resnetc(&["import", &place.arg("x.npy")]).refused("is a NumPy array (.npy), not an ONNX file");
    assert!(!refused.err.contains("savez"), "{}", refused.err);
}

#[test]
fn a_setting_of_another_kind_is_shown_where_it_is_used() {
    let place = Place::new();
    let net = place.arg("net.resnet");
    fs::write(
        place.path("net.resnet"),
        "resnet 1\nnetwork net(width, rate) {\n  input 3 x 8 x 8\n  conv 3x3, filters: width\n  dropout rate\n}\n",
    )
    .unwrap();
    let check = |width: &str, rate: &str| resnetc(&["check", &net, "--set", width, "--set", rate]);
    check("width=8", "rate=0.5").fine();
    for (width, words) in [("width=abc", "a whole number is needed"), ("width=8.5", "is 8.5")] {
        let refused = check(width, "rate=0.5").refused(words);
        assert!(refused.err.contains("--set:1:7") && refused.err.contains("set here"), "{}", refused.err);
        assert_eq!(refused.err.matches("error[").count(), 1, "{}", refused.err);
    }
    assert!(check("width=8", "rate=high").refused("a number").err.contains("--set:1:6"));
}
