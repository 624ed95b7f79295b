//! The documentation is held to the code.

use std::fmt::Write;

use resnetc::internal::base::render;
use resnetc::internal::driver::Frontend;
use resnetc::internal::elementwise::Unary;
use resnetc::internal::ir::ops::{Attribute, Schema, find, operators};
use resnetc::internal::syntax::words::{RESERVED, STATEMENTS};

fn operators_table() -> String {
    let mut out = String::from("| operator | arguments (default) | |\n| --- | --- | --- |\n");
    for Schema { word, doc, attributes, .. } in operators().map(|operator| operator.schema) {
        let keys: Vec<String> = attributes
            .iter()
            .map(|attribute| {
                let first = if attribute.is_positional { ", first" } else { "" };
                let default = attribute.default_text().map_or(String::new(), |text| format!(" ({text})"));
                format!("`{}`: {}{first}{default}", attribute.key, attribute.kind.takes())
            })
            .collect();
        let _ = writeln!(out, "| `{word}` | {} | {doc} |", keys.join("; "));
    }
    out
}

fn activations() -> String {
    let mut out = String::from("| activation | arguments (default) | |\n| --- | --- | --- |\n");
    for activation in resnetc::internal::syntax::prelude::activations() {
        let keys = activation.params.iter().map(|param| {
            let default = param.default.unwrap_or("1");
            let takes = match param.kind {
                None => "a number",
                Some("parameter") => "learned, one number per channel",
                Some("shared") => "learned, one number for all channels",
                Some(kind) => return format!("`{}`: a label ({kind})", param.name),
            };
            format!("`{}`: {takes} ({default})", param.name)
        });
        let keys: Vec<String> = keys.collect();
        let _ = writeln!(out, "| `{}` | {} | {} |", activation.name, keys.join("; "), activation.doc.replace('|', "\\|"));
    }
    out
}

/// `RESNETC_WRITE_DOCS=1 cargo test --test project docs::` writes the tables.
#[test]
fn the_language_reference_has_the_compilers_own_tables() {
    let mut text = std::fs::read_to_string("docs/language.md").unwrap();
    let tables = [
        ("compiler's own -->\n", operators_table(), "<!-- end of operators -->"),
        ("from the declarations -->\n", activations(), "<!-- end of activations -->"),
    ];
    for (start, table, end) in tables {
        let (before, rest) = text.split_once(start).unwrap();
        let (written, after) = rest.split_once(end).unwrap();
        if std::env::var_os("RESNETC_WRITE_DOCS").is_some() {
            text = format!("{before}{start}{table}{end}{after}");
            std::fs::write("docs/language.md", &text).unwrap();
            continue;
        }
        assert_eq!(written, table, "RESNETC_WRITE_DOCS=1 cargo test --test project docs:: writes it");
    }
}

/// The examples that `resnetc explain` shows check in a block, after a branch where they name one.
#[test]
fn examples_of_operators_check() {
    for Schema { word, examples, .. } in operators().map(|operator| operator.schema) {
        assert!(!examples.is_empty(), "{word}");
        for example in examples {
            assert!(example.starts_with(word), "{example}");
            let branch = match example {
                _ if example.contains("LABEL") => "branch LABEL { relu }\n",
                // reads values with one pixel
                _ if *word == *"channel_conv" => "avgpool global\n",
                _ => "",
            };
            let text = format!("resnet 1\nblock b {{\n{branch}{example}\n}}\nnetwork net {{\ninput 4 x 16 x 16\nb\n}}\n");
            let mut front = Frontend::text("example.resnet", &text);
            front.check("net", &[]);
            let said = render::terminal(&front.diagnostics, &front.sources, false);
            assert!(front.diagnostics.is_empty(), "{example}:\n{said}");
        }
    }
}

/// Words of the language in `fuzz/source.dict`, which a packaged crate does not have.
#[test]
fn the_fuzzers_dictionary_has_every_word() {
    let Ok(dictionary) = std::fs::read_to_string("fuzz/source.dict") else { return };
    let operators: Vec<&Schema<'_>> = operators().map(|operator| &operator.schema).collect();
    let keys = operators.iter().flat_map(|schema| schema.attributes).map(|attribute| attribute.key);
    let activations = resnetc::internal::syntax::prelude::activations();
    let primitives = Unary::ALL.into_iter().filter(|op| *op != Unary::Neg).map(Unary::word);
    let words = RESERVED.iter().chain(STATEMENTS).copied().chain(operators.iter().map(|schema| schema.word)).chain(keys);
    let words = words.chain(primitives).chain(activations.iter().map(|activation| activation.name));
    let missing: Vec<&str> = words.filter(|word| !dictionary.contains(&format!("\"{word}\"\n"))).collect();
    assert!(missing.is_empty(), "add {missing:?} to fuzz/source.dict");
}

/// Whole files in the documentation check without a word.
#[test]
fn examples_in_the_documentation_check() {
    for path in ["README.md", "docs/introduction.md", "docs/language.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(path).unwrap();
        for example in text.split("```resnet\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let mut front = Frontend::text(path, example);
            for network in front.networks().into_iter().filter(|n| n.open.is_empty()) {
                front.check(&network.name, &[]);
            }
            let said = render::terminal(&front.diagnostics, &front.sources, false);
            assert!(front.diagnostics.is_empty() && !front.networks().is_empty(), "{path}:\n{example}\n{said}");
        }
    }
}

/// The operators and keys of PyTorch, torchvision, Keras, Darknet and Caffe have an answer, unless they are ours.
#[test]
fn words_of_other_frameworks_have_an_answer() {
    let mut missing = Vec::new();
    let list = std::fs::read_to_string("tests/data/foreign.txt").unwrap();
    for (context, words) in
        list.lines().skip(1).filter(|line| !line.starts_with(['#', '=', '?'])).filter_map(|line| line.split_once(": "))
    {
        let ours = recipe_keys(context);
        for word in words.split(' ') {
            let is_ours = find(word).is_some()
                || ours.contains(&word)
                || find(context).is_some_and(|operator| operator.schema.attribute(word).is_some());
            if !is_ours && resnetc::internal::elaborate::foreign::find(context, word).is_none() {
                missing.push(format!("{context}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// What a recipe takes in a context, as its error lists it.
fn recipe_keys(context: &str) -> Vec<&'static str> {
    match context {
        "train" => vec!["optimizer", "loss", "epochs", "steps", "batch", "shuffle", "augment", "schedule", "clip_grad_norm"],
        "optimizer sgd" => vec!["lr", "momentum", "nesterov", "weight_decay"],
        "schedule" => vec!["constant", "steps"],
        "schedule steps" => vec!["at", "gamma"],
        "schedule plateau" => vec!["patience", "factor", "min_lr"],
        "schedule cosine" => vec!["eta_min"],
        "schedule one_cycle" => vec!["pct_start", "div_factor", "final_div_factor"],
        "loss cross_entropy" => vec!["label_smoothing"],
        _ => Vec::new(),
    }
}

/// Former words, which keys, help texts, messages and pages do not use: what is written in their place, for whoever reads a failure.
/// A word stands for itself and its plural. What is also a word of today (`map`, `part`, `window`, `norm`, `clip`, `way`) is not here.
const FORMER: &[(&str, &str)] = &[
    // words of the language and the command line
    ("count_pad", "count_include_pad"),
    ("calibrate_norms", "calibrate-bn"),
    ("calibrate-norms", "calibrate-bn"),
    ("decay_norms", "decay_norm"),
    ("decay_biases", "decay_bias"),
    ("random_crop", "random_resized_crop"),
    ("max-pack", "--max-packed-weights"),
    ("--broken", "--on-error"),
    ("broken: skip", "on_error: skip"),
    ("avgpool to", "avgpool output_size"),
    ("upsample times", "upsample scale_factor"),
    ("rises:", "ramp"),
    // prose
    ("picture", "image"),
    ("oracle", "reference interpreter"),
    ("signal", "1-D input"),
    ("hole", "dilation, padding"),
    ("leap", "skip, fall in the padding"),
    ("taps", "kernel elements, offsets"),
    ("mirrored", "reflected, flipped horizontally"),
    ("anew", "again, from scratch"),
    ("is told", "is reported"),
    ("are told", "are reported"),
    ("was told", "was reported"),
    ("told of", "reported"),
    ("packs", "packed weights"),
    ("the rate", "the learning rate"),
    ("law", "rule"),
    ("behind", "after"),
    ("the least", "the smallest, the minimum"),
    ("hands", "returns, passes"),
    ("in vain", "fails late"),
    ("mend", "fix"),
    ("by hand", "explicitly"),
    ("quaint", ""),
    ("knot", "irregular"),
    // British spelling
    ("colour", "color"),
    ("grey", "gray"),
    ("centre", "center"),
    ("centred", "centered"),
    ("behaviour", "behavior"),
    ("neighbour", "neighbor"),
    ("normalisation", "normalization"),
    ("normalise", "normalize"),
    ("normalised", "normalized"),
    ("initialise", "initialize"),
    ("initialised", "initialized"),
    ("initialisation", "initialization"),
    ("optimise", "optimize"),
    ("optimised", "optimized"),
    ("recognise", "recognize"),
    ("recognised", "recognized"),
    ("analyse", "analyze"),
    ("labelled", "labeled"),
    ("modelling", "modeling"),
    ("artefact", "artifact"),
    ("licence", "license"),
    ("catalogue", "catalog"),
    ("favour", "favor"),
    ("whilst", "while"),
];

/// Where a former word stands for a reason: the file, the word, why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("src/syntax/table.rs", "", "it lists former words and those of other frameworks"),
    ("src/elaborate/meta.rs", "grey", "`channels: grey` is read as `gray`"),
    ("src/ir/recipe.rs", "decay_norms", "recipes of earlier run directories are read"),
    ("src/ir/recipe.rs", "decay_biases", "recipes of earlier run directories are read"),
    ("src/cli/compile.rs", "packs", "the option's former name is accepted"),
    ("src/eval/state.rs", "mirrored", "state files of before are read"),
    ("src/plan/kernel.rs", "taps", "choices of artifacts with the former word are read"),
    ("docs/models.md", "signal", "the file is called so: models/signal.resnet"),
];

/// The former words in a text.
fn former(text: &str) -> Vec<&'static (&'static str, &'static str)> {
    let lower = text.to_lowercase();
    let spaced = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let stands = |word: &str| {
        spaced.match_indices(word).any(|(at, _)| {
            let before = spaced[..at].chars().next_back();
            let after = spaced[at + word.len()..].trim_start_matches('s').chars().next();
            let begins = !word.starts_with(is_word) || !before.is_some_and(is_word);
            begins && (!word.ends_with(is_word) || !after.is_some_and(is_word))
        })
    };
    FORMER.iter().filter(|(word, _)| stands(word)).collect()
}

/// The string literals of Rust code without its tests, and without the names of variables in them, in one text.
fn literals(code: &str) -> String {
    let code = code.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        let hashes = before.len() - before.trim_end_matches('#').len();
        let raw = before[..before.len() - hashes].ends_with('r') && from.starts_with('"');
        rest = match () {
            () if from.starts_with("//") => from.split_once('\n').map_or("", |(_, after)| after),
            () if from.starts_with("'\"'") => &from[3..],
            () if from.starts_with("'\\") => &from[3..],
            () if raw => {
                let (text, after) = from[1..].split_once(&format!("\"{}", "#".repeat(hashes))).unwrap_or(("", ""));
                out += text;
                out.push('\n');
                after
            }
            () if from.starts_with('"') => {
                let mut escaped = false;
                let end = from[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                let end = end.map_or(from.len(), |end| end + 1);
                out += &from[1..end];
                out.push('\n');
                &from[(end + 1).min(from.len())..]
            }
            () => &from[1..],
        };
    }
    // `{name}` of a format string
    let mut pieces = out.split('{');
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |text, piece| {
        let shown = piece.split_once('}').filter(|(name, _)| !name.contains(char::is_whitespace)).map_or(piece, |(_, rest)| rest);
        text + "{" + shown
    })
}

/// The files under a folder whose names end so, in order.
fn files(folder: &str, ends: &str) -> Vec<String> {
    let mut list = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        if path.is_dir() {
            list.extend(files(&name, ends));
        } else if name.ends_with(ends) {
            list.push(name);
        }
    }
    list.sort();
    list
}

/// The help of a command and of its subcommands.
fn helps(path: &mut Vec<String>, out: &mut Vec<(String, String)>) {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_resnetc")).args(&*path).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    let commands = text.split("\nCommands:\n").nth(1).unwrap_or("").lines();
    let commands = commands.map_while(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let commands: Vec<String> = commands.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    out.push((format!("resnetc {} --help", path.join(" ")), text));
    for command in commands.into_iter().filter(|command| command != "help") {
        path.push(command);
        helps(path, out);
        path.pop();
    }
}

#[test]
fn keys_messages_and_pages_use_the_fields_words() {
    let mut texts: Vec<(String, String)> = Vec::new();
    for Schema { word, doc, attributes, .. } in operators().map(|operator| operator.schema) {
        let text =
            |a: &Attribute<'_>| format!("{} {} {} {}\n", a.key, a.kind.takes(), a.default_text().unwrap_or_default(), a.doc);
        texts.push((format!("operator {word}"), format!("{doc}\n{}", attributes.iter().map(text).collect::<String>())));
    }
    helps(&mut Vec::new(), &mut texts);
    assert!(texts.len() > operators().count() + 18, "the help lists fewer commands than there are");
    let code = files("src", ".rs").into_iter().filter(|path| !path.ends_with("/tests.rs") && !path.contains("/tests/"));
    texts.extend(code.map(|path| {
        let text = literals(&std::fs::read_to_string(&path).unwrap());
        (path, text)
    }));
    let pages = ["README.md", "CONTRIBUTING.md"].map(str::to_owned).into_iter();
    let snapshots = files("tests", ".snap").into_iter();
    texts.extend(pages.chain(files("docs", ".md")).chain(snapshots).map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        // how the test calls what is shown
        let text = text.lines().filter(|line| !line.starts_with("expression: ")).collect::<Vec<_>>().join("\n");
        (path, text)
    }));
    let mut found = Vec::new();
    for (place, text) in &texts {
        for (word, today) in former(text) {
            let allowed = ALLOWED.iter().any(|(file, allowed, _)| file == place && (allowed.is_empty() || allowed == word));
            if !allowed {
                found.push(format!("{place}: `{word}` is `{today}` today"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn former_words_are_found_where_they_stand_alone() {
    let words = |text: &str| former(text).iter().map(|(word, _)| *word).collect::<Vec<_>>();
    assert_eq!(words("Two pictures, and\n  a hole"), ["picture", "hole"]);
    assert_eq!(words("the whole law of count_pad"), ["count_pad", "law"]);
    assert!(words("a whole lawn, count_padding").is_empty());
    let code = "let x = \"a \\\" b\"; // \"no\"\nlet c = '\"'; f(r#\"c \" d\"#);\n#[cfg(test)]\nmod tests { \"no\" }";
    assert_eq!(literals(code), "a \\\" b\nc \" d\n");
    assert_eq!(literals("f(\"{packs} a {0:.1} { b }\")"), "{ a { { b }\n");
}
