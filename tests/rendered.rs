//! What a person sees: some of the bad files, and under each what is said of it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;

use resnetc::base::render;
use resnetc::base::source::SourceFile;
use resnetc::driver::Frontend;

fn rendered(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/err/{name}.resnet"));
    // the expectations stand beside the lines, and would only be read twice here
    let text: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//~"))
        .map(|line| line.split("//~").next().unwrap().trim_end().to_string())
        .collect();
    let text = text.join("\n") + "\n";
    let mut front = Frontend::source(SourceFile { name: format!("{name}.resnet"), path: Some(path), text: text.as_str().into() });
    let names: Vec<String> = front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect();
    for name in names {
        front.check(&name, &[]);
    }
    let said = render::terminal(&front.diagnostics, &front.sources, false);
    format!("{text}{}\n{}", "-".repeat(100), said.trim_end())
}

macro_rules! rendered {
    ($($test:ident = $name:literal;)*) => {
        $(#[test]
        fn $test() {
            insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(rendered($name)) });
        })*
    };
}

rendered! {
    a_window_too_large = "window-larger-than-map";
    branches_differ = "branch-of-other-channels";
    doubled_without_halving = "doubled-without-halving";
    expected_parameters = "expect-params";
    expected_work = "expect-macs-about";
    expected_shape = "expect-shape";
    free_sizes_contradict = "no-free-size-fits";
    expected_parameters_of_stages = "expect-params-of-stages";
    groups = "groups-do-not-divide";
    halved_without_doubling = "halved-without-doubling";
    identity_changes_channels = "identity-changes-channels";
    identity_changes_the_map = "identity-changes-map";
    linear_on_a_free_size = "linear-on-free-size";
    many_errors = "many-errors-in-one-run";
    one_block_used_twice = "one-bad-block-used-twice";
    pad_cannot_drop_channels = "pad-cannot-drop-channels";
    path_shrinks_the_map = "path-shrinks-the-map";
    several_syntax_errors = "several-syntax-errors";
    stage_blocks_differ = "stage-blocks-differ";
    unknown_key = "unknown-key";
    unused_branch = "unused-branch";
}

/// Mistakes that users of PyTorch, Keras and Darknet make: one error each.
#[test]
fn mistakes_of_other_frameworks() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mistakes.txt")).unwrap();
    let (mut out, mut cascades, mut count) = (String::new(), Vec::new(), 0);
    for case in text.split("=== ").skip(1) {
        let (title, body) = case.split_once('\n').unwrap();
        let lines: String = body.lines().map(|line| format!("  {line}\n")).collect();
        let source =
            format!("resnet 1\nuse std.blocks: basic\nnetwork net {{\n  input 3 x 32 x 32\n  conv 3x3, filters: 16\n{lines}}}\n");
        let mut front = Frontend::text("net.resnet", &source);
        front.check("net", &[]);
        let said = render::terminal(&front.diagnostics, &front.sources, false);
        if front.diagnostics.iter().filter(|d| d.is_error()).count() != 1 || front.diagnostics.len() != 1 {
            cascades.push(title.to_owned());
        }
        out += &format!("=== {title}\n{}\n\n", said.trim_end());
        count += 1;
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(out.trim_end()) });
    assert_eq!((count, cascades), (60, Vec::new()), "mistakes without exactly one error");
}
