//! What a person sees: some of the bad files, and under each what is said of it.

use std::fs;
use std::path::Path;

use resnetc::internal::base::diagnostic::Diagnostic;
use resnetc::internal::base::render;
use resnetc::internal::base::source::{SourceFile, Span};
use resnetc::internal::driver::Frontend;

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
    doubled_where_nothing_is_halved = "doubled-where-nothing-is-halved";
    expected_parameters = "expect-params";
    expected_work = "expect-macs-about";
    expected_shape = "expect-shape";
    free_sizes_contradict = "no-free-size-fits";
    expected_parameters_of_stages = "expect-params-of-stages";
    groups = "groups-do-not-divide";
    halved_without_doubling = "halved-without-doubling";
    a_shortcut_only_where_it_fits = "shortcut-of-an-inverted-residual";
    a_division_in_a_comment = "division-in-a-comment";
    a_mean_of_bytes = "mean-of-bytes";
    a_label_of_the_caller = "label-of-the-caller";
    labels_in_two_scopes = "labels-in-two-scopes";
    a_pool_of_one_element = "pool-of-one-element";
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

/// A case of `tests/data/mistakes.txt`, which describes the marks.
struct Mistake {
    title: String,
    source: String,
    /// The whole file.
    text: String,
    set: Vec<(String, String)>,
    fine: Option<String>,
    incomplete: Option<String>,
}

fn mistakes() -> Vec<Mistake> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mistakes.txt")).unwrap();
    text.split("\n=== ").skip(1).map(mistake).collect()
}

fn mistake(case: &str) -> Mistake {
    let (title, rest) = case.split_once('\n').unwrap();
    let (marks, body): (Vec<&str>, Vec<&str>) =
        rest.lines().partition(|line| matches!(line.as_bytes().first(), Some(b'?' | b'!' | b'$' | b'=' | b'~')));
    let mark = |sign: char| marks.iter().find_map(|line| line.strip_prefix(sign)).map(|line| line.trim().to_owned());
    let lines = |indent: &str| body.iter().map(|line| format!("{indent}{line}\n")).collect::<String>();
    let set: Vec<(String, String)> = mark('$')
        .map(|set| set.split_once('=').map_or((set.clone(), String::new()), |(name, value)| (name.to_owned(), value.to_owned())))
        .into_iter()
        .collect();
    let text = match mark('!') {
        Some(_) => lines(""),
        None if !set.is_empty() => {
            let train = "  train {\n    optimizer sgd { lr: 0.1 }\n    batch 128\n    epochs 30\n  }\n";
            format!(
                "resnet 1\nnetwork net(classes = 10) {{\n  input 3 x 32 x 32\n  avgpool global\n  linear classes\n{train}}}\n"
            )
        }
        None => {
            let head = "resnet 1\nuse std.blocks: basic\nnetwork net {\n  input 3 x 32 x 32\n  conv 3x3, filters: 16\n";
            // the network uses what it imports
            let block = if body.iter().any(|line| line.contains("basic")) { "" } else { "  basic filters: 16\n" };
            format!("{head}{block}{}}}\n", lines("  "))
        }
    };
    let source = mark('?').unwrap_or_default();
    Mistake { title: title.to_owned(), source, text, set, fine: mark('='), incomplete: mark('~') }
}

fn checked(text: &str, set: &[(String, String)]) -> Frontend {
    let mut front = Frontend::text("net.resnet", text);
    for name in front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect::<Vec<_>>() {
        front.check(&name, set);
    }
    front
}

/// Mistakes that users of other frameworks make: one error each.
#[test]
fn mistakes_of_other_frameworks() {
    let (mut out, mut cascades) = (String::new(), Vec::new());
    let mistakes = mistakes();
    for mistake in &mistakes {
        let front = checked(&mistake.text, &mistake.set);
        let shown = render::terminal(&front.diagnostics, &front.sources, false);
        let wanted = usize::from(mistake.fine.is_none());
        if front.diagnostics.iter().filter(|d| d.is_error()).count() != wanted || front.diagnostics.len() != wanted {
            cascades.push(&mistake.title);
        }
        let shown = mistake.fine.as_ref().map_or(shown.trim_end().to_owned(), |why| format!("(no error: {why})"));
        out += &format!("=== {}\n{shown}\n\n", mistake.title);
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(out.trim_end()) });
    assert!(cascades.is_empty(), "without exactly one error: {cascades:?}");
    assert!(mistakes.len() >= 60, "{}", mistakes.len());
    let unsourced: Vec<&str> = mistakes.iter().filter(|m| !m.source.starts_with("http")).map(|m| m.title.as_str()).collect();
    assert!(unsourced.is_empty(), "without a public source: {unsourced:?}");
}

/// The text and settings after an edit; `None` if it is in another file.
fn edited(
    front: &Frontend,
    span: Span,
    new: &str,
    text: &str,
    set: &[(String, String)],
) -> Option<(String, Vec<(String, String)>)> {
    let file = front.sources.file(span.file);
    let mut changed = file.text.to_string();
    changed.replace_range(span.range(), new);
    if &*file.text == text {
        return Some((changed, set.to_vec()));
    }
    let (name, value) = changed.split_once('=').filter(|_| file.name == "--set")?;
    Some((text.to_owned(), vec![(name.to_owned(), value.to_owned())]))
}

/// What is wrong with a fix: the error stays, a syntax error comes, or a comment goes. `whole` demands that no error is left.
fn failures_of_fixes(
    text: &str,
    set: &[(String, String)],
    check: impl Fn(&str, &[(String, String)]) -> Frontend,
    whole: bool,
) -> String {
    let front = check(text, set);
    let key = |d: &Diagnostic| (d.code, d.message.clone());
    let count = |front: &Frontend, of: &Diagnostic| front.diagnostics.iter().filter(|d| key(d) == key(of)).count();
    let mut failures = String::new();
    for diag in &front.diagnostics {
        for (span, new) in diag.helps.iter().filter_map(|help| help.edit.as_ref()) {
            let comments = text.matches("//").count();
            let Some((text, set)) = edited(&front, *span, new, text, set) else { continue };
            if text.matches("//").count() < comments {
                failures += &format!("{}: `{new}` deletes a comment\n", diag.message);
            }
            let after = check(&text, &set);
            let gone = count(&after, diag) < count(&front, diag);
            let syntax = |d: &&Diagnostic| d.code.0.starts_with("E00") && count(&after, d) > count(&front, d);
            let new_errors = after.diagnostics.iter().filter(syntax).count();
            if !gone || new_errors > 0 || (whole && after.diagnostics.iter().any(Diagnostic::is_error)) {
                let shown = render::terminal(&after.diagnostics, &after.sources, false);
                failures += &format!("{}: after `{new}`\n{text}\n{shown}\n", diag.message);
            }
        }
    }
    failures
}

#[test]
fn fixes_of_mistakes_work() {
    let mut failures = String::new();
    for mistake in mistakes() {
        let found = failures_of_fixes(&mistake.text, &mistake.set, checked, mistake.incomplete.is_none());
        if !found.is_empty() {
            failures += &format!("=== {}\n{found}", mistake.title);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Cases whose fix leaves the error or shows another syntax error, each with the reason.
const INCOMPLETE: &[(&str, &str)] = &[];

#[test]
fn fixes_of_bad_files_work() {
    let mut failures = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/err");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let (Some(name), true) = (path.file_stem().and_then(|n| n.to_str()), path.extension().is_some_and(|e| e == "resnet"))
        else {
            continue;
        };
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let check = |text: &str, _: &[(String, String)]| {
            let mut front = Frontend::source(SourceFile { name: name.to_owned(), path: Some(path.clone()), text: text.into() });
            for network in front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect::<Vec<_>>() {
                front.check(&network, &[]);
            }
            front
        };
        let found = failures_of_fixes(&text, &[], check, false);
        let listed = INCOMPLETE.iter().any(|(case, _)| *case == name);
        if found.is_empty() == listed {
            failures += &format!("=== {name}{}\n{found}", if listed { ": listed, but complete" } else { "" });
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn a_setting_is_reported_once_for_all_networks_of_a_file() {
    let network = |name: &str| format!("network {name}(classes = 10) {{\n  input 3 x 8 x 8\n  linear classes\n}}\n");
    let text = format!("resnet 1\n{}{}", network("a"), network("b"));
    for value in ["x", "[1"] {
        let front = checked(&text, &[("classes".to_owned(), value.to_owned())]);
        assert_eq!(front.diagnostics.len(), 1, "{value}: {:?}", front.diagnostics);
    }
}
