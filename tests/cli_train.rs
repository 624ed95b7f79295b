//! The commands train, compare and calibrate-bn: what is refused before the first step.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "common/command.rs"]
mod command;

use command::{arg, resnetc};

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
        ("train.optimizer.rte=1", "did you mean `rate`?"),
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
    resnetc(&with(&["--weights", "nowhere.safetensors"])).refused("nowhere.safetensors");
    resnetc(&with(&[])).refused("nowhere");
    let dir = tempfile::tempdir().unwrap();
    resnetc(&["train", "--resume", arg(dir.path())]).refused("is no run directory");
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
    assert!(html.contains("plain &lt;56&gt;") && html.matches("<polyline").count() == 4, "{html}");
    assert!(!html.contains("http"), "nothing is fetched");
    // a page that cannot be written, a log that is none
    resnetc(&["compare", arg(&runs[0]), "-o", arg(&dir.path().join("no/where.html"))]).refused("cannot write the report");
    std::fs::write(runs[0].join("train.jsonl"), "one\ntwo\n").unwrap();
    resnetc(&["compare", arg(&runs[0]), "-o", arg(&page)]).refused("line 1 is none of a log");
}
