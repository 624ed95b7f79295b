//! Random structured networks for the decompiler, as source: nested scopes, children of different kinds, different arguments for each
//! instance, parallel paths.
//!
//! A design consists of a few templates and a body that uses them. Each instance is written as a labeled block without parameters, so
//! that the graph is like that of a PyTorch module: it does not show which instances share a template.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Filters of a convolution.
#[derive(Clone, Copy, Debug)]
pub enum Width {
    Fixed(usize),
    /// An argument of the instance, multiplied by this.
    Arg(usize, usize),
    /// Those of its input.
    Same,
    /// Those of the block's input.
    Input,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Dense,
    Depthwise,
    Biased,
}

/// How paths that join are written.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// The first on the current value, the others as branches.
    Branch,
    Parallel,
}

#[derive(Clone, Copy, Debug)]
pub struct Args {
    pub widths: [usize; 2],
    pub stride: usize,
    pub kernel: usize,
}

/// The index of a template, and the arguments of an instance.
pub type Use = (usize, Args);

#[derive(Clone, Debug)]
pub enum Step {
    /// A convolution, whose kernel size and stride may be arguments of the instance, with the operators after it and its label.
    Conv {
        kind: Kind,
        width: Width,
        kernel: Option<usize>,
        strided: bool,
        norm: bool,
        act: Option<&'static str>,
        label: Option<&'static str>,
    },
    /// An operator without arguments, or with fixed ones.
    Plain(&'static str),
    /// A squeeze-and-excitation gate of this width.
    Gate {
        width: Width,
        how: How,
    },
    Join {
        word: &'static str,
        how: How,
        arms: Vec<Vec<Step>>,
    },
    Scope {
        name: &'static str,
        body: Vec<Step>,
    },
    /// Numbered layers.
    Sequence {
        name: &'static str,
        widths: Vec<Width>,
    },
    Call {
        name: &'static str,
        unit: Use,
    },
    /// Numbered instances with a common name.
    Stack {
        name: &'static str,
        units: Vec<Use>,
    },
    /// The current value, or a path from it, is an output.
    Output {
        path: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Template {
    /// Whether its first path is residual, and the policy of the shortcut.
    pub shortcut: Option<&'static str>,
    /// Whether the path begins with a batch norm and a ReLU, which a projection reads.
    pub before: bool,
    pub path: Vec<Step>,
    pub after: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Design {
    pub templates: Vec<Template>,
    pub body: Vec<Step>,
}

/// A design as source, and its features.
#[derive(Clone, Debug)]
pub struct Case {
    pub text: String,
    /// At least two nested scopes.
    pub nested: bool,
    /// A scope with children of two templates.
    pub unlike: bool,
    /// A template with two instances with different arguments.
    pub varied: bool,
    /// Paths that fork and join.
    pub branches: bool,
    /// The scopes of instances whose body occurs more than once in the network.
    pub repeated: Vec<String>,
    lines: usize,
}

impl Case {
    pub fn features(&self) -> usize {
        [self.nested, self.unlike, self.varied, self.branches].into_iter().filter(|&f| f).count()
    }
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![
        2 => select(&[4usize, 6, 8][..]).prop_map(Width::Fixed),
        4 => (0usize..2, 1usize..=2).prop_map(|(arg, times)| Width::Arg(arg, times)),
        2 => Just(Width::Same),
        2 => Just(Width::Input),
    ]
}

fn args() -> impl Strategy<Value = Args> {
    let width = || select(&[4usize, 8, 12][..]);
    ([width(), width()], 1usize..=2, select(&[1usize, 3, 3][..])).prop_map(|(widths, stride, kernel)| Args {
        widths,
        stride,
        kernel,
    })
}

fn conv() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![6 => Just(Kind::Dense), 2 => Just(Kind::Depthwise), 1 => Just(Kind::Biased)];
    let kernel = prop_oneof![Just(Some(1usize)), Just(Some(3)), Just(None)];
    let act = select(&[None, Some("relu"), Some("relu"), Some("sigmoid"), Some("clamp min: 0, max: 6")][..]);
    let label = select(&[None, None, None, Some("expand"), Some("dw"), Some("project")][..]);
    (kind, width(), kernel, any::<bool>(), any::<bool>(), act, label).prop_map(
        |(kind, width, kernel, strided, norm, act, label)| Step::Conv { kind, width, kernel, strided, norm, act, label },
    )
}

fn how() -> impl Strategy<Value = How> {
    select(&[How::Branch, How::Parallel][..])
}

/// Steps of a template, with paths and scopes nested up to this depth.
fn step(depth: u32) -> BoxedStrategy<Step> {
    let plain = select(
        &[
            "relu",
            "batchnorm",
            "sigmoid",
            "maxpool 3x3, stride: 1",
            "apply 0.5 * x + 1",
            "gelu",
            "leaky_relu negative_slope: 0.2",
            "dropout 0.2",
        ][..],
    );
    let sequence =
        (select(&["layers", "mlp"][..]), vec(width(), 1..4)).prop_map(|(name, widths)| Step::Sequence { name, widths });
    let leaf = prop_oneof![
        8 => conv(),
        2 => plain.prop_map(Step::Plain),
        2 => (width(), how()).prop_map(|(width, how)| Step::Gate { width, how }),
        1 => sequence,
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = move || vec(step(depth - 1), 0..4);
    let join = (select(&["add", "mul", "concat", "concat"][..]), how(), vec(inner(), 2..4))
        .prop_map(|(word, how, arms)| Step::Join { word, how, arms });
    let scope = (select(&["body", "branch", "attn", "conv_block"][..]), vec(step(depth - 1), 1..4))
        .prop_map(|(name, body)| Step::Scope { name, body });
    let call = (select(&["inner", "unit", "down"][..]), unit()).prop_map(|(name, unit)| Step::Call { name, unit });
    prop_oneof![10 => leaf, 2 => join, 1 => scope, 2 => call].boxed()
}

fn unit() -> impl Strategy<Value = Use> {
    (0usize..4, args())
}

fn template() -> impl Strategy<Value = Template> {
    let shortcut = select(
        &[None, None, Some("identity"), Some("projection"), Some("projection"), Some("projection(when: always)"), Some("pad")][..],
    );
    let after = select(&[None, None, Some("relu"), Some("clamp min: 0, max: 6")][..]);
    (shortcut, prop::bool::weighted(0.2), vec(step(2), 1..5), after).prop_map(|(shortcut, before, path, after)| Template {
        shortcut,
        before,
        path,
        after,
    })
}

/// A part of the network's body.
fn part(depth: u32) -> BoxedStrategy<Step> {
    let name = || select(&["layer", "blocks", "features", "stage", "trunk"][..]);
    let stack = (name(), vec(unit(), 1..5)).prop_map(|(name, units)| Step::Stack { name, units });
    let call = (select(&["entry", "middle", "neck"][..]), unit()).prop_map(|(name, unit)| Step::Call { name, unit });
    let leaf = prop_oneof![6 => stack, 3 => call, 2 => conv(), 1 => any::<bool>().prop_map(|path| Step::Output { path })];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = move || vec(part(depth - 1), 0..3);
    let join =
        (select(&["add", "concat"][..]), how(), vec(inner(), 2..4)).prop_map(|(word, how, arms)| Step::Join { word, how, arms });
    let scope = (name(), vec(part(depth - 1), 1..4)).prop_map(|(name, body)| Step::Scope { name, body });
    prop_oneof![6 => leaf, 1 => join, 3 => scope].boxed()
}

/// Networks with at least two of the features, and a body that occurs more than once.
pub fn case() -> impl Strategy<Value = Case> {
    (vec(template(), 1..5), vec(part(2), 2..5))
        .prop_map(|(templates, body)| Writer::write(&Design { templates, body }))
        .prop_filter("too plain, or too long", |case| case.features() >= 2 && !case.repeated.is_empty() && case.lines < 400)
}

/// The current value.
#[derive(Clone, Copy)]
struct At {
    channels: usize,
    size: usize,
}

/// The state while a body is written: its lines, its labels, the current shortcut policy.
struct Body {
    text: String,
    labels: HashSet<String>,
    policy: Option<String>,
    args: Args,
    /// The channels of the block's input.
    input: usize,
    /// The scopes around it.
    prefix: Vec<String>,
    /// Whether it is the network's own, outside any path.
    top: bool,
    /// The first template that it may use: those after its own.
    level: usize,
}

impl Body {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn label(&mut self, wanted: &str) -> String {
        let numbers = std::iter::once(wanted.to_string()).chain((2..).map(|n| format!("{wanted}{n}")));
        let label = numbers.into_iter().find(|label| !self.labels.contains(label)).unwrap();
        self.labels.insert(label.clone());
        label
    }
}

struct Writer<'d> {
    design: &'d Design,
    blocks: Vec<String>,
    outputs: usize,
    nested: bool,
    unlike: bool,
    branches: bool,
    /// By template: the arguments of its instances.
    used: HashMap<usize, HashSet<String>>,
    /// The scope of each block, and its body without numbers, with those of the blocks in it.
    bodies: Vec<(String, String)>,
    lines: usize,
}

impl Writer<'_> {
    fn write(design: &Design) -> Case {
        let mut writer = Writer {
            design,
            blocks: Vec::new(),
            outputs: 0,
            nested: false,
            unlike: false,
            branches: false,
            used: HashMap::new(),
            bodies: Vec::new(),
            lines: 0,
        };
        let args = Args { widths: [8, 4], stride: 1, kernel: 3 };
        let mut body = Body {
            text: String::new(),
            labels: HashSet::new(),
            policy: None,
            args,
            input: 3,
            prefix: Vec::new(),
            top: true,
            level: 0,
        };
        body.line("input 3 x 8 x 8\nconv 3x3, filters: 8\nbatchnorm\nrelu");
        writer.steps(&design.body, At { channels: 8, size: 8 }, &mut body, true);
        body.line("avgpool global\nlinear 5");
        let text = format!("resnet 1\n{}network net {{\n{}}}\n", writer.blocks.concat(), body.text);
        let mut count: HashMap<&str, usize> = HashMap::new();
        writer.bodies.iter().for_each(|(_, body)| *count.entry(body).or_default() += 1);
        let long = |body: &str| body.lines().count() > 2;
        let repeated =
            writer.bodies.iter().filter(|(_, body)| long(body) && count[&body[..]] > 1).map(|(scope, _)| scope.clone());
        Case {
            nested: writer.nested,
            unlike: writer.unlike,
            varied: writer.used.values().any(|args| args.len() > 1),
            branches: writer.branches,
            repeated: repeated.collect(),
            lines: text.lines().count(),
            text,
        }
    }

    fn steps(&mut self, steps: &[Step], mut at: At, body: &mut Body, strides: bool) -> At {
        self.lines += steps.len();
        let mut templates = HashSet::new();
        for step in steps {
            // a design with everything may be long
            if self.lines > 400 {
                break;
            }
            at = self.step(step, at, body, strides);
            if let Step::Call { unit: (template, _), .. } = step {
                templates.extend(self.template(*template, body));
            }
        }
        self.unlike |= templates.len() > 1;
        at
    }

    /// The template to use here: only those after the body's own, so that the recursion ends.
    fn template(&self, template: usize, body: &Body) -> Option<usize> {
        Some(body.level + template.checked_rem(self.design.templates.len() - body.level)?)
    }

    fn filters(&self, width: Width, at: At, body: &Body) -> usize {
        match width {
            Width::Fixed(n) => n,
            Width::Arg(arg, times) => body.args.widths[arg] * times,
            Width::Same => at.channels.min(48),
            Width::Input => body.input.min(48),
        }
    }

    fn step(&mut self, step: &Step, at: At, body: &mut Body, strides: bool) -> At {
        match step {
            Step::Conv { kind, width, kernel, strided, norm, act, label } => {
                let kernel = kernel.unwrap_or(body.args.kernel);
                let stride = if *strided && strides && at.size > 2 { body.args.stride } else { 1 };
                let (filters, rest) = match kind {
                    Kind::Dense => (self.filters(*width, at, body), String::new()),
                    Kind::Depthwise => (at.channels, format!(", groups: {}", at.channels)),
                    Kind::Biased => (self.filters(*width, at, body), ", bias: true".to_string()),
                };
                let label = label.map(|label| format!(" as {}", body.label(label))).unwrap_or_default();
                body.line(&format!("conv {kernel}x{kernel}, filters: {filters}, stride: {stride}{rest}{label}"));
                if *norm {
                    body.line("batchnorm");
                }
                if let Some(act) = act {
                    body.line(act);
                }
                At { channels: filters, size: at.size.div_ceil(stride) }
            }
            Step::Plain(line) => {
                body.line(line);
                at
            }
            Step::Gate { width, how } => {
                self.branches = true;
                let filters = self.filters(*width, at, body);
                let gate = format!(
                    "avgpool global\nconv 1x1, filters: {filters}, bias: true as fc1\nrelu\n\
                     conv 1x1, filters: {}, bias: true as fc2\nsigmoid\n",
                    at.channels
                );
                let label = body.label("se");
                // labels inside a branch belong to the body
                let gate = gate.replace("fc1", &body.label("fc1")).replace("fc2", &body.label("fc2"));
                match how {
                    How::Branch => body.line(&format!("branch {label} {{\n{gate}}}\nmul {label}")),
                    How::Parallel => body.line(&format!("parallel mul {{\nsame {{ }}\n{label} {{\n{gate}}}\n}}")),
                }
                at
            }
            Step::Join { word, how, arms } => self.join(word, *how, arms, at, body),
            Step::Scope { name, body: steps } => {
                let name = body.label(name);
                let same = (body.args, body.input, body.level);
                self.block(&name, at, body, same, |this, inner| this.steps(steps, at, inner, strides))
            }
            Step::Sequence { name, widths } => {
                let mut at = at;
                let name = body.label(name);
                body.line(&format!("sequential {name} {{"));
                for width in widths {
                    let filters = self.filters(*width, at, body);
                    body.line(&format!("conv 1x1, filters: {filters}\nbatchnorm\nrelu"));
                    at.channels = filters;
                }
                body.line("}");
                at
            }
            Step::Call { name, unit } => {
                let name = body.label(name);
                self.instance(&name, *unit, at, body, strides)
            }
            Step::Stack { name, units } => {
                let name = body.label(name);
                let same = (body.args, body.input, body.level);
                let templates: HashSet<usize> = units.iter().filter_map(|(t, _)| self.template(*t, body)).collect();
                self.unlike |= templates.len() > 1;
                self.block(&name, at, body, same, |this, inner| {
                    let mut at = at;
                    for (number, unit) in units.iter().enumerate() {
                        at = this.instance(&number.to_string(), *unit, at, inner, strides);
                    }
                    at
                })
            }
            Step::Output { path } => {
                if !body.top || self.outputs > 1 {
                    return at;
                }
                self.outputs += 1;
                let name = format!("out{}", self.outputs);
                if *path {
                    let label = body.label("aux");
                    body.line(&format!(
                        "branch {label} {{\nconv 1x1, filters: 4\nrelu\navgpool global\nlinear 3\n}}\noutput {name} from {label}"
                    ));
                } else {
                    body.line(&format!("output {name}"));
                }
                at
            }
        }
    }

    /// A block without parameters, used once under a label.
    fn block(
        &mut self,
        name: &str,
        at: At,
        outer: &mut Body,
        (args, input, level): (Args, usize, usize),
        write: impl FnOnce(&mut Self, &mut Body) -> At,
    ) -> At {
        let prefix: Vec<String> = outer.prefix.iter().cloned().chain([name.to_string()]).collect();
        self.nested |= prefix.len() > 1;
        let policy = outer.policy.clone();
        let mut body = Body { text: String::new(), labels: HashSet::new(), policy, args, input, prefix, top: false, level };
        let to = write(self, &mut body);
        if body.text.is_empty() {
            return at;
        }
        let number = self.blocks.len();
        self.blocks.push(format!("block b{number} {{\n{}}}\n", body.text));
        let mut shape = String::new();
        for line in body.text.lines().filter(|line| !line.starts_with("shortcut: ")) {
            let inner =
                line.strip_prefix('b').and_then(|l| l.split_once(" as ")).and_then(|(n, l)| Some((n.parse::<usize>().ok()?, l)));
            match inner {
                Some((number, label)) => writeln!(shape, "{label} {{\n{}}}", self.bodies[number].1).unwrap(),
                None => writeln!(shape, "{line}").unwrap(),
            }
        }
        shape.retain(|c| !c.is_ascii_digit());
        self.bodies.push((body.prefix.join("."), shape));
        outer.line(&format!("b{number} as \"{name}\""));
        to
    }

    fn instance(&mut self, name: &str, (template, args): Use, at: At, outer: &mut Body, strides: bool) -> At {
        let Some(template) = self.template(template, outer) else { return at };
        let level = template + 1;
        let it = &self.design.templates[template];
        self.used.entry(template).or_default().insert(format!("{args:?}"));
        let mut policy = it.shortcut.map(str::to_string);
        let before = policy.clone();
        let to = {
            // whether the policy fits depends on the output of the path
            let mut probe = self.probe();
            let mut scrap = Body {
                text: String::new(),
                labels: HashSet::new(),
                policy: None,
                args,
                input: at.channels,
                prefix: outer.prefix.clone(),
                top: false,
                level,
            };
            let to = probe.steps(&it.path, at, &mut scrap, strides);
            if scrap.text.is_empty() {
                policy = None;
            }
            to
        };
        let same = to.channels == at.channels && to.size == at.size;
        match before.as_deref() {
            Some("identity") if !same => policy = policy.map(|_| "projection".to_string()),
            Some("pad") if to.channels < at.channels => policy = policy.map(|_| "projection".to_string()),
            _ => {}
        }
        if let Some(policy) = &policy {
            self.branches = true;
            if outer.policy.as_ref() != Some(policy) {
                outer.line(&format!("shortcut: {policy}"));
                outer.policy = Some(policy.clone());
            }
        }
        let residual = policy.is_some();
        self.block(name, at, outer, (args, at.channels, level), |this, body| {
            if it.before && residual {
                let pre = body.label("pre");
                body.line(&format!("batchnorm\nrelu as {pre}"));
            }
            let to = this.steps(&it.path, at, body, strides);
            if let Some(policy) = &policy {
                // a nested block may have changed it
                if body.policy.as_ref() != Some(policy) {
                    body.line(&format!("shortcut: {policy}"));
                }
                body.line(if it.before { "add shortcut, project_from: pre" } else { "add shortcut" });
            }
            if let Some(after) = it.after {
                body.line(after);
            }
            to
        })
    }

    fn join(&mut self, word: &str, how: How, arms: &[Vec<Step>], at: At, body: &mut Body) -> At {
        self.branches = true;
        let arms = if word == "mul" { &arms[..2] } else { arms };
        let word = if at.channels > 64 { "add" } else { word };
        let top = std::mem::replace(&mut body.top, false);
        let mut texts: Vec<(String, At)> = Vec::new();
        let mut labels = Vec::new();
        for (slot, arm) in arms.iter().enumerate() {
            let whole = std::mem::take(&mut body.text);
            // if a path changes the policy, later statements declare their own
            body.policy = None;
            let label = match (how, slot) {
                (How::Branch, 0) => None,
                (How::Branch, _) => Some(body.label("side")),
                (How::Parallel, _) => Some(body.label("path")),
            };
            body.prefix.extend(label.clone());
            let to = self.steps(arm, at, body, false);
            if label.is_some() {
                body.prefix.pop();
            }
            labels.extend(label);
            texts.push((std::mem::replace(&mut body.text, whole), to));
        }
        (body.top, body.policy) = (top, None);
        if word == "mul" {
            // nested products grow without bound
            texts[1].0.push_str("sigmoid\n");
        }
        // one of the paths may be empty
        let mut empty = 0;
        for (text, _) in &mut texts {
            if text.is_empty() {
                empty += 1;
                if empty > 1 {
                    text.push_str("relu\n");
                }
            }
        }
        let wanted = if empty > 0 { at.channels } else { texts[0].1.channels };
        if word != "concat" {
            for (text, to) in texts.iter_mut().filter(|(_, to)| to.channels != wanted) {
                writeln!(text, "conv 1x1, filters: {wanted}").unwrap();
                to.channels = wanted;
            }
        }
        match how {
            How::Parallel => {
                body.line(&format!("parallel {word} {{"));
                for ((text, _), label) in texts.iter().zip(&labels) {
                    body.line(&format!("{label} {{\n{text}}}"));
                }
                body.line("}");
            }
            How::Branch => {
                for ((text, _), label) in texts[1..].iter().zip(&labels) {
                    body.line(&format!("branch {label} {{\n{text}}}"));
                }
                body.text.push_str(&texts[0].0);
                body.line(&format!("{word} {}", labels.join(", ")));
            }
        }
        let channels = if word == "concat" { texts.iter().map(|(_, to)| to.channels).sum() } else { wanted };
        At { channels, ..at }
    }

    /// A writer whose text is discarded.
    fn probe(&self) -> Self {
        Writer {
            design: self.design,
            blocks: Vec::new(),
            outputs: 0,
            nested: false,
            unlike: false,
            branches: false,
            used: HashMap::new(),
            bodies: Vec::new(),
            lines: self.lines,
        }
    }
}
