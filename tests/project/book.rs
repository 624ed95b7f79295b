//! The book's commands run, its Rust is tested, its links resolve, and its table of contents is complete.
//!
//! A page that teaches by commands (`docs/tutorial.md`, `docs/howto/*.md`) is run in an empty folder, from top to bottom, with
//! `resnetc` on the path. In a `console` block, a line after `$ ` is a command, and the lines below it are its output, compared
//! as printed; a line `…` stands for any lines. Comments that the reader does not see direct the test:
//!
//! - `<!-- test: file NAME -->`: the next block is the file of that name.
//! - `<!-- test: run COMMAND -->`: runs a command that the page does not show.
//! - `<!-- test: copy PATH -->`: copies a file or a folder of the repository.
//! - `<!-- test: fashion-mnist FOLDER -->`: writes a tiny dataset in the format of Fashion-MNIST.
//! - `<!-- test: skip -->`: the next block is not run (a download, a program that may be missing).
//! - `<!-- test: add ARGS -->`: arguments for each command of the next block, such as a shorter training.
//! - `<!-- test: exit CODE -->`: the exit code of the next block's last command.
//! - `<!-- test: quotes PATH -->`: the next block stands in that file of the repository, word for word.
//! - `<!-- test: other output -->`: what the next block prints is another run's (trained longer, another machine).

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use resnetc::internal::base::codes::{self, CodeInfo};
use resnetc::{CompileOptions, Network};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block of a page: its language, its lines, and the line at which it begins.
struct Block {
    language: String,
    lines: Vec<String>,
    line: usize,
}

impl Block {
    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// What a page gives to the test, in order.
enum Part {
    Directive(usize, String),
    Block(Block),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => parts.extend(open.take().map(Part::Block)),
            (Some(block), None) => block.lines.push(line.to_owned()),
            (None, Some(language)) => open = Some(Block { language: language.to_owned(), lines: Vec::new(), line: at + 1 }),
            (None, None) => {
                if let Some(directive) = line.strip_prefix("<!-- test: ") {
                    parts.push(Part::Directive(at + 1, directive.trim_end_matches("-->").trim().to_owned()));
                }
            }
        }
    }
    parts
}

/// How the next block is run.
#[derive(Default)]
struct Terms {
    file: Option<String>,
    skip: bool,
    add: String,
    exit: i32,
    other_output: bool,
    quotes: Option<String>,
}

/// A folder in which a page is run.
struct Page {
    name: String,
    folder: tempfile::TempDir,
    /// Where `cd` has led.
    place: PathBuf,
    ran: usize,
    wrong: Vec<String>,
}

impl Page {
    fn run(name: &str) -> Page {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        let mut page = Page { name: name.to_owned(), folder, place, ran: 0, wrong: Vec::new() };
        let mut terms = Terms::default();
        for part in parts(&read(name)) {
            match part {
                Part::Directive(line, text) => page.direct(line, &text, &mut terms),
                Part::Block(block) => page.block(&block, &std::mem::take(&mut terms)),
            }
        }
        page
    }

    fn direct(&mut self, line: usize, text: &str, terms: &mut Terms) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match (word, rest) {
            ("file", name) => terms.file = Some(name.to_owned()),
            ("skip", "") => terms.skip = true,
            ("add", args) => terms.add = format!(" {args}"),
            ("exit", code) => terms.exit = code.parse().unwrap(),
            ("other", "output") => terms.other_output = true,
            ("quotes", path) => terms.quotes = Some(path.to_owned()),
            ("run", command) => drop(self.command(line, command, 0)),
            ("copy", path) => copy(&Path::new(ROOT).join(path), &self.place.join(Path::new(path).file_name().unwrap())),
            ("fashion-mnist", folder) => fashion_mnist(&self.place.join(folder)),
            _ => panic!("{}:{line}: unknown direction `{text}`", self.name),
        }
    }

    fn block(&mut self, block: &Block, terms: &Terms) {
        if let Some(file) = &terms.file {
            fs::write(self.place.join(file), block.text()).unwrap();
        } else if let Some(path) = &terms.quotes {
            assert!(read(path).contains(&block.text()), "{}:{}: not in {path}", self.name, block.line);
        } else if block.language == "console" && !terms.skip {
            let shown = commands(block);
            for (at, (line, command, expected)) in shown.iter().enumerate() {
                let exit = if at + 1 == shown.len() { terms.exit } else { 0 };
                let output = self.command(*line, &format!("{command}{}", terms.add), exit);
                if !expected.is_empty() && !terms.other_output && !matches(expected, &output) {
                    self.wrong.push(format!("{}:{line}: `{command}` prints\n{output}", self.name));
                }
            }
        }
    }

    /// Runs a command as a shell does, and returns what it prints.
    fn command(&mut self, line: usize, command: &str, exit: i32) -> String {
        self.ran += 1;
        if let Some(folder) = command.strip_prefix("cd ") {
            self.place = self.place.join(folder);
            assert!(self.place.starts_with(self.folder.path()) && self.place.is_dir(), "{}:{line}: {command}", self.name);
            return String::new();
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_resnetc")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let shell = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .current_dir(&self.place)
            .env("PATH", path)
            .env_remove("RESNETC_ISA")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&shell.stdout).into_owned();
        if shell.status.code() != Some(exit) {
            self.wrong.push(format!("{}:{line}: `{command}`: {} in place of {exit}\n{output}", self.name, shell.status));
        }
        output
    }
}

/// The commands of a block, each with its line and its output.
fn commands(block: &Block) -> Vec<(usize, String, Vec<String>)> {
    let mut commands: Vec<(usize, String, Vec<String>)> = Vec::new();
    let mut goes_on = false;
    for (at, line) in block.lines.iter().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((block.line + at + 1, command.to_owned(), Vec::new()));
        } else {
            let (_, command, output) = commands.last_mut().unwrap_or_else(|| panic!("output before a command: {line}"));
            if goes_on {
                *command = format!("{command}\n{line}");
            } else {
                output.push(line.clone());
            }
        }
        goes_on = (goes_on || line.starts_with("$ ")) && line.ends_with('\\');
    }
    commands
}

/// Whether the output is the expected one, where a line `…` stands for any lines.
fn matches(expected: &[String], output: &str) -> bool {
    let lines: Vec<&str> = output.lines().map(str::trim_end).collect();
    fn from(expected: &[String], lines: &[&str]) -> bool {
        match expected.split_first() {
            None => lines.is_empty(),
            Some((any, rest)) if any == "…" => (0..=lines.len()).any(|skipped| from(rest, &lines[skipped..])),
            Some((line, rest)) => lines.first() == Some(&line.trim_end()) && from(rest, &lines[1..]),
        }
    }
    let end = expected.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let printed = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    from(&expected[..end], &lines[..printed])
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

/// Four IDX files as those of Fashion-MNIST, with a few images of noise.
fn fashion_mnist(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (split, count) in [("train", 64_u32), ("t10k", 32)] {
        let sizes = [0x803, count, 28, 28].map(u32::to_be_bytes).concat();
        let images = (0..count * 28 * 28).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8);
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), sizes.into_iter().chain(images).collect::<Vec<u8>>())
            .unwrap();
        let sizes = [0x801, count].map(u32::to_be_bytes).concat();
        let labels = (0..count).map(|i| (i % 10) as u8);
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), sizes.into_iter().chain(labels).collect::<Vec<u8>>())
            .unwrap();
    }
}

fn pages_in(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap().map(Result::unwrap) {
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found.extend(pages_in(&name));
        } else if name.ends_with(".md") {
            found.push(name);
        }
    }
    found.sort();
    found
}

fn runs(name: &str, at_least: usize) {
    let page = Page::run(name);
    assert!(page.wrong.is_empty(), "{}", page.wrong.join("\n"));
    assert!(page.ran >= at_least, "{name}: only {} commands were found", page.ran);
}

#[test]
fn the_tutorial_runs() {
    runs("docs/tutorial.md", 15);
}

#[test]
fn the_how_to_pages_run() {
    let pages = pages_in("docs/howto");
    assert!(pages.len() >= 6, "{pages:?}");
    for page in pages {
        // that of Rust is tested as the library's documentation is
        runs(&page, if page.ends_with("/rust.md") { 0 } else { 1 });
    }
}

#[test]
fn a_page_is_run_as_it_directs() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a\n…\nd\n"), "a\nb\nc\nd\n"));
    assert!(!matches(&lines("a\n…\nd\n"), "a\nb\nc\n"));
    assert!(!matches(&lines("a"), "a\nb"));
    let text = "```console\n$ one \\\n  two\nsaid\n$ three\n```\n";
    let Some(Part::Block(block)) = parts(text).pop() else { panic!() };
    let (first, second) = ((2, "one \\\n  two".to_owned(), lines("said")), (5, "three".to_owned(), vec![]));
    assert_eq!(commands(&block), [first, second]);
}

/// The test that `docs/howto/snapshot.md` quotes.
#[test]
fn the_graph_is_the_reviewed_one() {
    let network = Network::open("models/fashion.resnet", &CompileOptions::default()).expect("fashion.resnet has no errors");
    insta::assert_snapshot!(network.graph());
}

/// The pages whose links are tried, and that a reader may come from.
fn linking_pages() -> Vec<String> {
    let mut pages = pages_in("docs");
    pages.extend(pages_in("models"));
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/data/README.md"].map(str::to_owned));
    pages
}

/// The lines of a page that are text: outside of fences, and without spans of code.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((at + 1, line.to_owned()));
        }
    }
    lines
}

/// The targets of a line's links and images, `](target)`; spans of code hold none.
fn links(line: &str) -> Vec<String> {
    let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    plain.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The anchors of a page: those of its headings, numbered where they repeat.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let base = anchor(line.trim_start_matches('#').trim());
            let count = seen.entry(base.clone()).and_modify(|count| *count += 1).or_insert(0);
            if *count == 0 { base } else { format!("{base}-{count}") }
        })
        .collect()
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut whole, part| {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            part => whole.push(part),
        }
        whole
    })
}

#[test]
fn every_link_resolves() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for page in linking_pages() {
        let text = read(&page);
        for (line, target) in prose(&text).iter().flat_map(|(line, text)| links(text).into_iter().map(move |link| (*line, link)))
        {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            tried += 1;
            let (path, fragment) = target.split_once('#').map_or((target.as_str(), None), |(path, id)| (path, Some(id)));
            let path = match path {
                "" => PathBuf::from(&page),
                path => normal(&Path::new(&page).parent().unwrap().join(path)),
            };
            let there = Path::new(ROOT).join(&path);
            let known = match fragment {
                Some(id) if path.extension().is_some_and(|e| e == "md") => {
                    fs::read_to_string(&there).is_ok_and(|text| anchors(&text).contains(id))
                }
                _ => there.exists(),
            };
            if !known {
                wrong.push(format!("{page}:{line}: {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
    assert!(tried > 100, "only {tried} links were found");
}

#[test]
fn links_are_found_where_a_reader_sees_them() {
    assert_eq!(links("[a](b.md#c) and ![d](e.png), not `[f](g)`"), ["b.md#c", "e.png"]);
    assert_eq!(links("[`a`](b.md)"), ["b.md"]);
    assert_eq!(anchor("From an image to the network's input"), "from-an-image-to-the-networks-input");
    let text = "# One\n```text\n# no\n```\n## Two, too\n## One\n";
    assert_eq!(anchors(text), ["one", "one-1", "two-too"].map(str::to_owned).into());
}

#[test]
fn the_table_of_contents_lists_every_page_once() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<String> =
        prose(&summary).iter().flat_map(|(_, line)| links(line)).map(|link| format!("docs/{link}")).collect();
    let once: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let pages = pages_in("docs");
    let pages: BTreeSet<&String> = pages.iter().filter(|page| *page != "docs/SUMMARY.md").collect();
    assert_eq!(once, pages, "docs/SUMMARY.md lists the left, and docs holds the right");
}

/// A command's help, without the options that all commands have.
fn help(command: &str) -> String {
    let words = ["resnetc"].into_iter().chain(command.split(' ')).chain(["--help"]);
    let text = resnetc::internal::cli::parses(words).unwrap_err();
    let (mut out, mut leave) = (String::new(), false);
    for line in text.lines().skip_while(|line| !line.starts_with("Usage:")) {
        let heading = !line.is_empty() && !line.starts_with(' ');
        if heading || line.starts_with("  -") || line.starts_with("      --") {
            leave = line.starts_with("      --color") || line.starts_with("  -h, --help");
        }
        if !leave {
            out += line.trim_end();
            out.push('\n');
        }
    }
    while out.contains("\n\n\n") {
        out = out.replace("\n\n\n", "\n\n");
    }
    out.trim_end().to_owned() + "\n"
}

/// All commands: those of `export` and its like, which have commands of their own, in their place.
fn all_commands() -> Vec<String> {
    fn listed(words: &[&str]) -> Vec<String> {
        let help =
            resnetc::internal::cli::parses(["resnetc"].into_iter().chain(words.iter().copied()).chain(["--help"])).unwrap_err();
        let list = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
        let names = list.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
        names.filter(|name| *name != "help").map(str::to_owned).collect()
    }
    let mut all = Vec::new();
    for name in listed(&[]) {
        match &listed(&[&name])[..] {
            [] => all.push(name),
            inner => all.extend(inner.iter().map(|inner| format!("{name} {inner}"))),
        }
    }
    all
}

/// `RESNETC_WRITE_DOCS=1 cargo test --test project book::` writes the help texts.
#[test]
fn the_command_line_reference_has_a_section_for_each_command_with_its_help() {
    let page = read("docs/commands.md");
    let mut written = String::new();
    let mut sections = page.split("\n## resnetc ");
    written += sections.next().unwrap();
    let mut names = Vec::new();
    for section in sections {
        let (name, rest) = section.split_once('\n').unwrap();
        let (before, rest) = rest.split_once("<!-- help -->\n```console\n").unwrap_or_else(|| panic!("{name}: no help"));
        let (_, after) = rest.split_once("```\n").unwrap();
        written += &format!("\n## resnetc {name}\n{before}<!-- help -->\n```console\n{}```\n{after}", help(name));
        names.push(name.to_owned());
    }
    assert_eq!(names, all_commands(), "docs/commands.md has the left");
    if std::env::var_os("RESNETC_WRITE_DOCS").is_some() {
        fs::write(Path::new(ROOT).join("docs/commands.md"), written).unwrap();
    } else {
        assert!(page == written, "docs/commands.md: RESNETC_WRITE_DOCS=1 cargo test --test project book:: writes it");
    }
}

/// The index of error codes is the compiler's table.
#[test]
fn the_index_of_error_codes_is_complete() {
    let page = read("docs/errors.md");
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| [")).collect();
    let row = |info: &CodeInfo| format!("| [{0}](errors/{0}.md) | {1} |", info.code.0, info.title);
    let known: Vec<String> = codes::ALL.iter().map(row).collect();
    assert_eq!(listed, known, "docs/errors.md has the left");
}

/// The numbers of the page of benchmarks are those of the pages that it gathers them from: each row's stand in one line there.
#[test]
fn benchmarks_are_those_of_the_other_pages() {
    let numbers = |line: &str| -> Vec<String> {
        // without the first cell, which says what was measured, and without commands
        let plain: String = line.splitn(3, '|').nth(2).unwrap_or_default().split('`').step_by(2).collect();
        let words = plain.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.').to_owned());
        words.filter(|word| !word.is_empty()).collect()
    };
    let sources = ["README.md", "docs/runtime.md", "docs/training.md", "docs/evaluation.md"].map(read).join("\n");
    let rows: Vec<Vec<String>> = sources.lines().filter(|line| line.starts_with('|')).map(numbers).collect();
    let mut compared = 0;
    for line in read("docs/benchmarks.md").lines().filter(|line| line.starts_with('|')) {
        let own = numbers(line);
        let found = |row: &Vec<String>| own.iter().all(|number| row.contains(number));
        assert!(rows.iter().any(found), "no other page has {own:?}: {line}");
        compared += own.len();
    }
    assert!(compared > 60, "{compared}");
}
