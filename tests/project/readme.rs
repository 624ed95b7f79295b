//! What the README prints is tried: its Rust program is built and run, its commands are run, and what they answer is compared.
//!
//! The test reads the README, so that a new command is taken up by itself; one of a program that it does not know fails it.
//!
//! - A command with a placeholder in capitals (`FILE`, `OUT.rnx`) is a template: each of its alternatives must be taken by the
//!   command line.
//! - A command whose data are not in the repository is run where Debian's package or `RESNETC_TEST_DATA` has them; elsewhere its
//!   arguments are parsed.
//! - Training ends after three steps, and measuring after one run.
//! - `cargo install`, `cargo test` and `apt-get install` are left out.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use resnetc::internal::cli::parses;
use resnetc::internal::kernels::Isa;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Programs that a span of code may begin with to be a command.
const PROGRAMS: &[&str] = &["resnetc", "cargo", "apt-get", "time", "/usr/bin/time", "git", "python", "pip", "rustup"];

/// Options whose value is read.
const READ: &[&str] = &["--data", "--valid", "--weights", "--input", "--ensemble"];

/// A command as it is printed.
#[derive(Debug, PartialEq)]
struct Printed {
    line: usize,
    command: String,
    /// Whether it is given in whole: on a line of its own, or in a table's column of commands.
    whole: bool,
    /// The lines printed below it.
    answer: Vec<String>,
    /// The row that it stands in, cell by cell.
    row: Vec<String>,
}

/// Options of a text that stand by themselves (`--tune`), each with the command of its row, if any.
#[derive(Debug, PartialEq)]
struct Loose {
    line: usize,
    option: String,
    of: Option<String>,
}

/// The code of a text, `` `between` ``.
fn spans(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|"))
}

/// The cells of a row of a table.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    inner.split('|').map(|cell| cell.trim().replace('\u{0}', "\\|")).collect()
}

fn begins_a_command(span: &str) -> bool {
    let word = span.split_whitespace().find(|word| !is_assignment(word)).unwrap_or_default();
    PROGRAMS.contains(&word) && span.split_whitespace().count() > 1 || span.starts_with('…')
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// All commands and loose options of a text.
fn read(text: &str) -> (Vec<Printed>, Vec<Loose>) {
    let (mut commands, mut loose): (Vec<Printed>, Vec<Loose>) = (Vec::new(), Vec::new());
    let mut fence: Option<(String, bool)> = None;
    // which columns of the table that a line stands in hold commands
    let mut header: Option<Vec<bool>> = None;
    let plain =
        |line, command: &str| Printed { line, command: command.to_owned(), whole: false, answer: Vec::new(), row: Vec::new() };
    for (at, text) in text.lines().enumerate() {
        let line = at + 1;
        if let Some(language) = text.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some((language.to_owned(), false)) };
            continue;
        }
        if let Some((language, answering)) = &mut fence {
            let goes_on = commands.last().is_some_and(|c| c.line + 1 == line && c.command.ends_with('\\'));
            if goes_on {
                let last = commands.last_mut().unwrap();
                last.command = format!("{} {}", last.command.trim_end_matches('\\').trim(), text.trim());
                last.line = line;
            } else if let Some(command) = text.strip_prefix("$ ") {
                commands.push(Printed { whole: true, ..plain(line, command) });
                *answering = true;
            } else if *answering {
                commands.last_mut().unwrap().answer.push(text.to_owned());
            } else if language == "sh" || language == "text" && begins_a_command(text) {
                // what stands behind a wide gap, or a sign, says what the command does
                let command = text.split("    ").next().unwrap().split(" #").next().unwrap().trim();
                if !command.is_empty() {
                    commands.push(Printed { whole: true, ..plain(line, command) });
                }
            }
            continue;
        }
        if !text.starts_with('|') {
            header = None;
            for span in spans(text) {
                if begins_a_command(&span) {
                    commands.push(plain(line, &span));
                } else if span.split_whitespace().any(|word| word.starts_with("--")) || is_assignment(&span) {
                    loose.push(Loose { line, option: span, of: None });
                }
            }
            continue;
        }
        let row = cells(text);
        let Some(of_commands) = &header else {
            header = Some(row.iter().map(|cell| cell == "command").collect());
            continue;
        };
        let mut of = None;
        for (cell, &holds_commands) in row.iter().zip(of_commands) {
            for span in spans(cell) {
                if begins_a_command(&span) || holds_commands {
                    of.get_or_insert(span.clone());
                    commands.push(Printed { row: row.clone(), whole: holds_commands, ..plain(line, &span) });
                } else if span.starts_with('-') {
                    loose.push(Loose { line, option: span, of: of.clone() });
                }
            }
        }
    }
    for command in &mut commands {
        while command.answer.last().is_some_and(|line| line.trim().is_empty()) {
            command.answer.pop();
        }
    }
    (commands, loose)
}

impl Printed {
    /// Whether the text speaks of a command rather than giving it: `resnetc export onnx`, without its arguments.
    fn is_mention(&self, args: &[String]) -> bool {
        let words = args.iter().map(String::as_str);
        let help = parses(["resnetc"].into_iter().chain(words).chain(["--help"])).unwrap_err();
        !self.whole && help.contains(&format!("Usage: resnetc {} ", args.join(" ")))
    }
}

/// What is done with a command.
#[derive(Debug, PartialEq)]
enum Kind {
    LeftOut,
    /// The command line takes each of these.
    Template(Vec<Vec<String>>),
    Run {
        variables: Vec<(String, String)>,
        args: Vec<String>,
    },
}

fn classify(command: &str) -> Result<Kind, String> {
    if let Some(sign) = command.chars().find(|c| "…\"'$;&<>`\\".contains(*c)) {
        return Err(format!("`{sign}`: print the whole command, without the shell's syntax"));
    }
    let mut words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["time", ..] => drop(words.drain(..1)),
        ["/usr/bin/time", "-v", ..] => drop(words.drain(..2)),
        _ => {}
    }
    let assignments = words.iter().take_while(|word| is_assignment(word)).count();
    let variables: Vec<(String, String)> = words
        .drain(..assignments)
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let args = match words[..] {
        ["cargo", "install", ..] => {
            return if words.contains(&"--locked") { Ok(Kind::LeftOut) } else { Err("builds all again without --locked".into()) };
        }
        ["cargo", "test" | "bench" | "clippy", ..] | ["apt-get", "install", _] => return Ok(Kind::LeftOut),
        ["cargo", "run", ..] => match words.iter().position(|word| *word == "--") {
            Some(at) if words[2..at].iter().all(|word| *word == "--release") => &words[at + 1..],
            _ => return Err("`cargo run` of something else".into()),
        },
        ["resnetc", ref args @ ..] if !args.is_empty() => args,
        _ => return Err("an unknown program".into()),
    };
    if variables.iter().any(|(name, _)| !name.starts_with("RESNETC_")) {
        return Err("an unknown variable".into());
    }
    let args: Vec<String> = args.iter().map(|&word| word.to_owned()).collect();
    Ok(match filled(&args) {
        Some(ways) => Kind::Template(ways),
        None => Kind::Run { variables, args },
    })
}

/// Whether a word stands for another: capitals, which no error's code is.
fn is_placeholder(word: &str) -> bool {
    let stem = word.split('.').next().unwrap_or_default();
    let code = stem.len() == 5 && stem.starts_with(['E', 'W']) && stem[1..].chars().all(|c| c.is_ascii_digit());
    !code && stem.starts_with(|c: char| c.is_ascii_uppercase()) && !stem.contains(|c: char| c.is_ascii_lowercase() || c == '/')
}

/// All commands that a template stands for, with its placeholders in their places; `None` where it has none.
fn filled(args: &[String]) -> Option<Vec<Vec<String>>> {
    let mut ways: Vec<Vec<String>> = vec![Vec::new()];
    let mut any = false;
    for word in args {
        let (one, several) = word.strip_suffix("...").map_or((word.as_str(), false), |one| (one, true));
        // `FILE[:NETWORK]` is both
        let (short, long) = match one.split_once('[') {
            Some((before, rest)) => (before.to_owned(), Some(format!("{before}{}", rest.replace(']', "")))),
            None => (one.to_owned(), None),
        };
        let choices: Vec<String> = short.split('|').map(str::to_owned).chain(long).collect();
        any |= choices.len() > 1 || choices.iter().any(|choice| is_placeholder(choice));
        // where a number is asked for
        let choices: Vec<String> = choices.into_iter().map(|c| if c == "N" || c == "T" { "2".to_owned() } else { c }).collect();
        let counts = if several { 1..=2 } else { 1..=1 };
        ways = ways
            .iter()
            .flat_map(|way| choices.iter().map(move |choice| (way, choice)))
            .flat_map(|(way, choice)| counts.clone().map(move |count| [&way[..], &vec![choice.clone(); count]].concat()))
            .collect();
    }
    any.then_some(ways)
}

/// A line that a passing test shows too.
fn note(line: &str) {
    std::io::stderr().write_all(format!("readme: {line}\n").as_bytes()).unwrap();
}

/// A folder where the commands find what the repository has, and what this machine has besides.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        copy(&Path::new(ROOT).join("models"), &room.at("models"));
        copy(&Path::new(ROOT).join("tests/data"), &room.at("tests/data"));
        if let Some(data) = std::env::var_os("RESNETC_TEST_DATA").map(PathBuf::from) {
            for file in ["cifar-resnet/resnet20.safetensors", "cifar-resnet/resnet32.safetensors", "cifar10-jpeg/test.tar"] {
                let from = data.join(file);
                if from.is_file() {
                    fs::copy(&from, room.at(from.file_name().unwrap().to_str().unwrap())).unwrap();
                }
            }
        }
        room
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// What a command reads by its options and is not here.
    fn missing(&self, args: &[String]) -> Option<String> {
        let values = args.windows(2).filter(|pair| READ.contains(&pair[0].as_str())).map(|pair| pair[1].as_str());
        let files = values.map(|value| value.rsplit_once('=').map_or(value, |(_, weights)| weights));
        files.filter(|file| !file.starts_with("init")).find(|file| !self.at(file).exists()).map(str::to_owned)
    }

    fn run(&self, printed: &Printed, variables: &[(String, String)], args: &[String]) -> Result<(), String> {
        parses(["resnetc"].into_iter().chain(args.iter().map(String::as_str)))?;
        if let Some(missing) = self.missing(args) {
            note(&format!("line {}: {missing} is not here: its arguments are parsed alone", printed.line));
            return Ok(());
        }
        let mut all: Vec<String> = args.iter().flat_map(|word| self.expanded(word)).collect();
        match args[0].as_str() {
            "train" => {
                all.extend(["--set", "train.steps=3"].map(str::to_owned));
                if let Some(at) = args.iter().position(|word| word == "--data")
                    && let Some(few) = self.few(Path::new(&args[at + 1]))
                {
                    all.extend(["--valid".to_owned(), few]);
                }
            }
            "bench" | "profile" => all.extend(["--runs", "1"].map(str::to_owned)),
            _ => {}
        }
        let ran = Command::new(env!("CARGO_BIN_EXE_resnetc"))
            .args(&all)
            .current_dir(self.0.path())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        if !ran.status.success() {
            return Err(format!("{}: {out}{err}", ran.status));
        }
        let said: Vec<&str> = out.lines().map(str::trim_end).collect();
        let expected: Vec<&str> = printed.answer.iter().map(|line| line.trim_end()).collect();
        if !expected.is_empty() && said != expected {
            return Err(format!("it answers\n{out}"));
        }
        // of a row, the first share that another cell prints
        let share = printed.row.iter().filter(|cell| !cell.contains('`')).find_map(|cell| {
            let (before, _) = cell.split_once(" %")?;
            Some(format!("{} %", before.rsplit(' ').next()?))
        });
        match share {
            Some(share) if args[0] == "eval" && !out.contains(&share) => {
                Err(format!("{share} is printed, and it answers\n{out}"))
            }
            _ => Ok(()),
        }
    }

    /// As a shell expands it.
    fn expanded(&self, word: &str) -> Vec<String> {
        let Some((folder, pattern)) = word.rsplit_once('/').filter(|(_, name)| name.contains('*')) else {
            return vec![word.to_owned()];
        };
        let (start, end) = pattern.split_once('*').unwrap();
        let names = fs::read_dir(self.at(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start) && name.ends_with(end)).collect();
        names.sort();
        assert!(!names.is_empty(), "{word}");
        names.into_iter().map(|name| format!("{folder}/{name}")).collect()
    }

    /// The first test images of a folder of IDX files, to validate on: not compressed, as the originals can be.
    fn few(&self, data: &Path) -> Option<String> {
        const COUNT: usize = 64;
        let folder = self.at("few");
        fs::create_dir_all(&folder).unwrap();
        for (name, head, each) in [("t10k-images-idx3-ubyte", 16, 28 * 28), ("t10k-labels-idx1-ubyte", 8, 1)] {
            let stored = fs::read(data.join(format!("{name}.gz"))).ok()?;
            let mut bytes = vec![0; head + COUNT * each];
            std::io::Read::read_exact(&mut flate2::read::GzDecoder::new(&stored[..]), &mut bytes).ok()?;
            bytes[4..8].copy_from_slice(&(COUNT as u32).to_be_bytes());
            fs::write(folder.join(name), bytes).unwrap();
        }
        Some("few".to_owned())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

#[test]
fn every_command_of_the_readme_runs() {
    let room = Room::new();
    let (commands, _) = read(&readme());
    let mut wrong = Vec::new();
    let (mut ran, mut templates) = (BTreeSet::new(), 0);
    for printed in &commands {
        let done = classify(&printed.command).and_then(|kind| match kind {
            Kind::LeftOut => Ok(()),
            Kind::Template(ways) => {
                templates += 1;
                ways.iter().try_for_each(|way| parses(["resnetc"].into_iter().chain(way.iter().map(String::as_str))))
            }
            Kind::Run { args, .. } if printed.is_mention(&args) => Ok(()),
            // what is printed twice is run once
            Kind::Run { variables, args } => {
                if ran.insert(printed.command.clone()) {
                    room.run(printed, &variables, &args)
                } else {
                    Ok(())
                }
            }
        });
        if let Err(error) = done {
            wrong.push(format!("README.md:{}: `{}`: {error}", printed.line, printed.command));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // the scan sees what it is for
    assert!(ran.len() >= 8 && templates >= 15, "{ran:?}, {templates} templates");
}

/// Options that the text names are among those of the row's command, or of any; so are the values that they may have.
#[test]
fn options_of_the_readme_are_known() {
    let helps = |command: &str| parses(["resnetc", command, "--help"]).unwrap_err();
    let all: String = parses(["resnetc", "--help"])
        .unwrap_err()
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("   ")))
        .filter(|name| *name != "help")
        .map(helps)
        .collect();
    assert!(all.contains("--resume") && all.contains("--precise"), "{all}");
    for Loose { line, option, of } in read(&readme()).1 {
        if let Some((_, values)) = option.split_once('=').filter(|_| is_assignment(&option)) {
            assert!(values.split('|').all(|name| Isa::named(name).is_ok()), "README.md:{line}: {option}");
            continue;
        }
        let mut words = of.iter().flat_map(|of| of.split_whitespace().skip(1));
        let help = match (words.next(), words.next()) {
            (Some("export"), Some(to)) => parses(["resnetc", "export", to, "--help"]).unwrap_err(),
            (Some(command), _) => helps(command),
            (None, _) => all.clone(),
        };
        for word in option.split_whitespace() {
            let known = |part: &str| help.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|w| w == part);
            let part_of_option = word.starts_with('-') || word.contains('|');
            assert!(
                !part_of_option || word.split('|').all(known),
                "README.md:{line}: `{option}` of {of:?}: no {word} in\n{help}"
            );
        }
    }
}

/// Those of the other documents, where they are given in whole and without the shell's syntax, have arguments that the command line takes.
#[test]
fn commands_of_the_documents_parse() {
    let mut paths: Vec<PathBuf> = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.extend(["CONTRIBUTING.md", "models/README.md", "models/weights/README.md"].map(|path| Path::new(ROOT).join(path)));
    let (mut count, mut wrong) = (0, Vec::new());
    for path in paths.iter().filter(|path| path.is_file() && path.extension().is_some_and(|e| e == "md")) {
        for printed in read(&fs::read_to_string(path).unwrap()).0.into_iter().filter(|printed| printed.whole) {
            let at = format!("{}:{}: `{}`", path.display(), printed.line, printed.command);
            assert!(!printed.command.starts_with("cargo install") || printed.command.contains("--locked"), "{at}");
            let ways = match classify(&printed.command) {
                Ok(Kind::Run { args, .. }) => vec![args],
                Ok(Kind::Template(ways)) => ways,
                Ok(Kind::LeftOut) | Err(_) => continue,
            };
            for way in ways {
                count += 1;
                if let Err(error) = parses(["resnetc"].into_iter().chain(way.iter().map(String::as_str))) {
                    wrong.push(format!("{at}: {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "{count}");
}

/// The text between two lines of a fence.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let fence = format!("```{language}\n");
    let mut blocks = text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let one = blocks.next().unwrap_or_else(|| panic!("no {language}"));
    assert!(blocks.next().is_none(), "several of {language}: build each");
    one
}

/// As a reader would: a package with the printed lines in its manifest and the printed program, and nothing else.
#[test]
fn the_rust_program_builds_and_runs_as_printed() {
    let text = readme();
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let package = room.join("program");
    fs::create_dir_all(package.join("src")).unwrap();
    let printed = block(&text, "toml");
    assert!(printed.contains(r#"path = "../resnetc""#), "{printed}");
    let here = format!("path = {}", serde_json::to_string(ROOT).unwrap());
    let manifest = format!(
        "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n{}",
        printed.replace(r#"path = "../resnetc""#, &here)
    );
    // written where they differ, so that nothing is built twice
    let write = |path: &str, text: &str| {
        let path = package.join(path);
        if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            fs::write(path, text).unwrap();
        }
    };
    write("Cargo.toml", &manifest);
    write("src/main.rs", block(&text, "rust"));
    // the versions that this crate is built with: nothing is fetched
    fs::copy(Path::new(ROOT).join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(cargo)
        .args(["run", "--quiet", "--offline", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(room.join("target"))
        .current_dir(ROOT)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    // two samples of ten classes
    let numbers = out.split(|c: char| "[], \n".contains(c)).filter(|word| !word.is_empty());
    let numbers: Vec<f32> = numbers.map_while(|word| word.parse().ok()).collect();
    assert!(numbers.len() == 20 && numbers[..10] == numbers[10..], "{out}{err}");
}

#[test]
fn commands_are_found_and_told_apart() {
    let text = "Use `resnetc new mynet`, `conv 3x3` or `compile --tune`.\n\n```text\n$ resnetc run F \\\n    x.png\n 1 %  A\n\n$ cargo test\n```\n\n\
                | a | command |\n| --- | --- |\n| 9.5 % | `frobnicate x\\|y` |\n";
    let (commands, loose) = read(text);
    let found: Vec<&str> = commands.iter().map(|c| c.command.as_str()).collect();
    assert_eq!(found, ["resnetc new mynet", "resnetc run F x.png", "cargo test", "frobnicate x|y"]);
    assert_eq!(commands[1].answer, [" 1 %  A"]);
    assert_eq!(loose, [Loose { line: 1, option: "compile --tune".into(), of: None }]);
    for unknown in
        ["frobnicate x|y", "resnetc", "… --batch 1 …", "cargo install --path .", "cargo publish", "resnetc run a | head > b"]
    {
        assert!(classify(unknown).is_err(), "{unknown}");
    }
    let run = |words: &[&str]| Kind::Run { variables: Vec::new(), args: words.iter().map(|&w| w.to_owned()).collect() };
    assert_eq!(classify("/usr/bin/time -v resnetc explain E0301"), Ok(run(&["explain", "E0301"])));
    assert_eq!(classify("cargo run --release -- run a.resnet"), Ok(run(&["run", "a.resnet"])));
    assert_eq!(classify("cargo install --locked --path ."), Ok(Kind::LeftOut));
    let Ok(Kind::Template(ways)) = classify("resnetc run FILE|OUT.rnx X[:N]...") else { panic!("no template") };
    let ways: Vec<String> = ways.iter().map(|way| way.join(" ")).collect();
    assert_eq!(ways.len(), 8);
    assert!(["run FILE X", "run OUT.rnx X:N X:N"].iter().all(|way| ways.iter().any(|w| w == way)), "{ways:?}");
}
