//! Loads a program: the file and everything it uses, each file once.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::division;
use super::foreign;
use super::function::primitive::Primitive;
use super::function::signature::Signature;
use super::operators;
use super::suggest::nearest;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::file::ARTIFACT_MAGIC;
use crate::base::file_system::FileSystem;
use crate::base::source::{SourceFile, SourceMap, Span};
use crate::syntax::{self, ast};

/// The standard library, embedded in the binary.
const STD: &[(&str, &str)] = &[
    ("std.blocks", include_str!("../../models/std/blocks.resnet")),
    ("std.layers", include_str!("../../models/std/layers.resnet")),
    (PRELUDE, syntax::prelude::TEXT),
];

/// The library whose functions every file has, without `use`. A definition of a file with the same name takes precedence.
const PRELUDE: &str = "std.activations";

/// The maximum number of files in a program.
const MAX_FILES: usize = 256;

/// The maximum number of arguments of a call, and of parameters of a declaration.
pub(super) const MAX_ARGUMENTS: usize = 256;

/// A block, network or function of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DefId(pub(super) usize);

/// The definition of a [`DefId`].
#[derive(Clone, Debug)]
pub(super) enum Def {
    /// A block.
    Block(Arc<ast::Block>),
    /// A network.
    Network(Arc<ast::Network>),
    /// An elementwise function.
    Function(Arc<ast::Function>),
}

impl Def {
    pub(super) fn name(&self) -> &ast::Ident {
        match self {
            Def::Block(block) => &block.name,
            Def::Network(network) => &network.name,
            Def::Function(function) => &function.name,
        }
    }

    pub(super) fn params(&self) -> &[ast::Param] {
        match self {
            Def::Block(block) => &block.params,
            Def::Network(network) => &network.params,
            Def::Function(function) => &function.params,
        }
    }

    pub(super) fn body(&self) -> &[ast::Stmt] {
        match self {
            Def::Block(block) => &block.body,
            Def::Network(network) => &network.body,
            Def::Function(_) => &[],
        }
    }

    pub(super) fn span(&self) -> Span {
        match self {
            Def::Block(block) => block.span,
            Def::Network(network) => network.span,
            Def::Function(function) => function.span,
        }
    }

    /// Whether parts of it are missing because of a syntax error.
    pub(super) fn is_damaged(&self) -> bool {
        match self {
            Def::Block(block) => block.damaged,
            Def::Network(network) => network.damaged,
            Def::Function(function) => function.value.is_none(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Def::Block(_) => "block",
            Def::Network(_) => "network",
            Def::Function(_) => "function",
        }
    }
}

/// A file with its visible names.
#[derive(Debug)]
pub(super) struct Module {
    /// Whether it is embedded in the binary (the standard library).
    pub(super) is_std: bool,
    /// Its path, for relative paths in it.
    path: Option<PathBuf>,
    /// Names that are defined or imported here.
    pub(super) scope: HashMap<String, DefId>,
    /// Names defined here, in order.
    pub(super) own: Vec<DefId>,
    /// Imported names with their spans, for the unused-import lint. A `use` without names is not included.
    pub(super) imported: Vec<ast::Ident>,
    /// Whether parts of it are missing because of syntax errors.
    pub(super) damaged: bool,
}

/// A loaded program with resolved names, from which networks can be elaborated.
#[derive(Debug)]
pub struct Program {
    pub(super) modules: Vec<Module>,
    /// Definitions with their modules.
    pub(super) defs: Vec<(Def, usize)>,
    /// The module of the root file.
    pub(super) root: usize,
    /// What each function takes; `None` if it has an error.
    pub(super) functions: HashMap<DefId, Option<Arc<Signature>>>,
    /// The modules of the standard library.
    std: Vec<usize>,
    /// The one whose functions every file has.
    prelude: usize,
    /// Where files are read from.
    files: Arc<dyn FileSystem>,
}

impl Program {
    /// Reads a file and everything it uses.
    pub(super) fn read(
        path: &Path,
        files: Arc<dyn FileSystem>,
        sources: &mut SourceMap,
        diags: &mut Vec<Diagnostic>,
    ) -> Result<Program, ReadError> {
        let text = read(&*files, path)?;
        let file = SourceFile { name: path.display().to_string(), path: Some(path.to_path_buf()), text: text.into() };
        Ok(Program::read_source(file, files, sources, diags))
    }

    /// The same from a text.
    pub(super) fn read_source(
        file: SourceFile,
        files: Arc<dyn FileSystem>,
        sources: &mut SourceMap,
        diags: &mut Vec<Diagnostic>,
    ) -> Program {
        let key = file.path.as_ref().map_or(Key::Text, |path| Key::Path(files.canonical(path)));
        let mut loader = Loader {
            program: Program {
                modules: Vec::new(),
                defs: Vec::new(),
                root: 0,
                functions: HashMap::new(),
                std: Vec::new(),
                prelude: 0,
                files,
            },
            sources,
            diags,
            done: HashMap::new(),
            whole: HashSet::new(),
            open: Vec::new(),
        };
        let root = loader.module(key, file);
        loader.program.root = root;
        // projections use a standard block even if the file imports nothing
        loader.std("std.blocks");
        loader.program.prelude = loader.std(PRELUDE).unwrap_or(root);
        loader.program
    }

    /// All definitions, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = DefId> {
        (0..self.defs.len()).map(DefId)
    }

    /// The functions that every file has.
    pub(super) fn prelude_functions(&self) -> impl Iterator<Item = DefId> {
        self.modules[self.prelude].own.iter().copied().filter(|&id| matches!(self.def(id), Def::Function(_)))
    }

    /// One of these.
    pub(super) fn prelude(&self, name: &str) -> Option<DefId> {
        self.modules[self.prelude].scope.get(name).copied().filter(|&id| self.module_of(id) == self.prelude)
    }

    pub(super) fn def(&self, id: DefId) -> &Def {
        &self.defs[id.0].0
    }

    pub(super) fn module_of(&self, id: DefId) -> usize {
        self.defs[id.0].1
    }

    /// Where files are read from.
    pub fn files(&self) -> &dyn FileSystem {
        &*self.files
    }

    /// The path that `path` refers to in a module.
    pub(super) fn resolve(&self, module: usize, path: &str) -> PathBuf {
        self.files.resolve(self.modules[module].path.as_deref(), path)
    }

    /// Files that networks refer to: those of `labels` and of the `preprocess` mean.
    pub fn named_files(&self) -> Vec<PathBuf> {
        let path = |expr: &ast::Expr| match &expr.kind {
            ast::ExprKind::Str(path) => Some(path.clone()),
            _ => None,
        };
        let mut list = Vec::new();
        for (def, module) in &self.defs {
            let Def::Network(network) = def else { continue };
            let path = |expr| path(expr).map(|path| self.resolve(*module, &path));
            list.extend(network.body.iter().flat_map(|stmt| match &stmt.kind {
                ast::StmtKind::Labels(expr) => path(expr).into_iter().collect(),
                ast::StmtKind::Preprocess(args) => args.iter().filter_map(|arg| path(&arg.value)).collect::<Vec<_>>(),
                _ => Vec::new(),
            }));
        }
        list
    }

    /// A block of the standard library.
    pub(super) fn std_block(&self, name: &str) -> Option<DefId> {
        let of = |&module: &usize| self.modules[module].scope.get(name).copied();
        self.std.iter().find_map(of).filter(|&id| matches!(self.def(id), Def::Block(_)))
    }
}

/// The embedded library that declares a block or function of this name.
pub(super) fn library_of(name: &str) -> Option<&'static str> {
    let declares = |line: &str| {
        let rest = line.strip_prefix("block ").or_else(|| line.strip_prefix("elementwise "));
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with(['(', ' ']))
    };
    STD.iter().find(|(_, text)| text.lines().any(declares)).map(|(library, _)| *library)
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The I/O error.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Exceeds the size limit.
    #[error("{} is larger than {} MiB, the limit for a source", path.display(), syntax::MAX_SOURCE >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// An artifact where a source is expected.
    #[error("{} is an artifact, which `run`, `eval`, `bench`, `export` and `view` accept; this command needs a source (.resnet)", path.display())]
    Artifact {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8 text.
    #[error("{} is not a source: it is not UTF-8 text (invalid byte at offset {at})", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Offset of the first bad byte.
        at: usize,
    },
}

/// Reads a text file of bounded size.
pub(super) fn read(files: &dyn FileSystem, path: &Path) -> Result<String, ReadError> {
    let io = |source| ReadError::Io { path: path.to_path_buf(), source };
    let bytes = files.read(path, syntax::MAX_SOURCE).map_err(io)?;
    if bytes.len() > syntax::MAX_SOURCE {
        return Err(ReadError::TooLarge { path: path.to_path_buf() });
    }
    if bytes.starts_with(ARTIFACT_MAGIC) {
        return Err(ReadError::Artifact { path: path.to_path_buf() });
    }
    String::from_utf8(bytes).map_err(|e| ReadError::NotText { path: path.to_path_buf(), at: e.utf8_error().valid_up_to() })
}

/// A file's identity, so that a file is read once even under two paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Std(String),
    Path(PathBuf),
    Text,
}

struct Loader<'a> {
    program: Program,
    sources: &'a mut SourceMap,
    diags: &'a mut Vec<Diagnostic>,
    done: HashMap<Key, usize>,
    /// Wildcard imports: which file imports all of which.
    whole: HashSet<(usize, usize)>,
    /// The stack of files being read, each used by the previous one, to detect cycles.
    open: Vec<(Key, String)>,
}

impl Loader<'_> {
    fn module(&mut self, key: Key, source: SourceFile) -> usize {
        let path = source.path.clone();
        let name = source.name.clone();
        let text = source.text.clone();
        let file = self.sources.add(source);
        let (tree, mut found) = syntax::parse(file, &text);
        self.diags.append(&mut found);
        if !matches!(key, Key::Std(_)) {
            division::run(&tree, &text, self.diags);
        }

        let index = self.program.modules.len();
        let module = Module {
            is_std: matches!(key, Key::Std(_)),
            path,
            scope: HashMap::new(),
            own: Vec::new(),
            imported: Vec::new(),
            damaged: tree.damaged,
        };
        self.program.modules.push(module);
        self.open.push((key.clone(), name));
        self.done.insert(key, index);
        for item in tree.items {
            match item {
                ast::Item::Use(item) => self.import(index, item),
                ast::Item::Block(block) => self.define(index, Def::Block(Arc::new(block))),
                ast::Item::Network(network) => self.define(index, Def::Network(Arc::new(network))),
                ast::Item::Function(function) => self.define(index, Def::Function(Arc::new(function))),
            }
        }
        self.open.pop();
        index
    }

    fn define(&mut self, module: usize, def: Def) {
        let name = def.name().clone();
        let id = DefId(self.program.defs.len());
        if let Some(&earlier) = self.program.modules[module].scope.get(&name.node) {
            let there = self.program.def(earlier).name().span;
            let text = if self.program.module_of(earlier) == module { "first defined here" } else { "and imported from here" };
            self.diags.push(
                Diagnostic::error(codes::DUPLICATE_NAME, format!("`{}` is defined twice", name.node), name.span, "defined again")
                    .label(there, text)
                    .rule("names in a file are unique"),
            );
            return;
        }
        let rule = match &def {
            Def::Block(_) if operators::is_reserved(&name.node) => Some("a block cannot be named like an operator or keyword"),
            Def::Function(_) if self.program.modules[module].is_std => None,
            Def::Function(_) if operators::is_reserved(&name.node) => {
                Some("a function cannot be named like an operator or keyword")
            }
            Def::Function(_) if Primitive::find(&name.node).is_some() => {
                Some("every expression can call a function of this name")
            }
            Def::Block(_) | Def::Network(_) | Def::Function(_) => None,
        };
        if let Some(rule) = rule {
            let message = format!("`{}` is a reserved word", name.node);
            let diag = Diagnostic::error(codes::RESERVED_NAME, message, name.span, "choose another name");
            self.diags.push(diag.rule(rule));
            return;
        }
        if let Some(extra) = def.params().get(MAX_ARGUMENTS) {
            let message = format!("more than {} parameters", MAX_ARGUMENTS);
            self.diags.push(Diagnostic::error(codes::TOO_LARGE, message, extra.name.span, "one too many"));
            return;
        }
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for param in def.params() {
            if let Some(first) = seen.insert(&param.name.node, param.name.span) {
                let message = format!("two parameters are called `{}`", param.name.node);
                self.diags.push(
                    Diagnostic::error(codes::DUPLICATE_NAME, message, param.name.span, "the second one")
                        .label(first, "the first"),
                );
            }
        }
        self.program.defs.push((def, module));
        self.program.modules[module].scope.insert(name.node, id);
        self.program.modules[module].own.push(id);
    }

    fn std(&mut self, name: &str) -> Option<usize> {
        let key = Key::Std(name.to_string());
        if let Some(&index) = self.done.get(&key) {
            return Some(index);
        }
        let (name, text) = STD.iter().find(|(n, _)| *n == name)?;
        let index = self.module(key, SourceFile { name: (*name).to_string(), path: None, text: (*text).into() });
        self.program.std.push(index);
        Some(index)
    }

    fn import(&mut self, into: usize, item: ast::Use) {
        let Some(from) = self.find(into, &item.from) else { return };
        let wanted: Vec<(ast::Ident, DefId)> = if item.names.is_empty() {
            if !self.whole.insert((into, from)) {
                return;
            }
            let span = item.from.ident().span;
            let own = self.program.modules[from].own.iter();
            own.map(|&id| (ast::Spanned { node: self.program.def(id).name().node.clone(), span }, id)).collect()
        } else {
            let mut found = Vec::new();
            for name in &item.names {
                let there = self.program.modules[from].scope.get(&name.node).copied();
                match there.filter(|&id| self.program.module_of(id) == from) {
                    Some(id) => found.push((name.clone(), id)),
                    None => {
                        let own = self.program.modules[from].own.iter();
                        let offered: Vec<&str> = own.map(|&id| self.program.def(id).name().node.as_str()).take(2000).collect();
                        let place = item.from.ident().node.clone();
                        let mut diag = Diagnostic::error(
                            codes::NO_SUCH_IMPORT,
                            format!("`{place}` has no `{}`", name.node),
                            name.span,
                            "not found there",
                        );
                        if let Some(own) = foreign::block(&name.node).filter(|own| offered.contains(own)) {
                            diag = diag.fix(format!("write `{own}`"), name.span, own);
                        } else if let Some(near) = nearest(&name.node, offered.iter().copied()) {
                            diag = diag.fix(format!("did you mean `{near}`?"), name.span, near);
                        } else {
                            let list: Vec<_> = offered.iter().take(20).map(|n| format!("`{n}`")).collect();
                            diag =
                                diag.note(format!("it has {}", if list.is_empty() { "nothing".into() } else { list.join(", ") }));
                        }
                        self.diags.push(diag);
                    }
                }
            }
            found
        };
        for (name, id) in wanted {
            let module = &mut self.program.modules[into];
            match module.scope.get(&name.node) {
                Some(&earlier) if earlier != id => {
                    let there = self.program.def(earlier).name().span;
                    self.diags.push(
                        Diagnostic::error(
                            codes::DUPLICATE_NAME,
                            format!("`{}` is defined twice", name.node),
                            name.span,
                            "imported here",
                        )
                        .label(there, "this one has the name already")
                        .rule("names in a file are unique"),
                    );
                }
                _ => {
                    module.scope.insert(name.node.clone(), id);
                    if !item.names.is_empty() {
                        module.imported.push(name);
                    }
                }
            }
        }
    }

    /// The module that a `use` refers to, loaded if necessary.
    fn find(&mut self, into: usize, from: &ast::UsePath) -> Option<usize> {
        match from {
            ast::UsePath::Std(name) => {
                let found = self.std(&name.node);
                if found.is_none() {
                    let mut diag = Diagnostic::error(
                        codes::NO_SUCH_FILE,
                        format!("there is no library `{}`", name.node),
                        name.span,
                        "not part of the standard library",
                    )
                    .note("files are used by path: use \"blocks.resnet\": name");
                    if let Some(near) = nearest(&name.node, STD.iter().map(|(n, _)| *n)) {
                        diag = diag.fix(format!("did you mean `{near}`?"), name.span, near);
                    }
                    self.diags.push(diag);
                }
                found
            }
            ast::UsePath::File(path) => self.file(into, path),
        }
    }

    fn file(&mut self, into: usize, path: &ast::Ident) -> Option<usize> {
        let fail =
            |message: &dyn Display, label: &str| Diagnostic::error(codes::NO_SUCH_FILE, message.to_string(), path.span, label);
        let full = self.program.resolve(into, &path.node);
        let key = Key::Path(self.program.files.canonical(&full));
        if let Some(at) = self.open.iter().position(|(k, _)| *k == key) {
            let mut chain: Vec<&str> = self.open[at..].iter().map(|(_, name)| name.as_str()).collect();
            chain.push(chain[0]);
            let chain = chain.join(" uses ");
            self.diags.push(
                Diagnostic::error(codes::USE_CYCLE, "files use each other in a cycle", path.span, "which leads back here")
                    .note(chain)
                    .rule("move what the files share to another file"),
            );
            return None;
        }
        if let Some(&index) = self.done.get(&key) {
            return Some(index);
        }
        if self.program.modules.len() >= MAX_FILES || self.open.len() >= 64 {
            self.diags.push(fail(&format_args!("a program reads at most {MAX_FILES} files, 64 deep"), "one too many"));
            return None;
        }
        match read(&*self.program.files, &full) {
            Ok(text) => {
                Some(self.module(key, SourceFile { name: full.display().to_string(), path: Some(full), text: text.into() }))
            }
            Err(error) => {
                self.diags.push(fail(&error, "used here").rule("paths are relative to the file that names them"));
                None
            }
        }
    }
}

/// A network of the root file.
#[derive(Clone, Debug)]
pub struct NetworkInfo {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub span: Span,
    /// Parameters without a default, which must be given before it can be elaborated: `--set n=3`.
    pub open: Vec<String>,
    /// Its doc comment.
    pub doc: Option<String>,
}
